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
mod pem;
mod problem;
mod reader;
pub mod schema;
pub mod sensitive;
pub mod yaml;

pub use document::{
    API_VERSION, AUTHORITY_KEY, COMPONENTS, ENCRYPTION_KEY, ETCD_KEY, IMAGES, KIND,
    KUBERNETES_MINORS, KUBERNETES_VERSION, SERVICE_ACCOUNT_KEY, TOKEN, protected,
};
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
    let mut tree = yaml::read(text, &mut problems).ok_or(problems)?;
    mask(&mut tree.root, "");
    Ok(tree.root)
}

fn mask(value: &mut serde_json::Value, place: &str) {
    use serde_json::Value;
    match value {
        Value::Object(entries) => entries
            .iter_mut()
            .for_each(|(key, value)| mask(value, &guard::child(place, key))),
        Value::Array(items) => items
            .iter_mut()
            .enumerate()
            .for_each(|(index, value)| mask(value, &guard::item(place, index))),
        Value::String(_) if document::is_sensitive(place) => *value = "(secret)".into(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const WITHOUT: &str = "apiVersion: slipway.dev/v1alpha1\nkind: Machine\n\
        node: {name: a, address: 10.0.2.15}\ncluster:\n  name: harbour\n";

    fn masked_of(sections: &str) -> serde_json::Value {
        let text = format!("{WITHOUT}{sections}");
        parse(text.as_bytes()).unwrap();
        let root = masked(text.as_bytes()).unwrap();
        assert_eq!(root["cluster"]["name"], "harbour");
        root
    }

    #[test]
    fn a_secret_is_masked_and_a_reference_is_not() {
        let key = "-----BEGIN PRIVATE KEY-----\\nczNjcmV0\\n-----END PRIVATE KEY-----";
        let certificate = "\"-----BEGIN CERTIFICATE-----\\nYWFh\\n-----END CERTIFICATE-----\"";
        let reference = json!({"secretRef": {"credential": "slipway.secret"}});
        let etcd = format!(
            "etcd: {{external: {{endpoints: ['https://a'], authority: {certificate}, \
             certificate: {certificate}, key: KEY}}}}"
        );
        let authority =
            format!("certificates: {{authority: {{certificate: {certificate}, key: KEY}}}}");
        let secretbox = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=";
        for (path, text, secret) in [
            (
                "/cluster/serviceAccountKey",
                "  serviceAccountKey: KEY",
                key,
            ),
            ("/etcd/external/key", etcd.as_str(), key),
            ("/certificates/authority/key", authority.as_str(), key),
            (
                "/join/token",
                "join: {token: KEY}",
                "abcdef.0123456789abcdef",
            ),
            (
                "/encryption/key",
                "encryption: {provider: secretbox, key: KEY}",
                secretbox,
            ),
        ] {
            let inline = masked_of(&text.replace("KEY", &format!("\"{secret}\"")));
            assert_eq!(inline.pointer(path), Some(&json!("(secret)")), "{path}");
            let outside = masked_of(&text.replace("KEY", &reference.to_string()));
            assert_eq!(outside.pointer(path), Some(&reference), "{path}");
        }
        assert_eq!(
            masked_of("  serviceAccountKey:")["cluster"]["serviceAccountKey"],
            json!(null)
        );
    }

    #[test]
    fn no_manifest_is_shown() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
        let list = json!([
            {"name": "a.yaml", "file": "/a"}, {"name": "b.yaml", "content": secret.to_string()},
        ]);
        let root = masked_of(&format!("manifests: {list}"));
        assert_eq!(root["manifests"][0]["file"], "/a");
        assert_eq!(
            root["manifests"][1],
            json!({"name": "b.yaml", "content": "(secret)"})
        );
    }

    #[test]
    fn secrets_may_stand_only_where_they_are_masked() {
        for (place, want) in [
            ("join.token", true),
            ("join.tokenLifetime", false),
            ("manifests[12].content", true),
            ("manifests[12].name", false),
            ("manifests[x].content", false),
            ("patches[0].content", false),
            ("manifests", false),
        ] {
            assert_eq!(document::is_sensitive(place), want, "{place}");
        }
    }
}
