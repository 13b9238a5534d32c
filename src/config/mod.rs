//! From the text of the machine document to a typed, validated [`Machine`].
//!
//! The text passes three gates in turn: [`yaml`] makes a tree of it and refuses what two YAML
//! readers could understand differently, [`reader`] looks values up by path and remembers which
//! paths exist, [`document`] says what each value must be. No gate stops at its first problem: a
//! person who boots a machine to learn of one typo at a time loses minutes on each, so [`parse`]
//! returns all of them. This is also why the types are not derived with serde, which stops at the
//! first error and knows no paths.

mod ambiguous;
mod document;
pub mod duration;
mod guard;
pub mod machine;
pub(crate) mod names;
mod network;
mod problem;
mod reader;
pub mod schema;
pub mod sensitive;
pub mod yaml;

pub use document::{API_VERSION, KIND, KUBERNETES_MINOR, KUBERNETES_VERSION, SERVICE_ACCOUNT_KEY};
pub use machine::Machine;
pub(crate) use problem::quote;
pub use problem::{Problem, Problems};

/// Reads a machine document: YAML 1.2, of which JSON is a part, in UTF-8, of at most
/// [`yaml::MAX_BYTES`].
///
/// # Errors
/// Every problem of the document at once, in the order of its lines. Wrap it with
/// [`Exit::Invalid`](crate::exit::Exit::Invalid) where it leaves the process.
pub fn parse(text: &[u8]) -> Result<Machine, Problems> {
    let mut problems = Problems::default();
    let machine =
        yaml::read(text, &mut problems).and_then(|tree| document::machine(&tree, &mut problems));
    match machine {
        Some(machine) if problems.is_empty() => Ok(machine),
        _ => Err(problems.sorted()),
    }
}

/// A document that [`parse`] takes, as a tree in which every secret is replaced by `(secret)`;
/// references stay.
///
/// # Errors
/// If it is no YAML.
pub fn masked(text: &[u8]) -> Result<serde_json::Value, Problems> {
    let mut problems = Problems::default();
    let tree = yaml::read(text, &mut problems).ok_or(problems)?;
    let mut root = tree.root;
    for path in document::SENSITIVE {
        let pointer = format!("/{}", path.replace('.', "/"));
        if let Some(value) = root.pointer_mut(&pointer).filter(|value| value.is_string()) {
            *value = "(secret)".into();
        }
    }
    Ok(root)
}
