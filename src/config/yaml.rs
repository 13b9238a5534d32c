//! Text to tree: the only module that touches serde_yaml.
//!
//! The text is first checked for characters that the two YAML parsers treat differently, then
//! inspected by the [`guard`], and only then given to serde_yaml. Afterwards the tree
//! must have the very nodes that the guard saw; two parsers that disagree would let a
//! document be checked as one thing and used as another.

mod strict;

use serde::Deserialize;
use serde_json::Value;

use super::guard::{self, Lines};
use super::problem::Problems;
use strict::Strict;

/// The longest document in bytes: ten times one with every field and comment. It bounds the
/// memory that the parsers take, which can be 150 times the text's.
pub const MAX_BYTES: usize = 64 * 1024;

/// A parsed document that knows where everything stands.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The values; every mapping's keys are text.
    pub root: Value,
    /// The line of every node by its path, as [`guard::child`] and [`guard::item`] write it.
    pub lines: Lines,
}

/// Reads YAML or JSON. Returns the tree unless the text is too broken to have one; a tree may come
/// together with problems.
pub fn read(text: &[u8], problems: &mut Problems) -> Option<Tree> {
    let text = characters(text, problems)?;
    let mut found = Problems::default();
    let lines = guard::inspect(text, &mut found);
    let clean = found.is_empty();
    // A text that ends too early has its problem on the line after the last, which no editor shows.
    let last = text.lines().count().max(1);
    for problem in found.iter() {
        problems.add(
            problem.line.min(last),
            problem.path.as_str(),
            problem.message.as_str(),
        );
    }
    let mut lines = lines?;
    // A text of comments alone has no node; the tree has an empty one.
    lines.entry(String::new()).or_insert(1);
    match serde_yaml::from_str(text) {
        Ok(root) => {
            if clean && !agree(&root, &lines) {
                let message = "two YAML readers understand the document differently; write it \
                               more plainly, or as JSON";
                problems.add(1, "", message);
                return None;
            }
            Some(Tree { root, lines })
        }
        Err(error) if clean => {
            let line = error.location().map_or(1, |at| at.line().min(last));
            problems.add(line, "", format!("the document is not YAML: {error}"));
            None
        }
        // What confused serde_yaml is what the guard has found already.
        Err(_) => None,
    }
}

/// Reads the objects of a Kubernetes manifest: YAML (one or more documents) or JSON. Unlike the
/// machine document it is the API server that judges what is in it; here only a key that is given
/// twice is an error.
pub fn documents(text: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Strict::deserialize(document).map(|strict| strict.0))
        .collect()
}

/// Stands between the texts of [`documents_of_all`], as a document that no manifest has.
const SEAM: &str = "slipway reads the next manifest";

/// The objects of several texts by one parser, and perhaps a null before them. `None` if anything about the
/// texts is odd; read one by one, they tell what.
pub fn documents_of_all(texts: &[&str]) -> Option<Vec<Vec<Value>>> {
    let mut joined = String::new();
    for text in texts {
        if text.contains(SEAM) {
            return None;
        }
        // Three dots end what a text may leave open, and are an error in what it may not.
        for part in ["---\n", text, "\n...\n--- ", SEAM, "\n"] {
            joined.push_str(part);
        }
    }
    let (mut all, mut of_one) = (Vec::new(), Vec::new());
    for document in documents(&joined).ok()? {
        match document == SEAM {
            true => all.push(std::mem::take(&mut of_one)),
            false => of_one.push(document),
        }
    }
    (all.len() == texts.len()).then_some(all)
}

/// The text as UTF-8 without what is invisible or a line break to only one of the parsers.
fn characters<'a>(text: &'a [u8], problems: &mut Problems) -> Option<&'a str> {
    if text.len() > MAX_BYTES {
        let message = format!(
            "the document has {} bytes; at most {MAX_BYTES} are read",
            text.len()
        );
        problems.add(1, "", message);
        return None;
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let (valid, _) = text.split_at(error.valid_up_to());
            problems.add(
                line_after(valid),
                "",
                "the document is not UTF-8 text; save it as UTF-8",
            );
            return None;
        }
    };
    if let Some((at, odd)) = text.char_indices().find(|(_, c)| is_odd(*c)) {
        let line = line_after(&text.as_bytes()[..at]);
        let code = u32::from(odd);
        problems.add(
            line,
            "",
            format!("the character U+{code:04X} must not stand in a document"),
        );
        return None;
    }
    Some(text)
}

fn line_after(text: &[u8]) -> usize {
    1 + text.iter().filter(|byte| **byte == b'\n').count()
}

/// Control characters (NUL ends the input for one parser), the line breaks that only YAML 1.1
/// knows, and byte order marks within the text.
fn is_odd(c: char) -> bool {
    let allowed = matches!(c, '\t' | '\n' | '\r');
    c.is_control() && !allowed || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// No two nodes have the same path, so as many as there are lines, each with one, are the very same.
fn agree(root: &Value, lines: &Lines) -> bool {
    count(root, "", lines) == Some(lines.len())
}

/// How many nodes there are from here on; `None` if one has no line.
fn count(value: &Value, path: &str, lines: &Lines) -> Option<usize> {
    lines.get(path)?;
    let below: Option<usize> = match value {
        Value::Object(entries) => (entries.iter())
            .map(|(key, value)| count(value, &guard::child(path, key), lines))
            .sum(),
        Value::Array(items) => (items.iter().enumerate())
            .map(|(index, value)| count(value, &guard::item(path, index), lines))
            .sum(),
        _ => Some(0),
    };
    below.map(|below| below + 1)
}

#[cfg(test)]
mod tests;
