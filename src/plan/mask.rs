//! What of a file may be shown.
//!
//! Private is what others may not read, and what holds a Secret whatever its mode: a person may have put one
//! into an open file. Of a private file only the fields that are known to be public, so that what is added to one later
//! is hidden until somebody decides otherwise. That a hidden value changes is said by comparison, not
//! by a hash: a short password could be guessed from one. Only of keys, which nobody guesses, the
//! public half's fingerprint is shown.

use serde_json::{Map, Value};

use crate::assets::{Asset, Assets};
use crate::config::yaml;
use crate::hash::sha256;
use crate::pki::{self, INVENTORY};
use crate::render::emit;

/// A run of base64 of this length or more is data, not text.
const RUN: usize = 60;
/// Digits of a fingerprint that are shown.
const DIGITS: usize = 12;

/// Keys whose values are public also in a private file.
const PUBLIC: [&str; 14] = [
    "apiVersion",
    "certificate-authority",
    "client-certificate",
    "client-key",
    "cluster",
    "current-context",
    "kind",
    "name",
    "namespace",
    "resources",
    "server",
    "tokenFile",
    "type",
    "user",
];
const HIDDEN: &str = "(secret)";
const CHANGED: &str = "(secret, changed)";

/// The texts of the file at `path` in an old and a new tree; empty where it is not there.
pub fn pair(path: &str, old: &Assets, new: &Assets) -> (String, String) {
    let (there, then) = (old.get(path), new.get(path));
    let private = there.is_some_and(is_private) || then.is_some_and(is_private);
    let of = |tree, asset: Option<&Asset>, other: Option<&Asset>| match asset {
        Some(asset) => text(path, asset, tree, private, other),
        None => String::new(),
    };
    (of(old, there, None), of(new, then, there))
}

fn is_private(asset: &Asset) -> bool {
    let has_secret = || match objects(asset) {
        Some(objects) => objects.iter().any(holds_secret),
        None => String::from_utf8_lossy(asset.bytes.expose()).contains("Secret"),
    };
    asset.mode & 0o004 == 0 || has_secret()
}

/// Whether a value is a Secret or, as a List, holds one.
fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Object(fields) => is_secret(fields) || fields.values().any(holds_secret),
        Value::Array(items) => items.iter().any(holds_secret),
        _ => false,
    }
}

fn is_secret(fields: &Map<String, Value>) -> bool {
    fields.get("kind").is_some_and(|kind| kind == "Secret")
}

/// `other` is the earlier version, if this one is to be compared with it.
fn text(path: &str, asset: &Asset, tree: &Assets, private: bool, other: Option<&Asset>) -> String {
    let content = std::str::from_utf8(asset.bytes.expose()).unwrap_or_default();
    match path.rsplit_once('.') {
        Some((name, "crt")) => certificate(name, content, tree),
        Some((_, "key")) if content.contains("PRIVATE KEY-----") => key(content),
        Some((_, "pub")) => format!("public key {}\n", short(content.as_bytes())),
        _ if private => hidden(asset, other),
        _ => public(content),
    }
}

fn short(bytes: &[u8]) -> String {
    format!("sha256:{}…", &sha256(bytes)[..DIGITS])
}

/// What the record says of a certificate, if it has one.
fn certificate(name: &str, pem: &str, tree: &Assets) -> String {
    let inventory = tree.get(INVENTORY).map(|asset| asset.bytes.expose());
    let inventory: Value = inventory
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .unwrap_or_default();
    let record = &inventory["certificates"][name];
    let mut lines = String::new();
    if let Some(subject) = record["commonName"].as_str() {
        lines += &format!("subject {subject}");
        if let Some(group) = record["organization"].as_str() {
            lines += &format!(", {group}");
        }
        lines.push('\n');
    }
    let names = record["names"].as_array().into_iter().flatten();
    let names: Vec<_> = names.filter_map(Value::as_str).collect();
    if !names.is_empty() {
        lines += &format!("names {}\n", names.join(", "));
    }
    if let Some(until) = record["notAfter"].as_str() {
        lines += &format!("until {until}\n");
    }
    lines + &format!("certificate {}\n", short(pem.as_bytes()))
}

fn key(pem: &str) -> String {
    match pki::public_half(pem) {
        Some((kind, public)) => format!("key {} ({kind})\n", short(&public)),
        None => format!("key {}\n", short(pem.as_bytes())),
    }
}

/// A public text; what is data in it is noise, and a block of PEM one line.
fn public(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((before, label)) = line.split_once("-----BEGIN ") else {
            out += &without_runs(line);
            out.push('\n');
            continue;
        };
        let block: Vec<_> = lines
            .by_ref()
            .take_while(|line| !line.contains("-----END "))
            .collect();
        let label = label.trim_end_matches('-');
        out += &format!("{before}({label}, {})\n", short(block.concat().as_bytes()));
    }
    out
}

fn without_runs(line: &str) -> String {
    let is_data = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let mut out = String::new();
    for piece in line.split_inclusive(|c| !is_data(c)) {
        let word = piece.trim_end_matches(|c| !is_data(c));
        match word.len() < RUN {
            true => out += word,
            false => out += &format!("({} characters, {})", word.len(), short(word.as_bytes())),
        }
        out += &piece[word.len()..];
    }
    out
}

/// A private file: if it is objects, those with their values hidden.
fn hidden(asset: &Asset, other: Option<&Asset>) -> String {
    let Some(objects) = objects(asset) else {
        let changed = other.is_some_and(|other| other.bytes != asset.bytes);
        return format!("{}\n", if changed { CHANGED } else { HIDDEN });
    };
    let others = other.map(objects_or_none);
    let mut out = Vec::new();
    for (index, mut object) in objects.into_iter().enumerate() {
        let other = others.as_ref().and_then(|others| others.get(index));
        hide(&mut object, other, false, "");
        if index > 0 {
            out.extend(b"---\n");
        }
        out.extend(emit::text("", &object));
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn objects(asset: &Asset) -> Option<Vec<Value>> {
    let text = std::str::from_utf8(asset.bytes.expose()).ok()?;
    let objects = yaml::documents(text).ok()?;
    objects.iter().all(Value::is_object).then_some(objects)
}

fn objects_or_none(asset: &Asset) -> Vec<Value> {
    objects(asset).unwrap_or_default()
}

/// Hides texts and numbers; `all` also those whose keys would be public, as in what a Secret holds.
pub(super) fn hide(value: &mut Value, other: Option<&Value>, all: bool, key: &str) {
    match value {
        Value::Object(fields) => {
            let secret = is_secret(fields);
            for (key, value) in fields.iter_mut().filter(|(key, _)| all || *key != "labels") {
                let all = all || secret && matches!(key.as_str(), "data" | "stringData");
                hide(value, other.and_then(|other| other.get(key)), all, key);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                hide(item, other.and_then(|other| other.get(index)), all, key);
            }
        }
        Value::Null | Value::Bool(_) => {}
        _ if !all && PUBLIC.contains(&key) => {}
        leaf => {
            let changed = other.is_some_and(|other| other != leaf);
            *leaf = if changed { CHANGED } else { HIDDEN }.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PublicKeyData};

    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn tree(path: &str, private: bool, text: &str) -> Assets {
        let mut assets = Assets::default();
        match private {
            true => assets.add_secret(path, 0, text),
            false => assets.add(path, text),
        }
        assets
    }

    fn shown(path: &str, private: bool, old: &str, new: &str) -> (String, String) {
        pair(path, &tree(path, private, old), &tree(path, private, new))
    }

    #[test]
    fn a_private_file_shows_what_is_public_in_it() {
        let secret = |data: &str| {
            format!(
                "# c\napiVersion: v1\nkind: Secret\nmetadata: {{name: a, labels: {{k8s-app: a}}, annotations: {{last: hunter1}}}}\n\
                     type: x\ndata: {{name: {data}, same: aGk=}}\n"
            )
        };
        let (old, new) = shown(
            "manifests/a-secret.yaml",
            true,
            &secret("aHVudGVyMg=="),
            &secret("aHVudGVyMw=="),
        );
        let expected = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  labels:\n    k8s-app: a\n  \
                        annotations:\n    last: \"(secret)\"\ndata:\n  name: \"(secret)\"\n  same: \"(secret)\"\ntype: x\n";
        assert_eq!(old, expected);
        assert_eq!(
            new,
            expected.replacen("name: \"(secret)\"", "name: \"(secret, changed)\"", 1)
        );
        let config =
            "kind: Config\nusers:\n- {name: a, user: {token: hunter2, client-key-data: aGk=}}\n";
        let (old, _) = shown("auth/kubeconfig", true, config, config);
        assert_eq!(
            old,
            "kind: Config\nusers:\n- name: a\n  user:\n    client-key-data: \"(secret)\"\n    token: \"(secret)\"\n"
        );
    }

    /// Whatever its mode: as an object, in a list, beside others, or where the text is broken.
    #[test]
    fn a_secret_in_a_public_file_is_hidden() {
        let secret = "kind: Secret\ndata: {name: hunter2}\n";
        let table = [
            secret.to_owned(),
            format!("kind: ConfigMap\n---\n{secret}"),
            "kind: List\nitems: [{kind: Secret, stringData: {name: hunter2}}]\n".to_owned(),
            format!("{secret}a: [\n"),
        ];
        for text in table {
            for (old, new) in [
                (text.as_str(), "kind: Pod\na: hunter1\n"),
                ("a: 1\n", &text),
            ] {
                let (old, new) = shown("manifests/a.yaml", false, old, new);
                assert!(!format!("{old}{new}").contains("hunter"), "{old}{new}");
            }
        }
        let open = "kind: ConfigMap\ndata: {a: shown}\n";
        let (old, _) = shown("manifests/a.yaml", false, open, open);
        assert_eq!(old, open);
    }

    #[test]
    fn what_is_no_object_is_hidden_whole() {
        for text in ["abcdef.0123456789abcdef", "a: [", "- a", "\u{0}"] {
            let (old, new) = shown("auth/bootstrap-token", true, text, "other");
            assert_eq!(
                (old.as_str(), new.as_str()),
                ("(secret)\n", "(secret, changed)\n")
            );
        }
        let mut open = tree("manifests/a.yaml", false, "password: hunter2");
        let private = tree("manifests/a.yaml", true, "password: hunter3");
        let (old, new) = pair("manifests/a.yaml", &open, &private);
        assert!(!format!("{old}{new}").contains("hunter"), "{old}{new}");
        open.add("other", "x");
        assert_eq!(
            pair("other", &open, &private),
            ("x\n".to_owned(), String::new())
        );
    }

    #[test]
    fn keys_are_their_fingerprints() {
        let p256 = KeyPair::generate().unwrap();
        let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        for (key, kind) in [(p256, "P-256"), (p384, "P-384")] {
            let pem = key.serialize_pem();
            let (old, new) = shown("tls/a.key", true, &pem, "-----BEGIN PRIVATE KEY-----\nx\n");
            assert_eq!(old, format!("key {} ({kind})\n", short(key.der_bytes())));
            assert!(new.starts_with("key sha256:"), "{new}");
            let text = format!("data: |\n  {}", pem.replace('\n', "\n  "));
            let (old, _) = shown("manifests/a.yaml", false, &text, "");
            assert!(old.starts_with("data: |\n  (PRIVATE KEY, sha256:"), "{old}");
            assert_eq!(old.lines().count(), 2 + 1, "{old}");
        }
        let run = STANDARD.encode([7; 48]);
        let (old, _) = shown("manifests/a.yaml", false, &format!("a: {run}, b\n"), "");
        assert!(
            old.starts_with("a: (64 characters, sha256:") && old.ends_with("…), b\n"),
            "{old}"
        );
    }

    #[test]
    fn a_certificate_is_what_the_record_says() {
        let mut assets = tree("tls/a.crt", false, "pem");
        let record = r#"{"certificates": {"tls/a": {"commonName": "a", "organization": "o",
            "names": ["DNS:a", "IP:::1"], "notAfter": "2027-01-01T00:00:00Z"}}}"#;
        assets.add(INVENTORY, record);
        let (old, _) = pair("tls/a.crt", &assets, &Assets::default());
        let expected =
            "subject a, o\nnames DNS:a, IP:::1\nuntil 2027-01-01T00:00:00Z\ncertificate sha256:";
        assert!(old.starts_with(expected), "{old}");
    }
}
