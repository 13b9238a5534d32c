//! Manifests as YAML that a person can read and edit.
//!
//! Block style with the keys in the order a reader looks for them, text of several lines as block
//! literals. Writing YAML needs no library as long as every scalar that YAML 1.1 or 1.2 could take
//! for something else is quoted; a double-quoted scalar is JSON's string with the same escapes.

use serde_json::{Map, Value};

/// One document with a leading comment of one or more lines (without `#`), ending in a newline.
pub fn text(comment: &str, value: &Value) -> Vec<u8> {
    // Most manifests fit while they grow; what is kept is packed, and the next one grows in the same room.
    let mut out = Vec::with_capacity(4096);
    for line in comment.lines() {
        write(&mut out, "# ");
        write(&mut out, line);
        out.push(b'\n');
    }
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0),
        other => inline(&mut out, other, 0),
    }
    out.shrink_to_fit();
    out
}

fn write(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// The keys that come first, in this order; the others follow by name.
const FIRST: [&str; 6] = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "labels",
];

fn rank(key: &str) -> Option<usize> {
    FIRST.iter().position(|first| *first == key)
}

/// Two passes, because to look for each of the first ones would take longer: most mappings have none.
fn ordered(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut first = [None; FIRST.len()];
    for (key, value) in map {
        if let Some(rank) = rank(key) {
            first[rank] = Some((key, value));
        }
    }
    let others = map.iter().filter(|(key, _)| rank(key).is_none());
    first.into_iter().flatten().chain(others)
}

fn mapping(out: &mut Vec<u8>, map: &Map<String, Value>, indent: usize) {
    for (index, (key, value)) in ordered(map).enumerate() {
        // The first line of a mapping inside a list stands behind its dash.
        if index > 0 || out.ends_with(b"\n") || out.is_empty() {
            pad(out, indent);
        }
        scalar(out, key);
        out.push(b':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push(b'\n');
                mapping(out, inner, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push(b'\n');
                sequence(out, items, indent);
            }
            other => {
                out.push(b' ');
                inline(out, other, indent + 2);
            }
        }
    }
}

fn sequence(out: &mut Vec<u8>, items: &[Value], indent: usize) {
    for item in items {
        pad(out, indent);
        write(out, "- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => mapping(out, inner, indent + 2),
            // A list in a list would need its first dash on this line; flow style is as clear.
            Value::Array(_) => {
                write(out, &item.to_string());
                out.push(b'\n');
            }
            other => inline(out, other, indent + 2),
        }
    }
}

/// What fits behind a key or a dash; `indent` is that of a block literal's lines.
fn inline(out: &mut Vec<u8>, value: &Value, indent: usize) {
    match value {
        Value::String(text) if is_block(text) => block(out, text, indent),
        Value::String(text) => {
            scalar(out, text);
            out.push(b'\n');
        }
        other => {
            write(out, &other.to_string());
            out.push(b'\n');
        }
    }
}

fn pad(out: &mut Vec<u8>, indent: usize) {
    out.resize(out.len() + indent, b' ');
}

/// Whether a text is written as a block literal: several lines, nothing that needs an escape, and
/// a first character from which a reader can tell the indentation.
fn is_block(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && text
            .chars()
            .all(|c| c == '\n' || c == '\t' || is_printable(c))
}

fn block(out: &mut Vec<u8>, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    let head = match text.len() - body.len() {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    };
    write(out, head);
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            pad(out, indent);
            write(out, line);
        }
        out.push(b'\n');
    }
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}')
}

/// A scalar on one line: plain if nobody could misread it, else double-quoted.
fn scalar(out: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        return write(out, text);
    }
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => write(out, "\\\""),
            '\\' => write(out, "\\\\"),
            '\n' => write(out, "\\n"),
            '\t' => write(out, "\\t"),
            c if is_printable(c) => write(out, c.encode_utf8(&mut [0; 4])),
            c if (c as u32) < 0x100 => write(out, &format!("\\x{:02x}", c as u32)),
            c => write(out, &format!("\\u{:04x}", c as u32)),
        }
    }
    out.push(b'"');
}

/// What means nothing to YAML behind the first character; a space is looked at besides.
const fn is_harmless(byte: u8) -> bool {
    // From the bracket to the slash: ()*+,-./
    let mark = matches!(
        byte,
        b' ' | b'$' | b'('..=b'/' | b':' | b';' | b'=' | b'@' | b'_' | b'~'
    );
    mark || byte.is_ascii_alphanumeric()
}

/// The same to look up: every byte of a manifest is asked about.
const HARMLESS: [bool; 256] = {
    let mut harmless = [false; 256];
    let mut byte = 0;
    while byte < harmless.len() {
        harmless[byte] = is_harmless(byte as u8);
        byte += 1;
    }
    harmless
};

/// Words that YAML 1.1 or 1.2 resolves to something other than text, in lower case.
const RESERVED: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// Stricter than YAML asks: digits may begin numbers, dates, times and versions, so whatever
/// begins with one is quoted; so is most punctuation.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let starts = bytes.strip_prefix(b"--").unwrap_or(bytes);
    let first = starts.first();
    first.is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'/' | b'_'))
        && bytes.iter().all(|&b| HARMLESS[usize::from(b)])
        // What a space may not follow; the end of the text counts as one.
        && !text.split(' ').any(|word| word.is_empty() || word.ends_with(':'))
        && !RESERVED.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn written(value: &Value) -> String {
        String::from_utf8(text("a\nb", value)).unwrap()
    }

    #[test]
    fn reads_like_a_manifest() {
        let value = json!({
            "spec": {"args": ["--port=6443", "10.2.0.0/16", "no", ""], "empty": {}, "none": [],
                "containers": [{"image": "a:v1", "name": "x", "env": [{"name": "A"}]}]},
            "kind": "Pod", "apiVersion": "v1",
            "data": {"Corefile": ".:53 {\n    errors\n}\n", "1": true}
        });
        let expected = "# a\n# b\napiVersion: v1\nkind: Pod\ndata:\n  \"1\": true\n  Corefile: |\n    \
            .:53 {\n        errors\n    }\nspec:\n  args:\n  - --port=6443\n  - \"10.2.0.0/16\"\n  \
            - \"no\"\n  - \"\"\n  containers:\n  - name: x\n    env:\n    - name: A\n    image: a:v1\n  \
            empty: {}\n  none: []\n";
        assert_eq!(written(&value), expected);
    }

    #[test]
    fn ambiguous_scalars_come_back_as_text() {
        let words = [
            "yes",
            "NO",
            "~",
            "null",
            "1e3",
            "0x1f",
            "12:30:45",
            "2026-11-22",
            ".5",
            "1_0",
            "<<",
            "=",
            "- a",
            "a: b",
            "a #b",
            "---",
            "...",
            "--",
            "-",
            "&a",
            "*a",
            "!a",
            "%a",
            "@a",
            "{",
            "[",
            "'",
            "\"",
            " a",
            "a ",
            "a:",
            "\u{7f}",
            "\u{feff}",
            "\u{85}",
            "a\r\nb",
            "\na",
            " a\nb",
            "a\n b\n\n",
            "a\n",
            "a\tb\nc",
            "true",
            "0o7",
            "+1",
            "--1",
            "Infinity",
        ];
        for word in words {
            round_trips(&json!({ "key": word, "list": [word, {"a": word}], word: "x" }));
        }
    }

    /// Both readers agree with what was written: yaml-rust2 (1.2) and serde_yaml (libyaml, 1.1).
    fn round_trips(value: &Value) {
        let text = written(value);
        let read: Value = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(&read, value, "serde_yaml\n{text}");
        let read =
            yaml_rust2::YamlLoader::load_from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(&from_yaml(&read[0]), value, "yaml-rust2\n{text}");
    }

    fn from_yaml(yaml: &yaml_rust2::Yaml) -> Value {
        use yaml_rust2::Yaml;
        match yaml {
            Yaml::String(text) => json!(text),
            Yaml::Integer(number) => json!(number),
            Yaml::Boolean(value) => json!(value),
            Yaml::Null => Value::Null,
            Yaml::Array(items) => items.iter().map(from_yaml).collect(),
            Yaml::Hash(map) => {
                let key = |key: &Yaml| key.as_str().unwrap_or("not a string").to_owned();
                Value::Object(map.iter().map(|(k, v)| (key(k), from_yaml(v))).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[a-z0-9:#\\- .\n\"'\\\\|>]{0,16}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-zA-Z0-9.-]{1,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_reads_back(value in any_value()) {
            round_trips(&json!({ "value": value }));
        }
    }
}
