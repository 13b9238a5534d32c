//! Messages as generated.proto describes them, to check the numbers that types.go gives against.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

/// Fields by number: what stands on the wire.
pub type Fields = BTreeMap<u32, String>;
/// By name.
pub type Messages = BTreeMap<String, Fields>;

/// Reads a generated.proto: a field a line.
pub fn read(text: &str) -> Result<Messages> {
    let mut messages = Messages::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line
            .strip_prefix("message ")
            .and_then(|line| line.strip_suffix(" {"))
        else {
            continue;
        };
        let mut fields = Fields::new();
        for line in lines.by_ref().take_while(|line| *line != "}") {
            let line = line.trim().trim_end_matches(';');
            if let Some((declared, number)) =
                line.split_once(" = ").filter(|_| !line.starts_with("//"))
            {
                let number = number.split(' ').next().unwrap_or_default();
                let number = number.parse().with_context(|| format!("{name}: {line}"))?;
                fields.insert(number, declaration(declared));
            }
        }
        messages.insert(name.to_owned(), fields);
    }
    Ok(messages)
}

/// `optional .k8s.io.api.core.v1.Probe x`, `repeated string x`, `map<string, bytes> x`.
fn declaration(declared: &str) -> String {
    let (label, of) = match declared.strip_prefix("map<string, ") {
        Some(of) => ("{}", of.split('>').next().unwrap_or_default()),
        None => {
            let mut words = declared.split(' ');
            let label = if words.next() == Some("repeated") {
                "[]"
            } else {
                ""
            };
            (label, words.next().unwrap_or_default())
        }
    };
    let of = match of.rsplit('.').next().unwrap_or_default() {
        // Both are JSON in one field.
        "FieldsV1" | "RawExtension" => "JSON",
        of => of,
    };
    format!("{label}{of}")
}

/// The same of a field of the table; nobody sees on the wire whether it may be missing.
pub fn class(shape: &str, class: &str) -> String {
    let shape = if shape == "*" { "" } else { shape };
    format!("{shape}{class}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_message() {
        let text = "message Secret {\n  // The = sign\n  optional .k8s.io.x.ObjectMeta metadata = 1;\n\n  \
            map<string, bytes> data = 2;\n\n  repeated string list = 3 [packed = false];\n}\n";
        let messages = read(text).unwrap();
        let want = [(1, "ObjectMeta"), (2, "{}bytes"), (3, "[]string")];
        let want: Fields = want.map(|(number, what)| (number, what.to_owned())).into();
        assert_eq!(messages["Secret"], want);
    }
}
