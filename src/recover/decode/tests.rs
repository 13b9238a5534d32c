use serde_json::json;

use super::schema::{Class, Schema, Shape};
use super::*;

/// Field `number` with bytes.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 0x7f {
        field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap());
    field.extend(content);
    field
}

/// Field `number` with a small number.
fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn sealed(api_version: &str, kind: &str, raw: &[Vec<u8>]) -> Vec<u8> {
    let types = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
    let envelope = [
        bytes(1, &types),
        bytes(2, &raw.concat()),
        bytes(3, b""),
        bytes(4, b""),
    ];
    [PROTOBUF, &envelope.concat()].concat()
}

fn read(bytes: &[u8]) -> Result<Decoded> {
    object("/registry/x", bytes)
}

fn error(bytes: &[u8]) -> String {
    format!("{:#}", read(bytes).unwrap_err())
}

#[test]
fn a_config_map_is_what_the_api_answers() {
    let entry = [bytes(1, b"a"), bytes(2, b"b")].concat();
    let empty = bytes(1, b"c");
    let binary = [bytes(1, b"d"), bytes(2, b"\x00\xff")].concat();
    let created = number(1, 100);
    let meta = [bytes(1, b"x"), bytes(2, b""), bytes(8, &created)].concat();
    let fields = [
        bytes(1, &meta),
        bytes(2, &entry),
        bytes(2, &empty),
        bytes(3, &binary),
        number(4, 0),
    ];
    let got = read(&sealed("v1", "ConfigMap", &fields)).unwrap();
    let want = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "x", "creationTimestamp": "1970-01-01T00:01:40Z"},
        "data": {"a": "b", "c": ""}, "binaryData": {"d": "AP8="}, "immutable": false,
    });
    assert_eq!(
        got,
        Decoded {
            object: want,
            unknown: Vec::new()
        }
    );
}

#[test]
fn what_is_not_on_the_wire_is_zero_where_json_has_it() {
    let got = read(&sealed("apps/v1", "DaemonSet", &[])).unwrap().object;
    let status = json!({
        "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0
    });
    assert_eq!(got["status"], status);
    assert_eq!(got["spec"]["selector"], json!(null));
    assert_eq!(
        got["spec"]["template"],
        json!({"metadata": {}, "spec": {"containers": null}})
    );
    let got = read(&sealed("rbac.authorization.k8s.io/v1", "Role", &[]))
        .unwrap()
        .object;
    assert_eq!(got["rules"], json!(null));
}

#[test]
fn what_the_table_lacks_is_named_and_left_out() {
    let meta = [bytes(1, b"x"), vec![0xb9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
    let got = read(&sealed(
        "v1",
        "Secret",
        &[bytes(1, &meta), bytes(14, b"new"), bytes(14, b"new")],
    ));
    let got = got.unwrap();
    assert_eq!(got.unknown, [": field 14", "metadata: field 103"]);
    assert_eq!(
        got.object,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}})
    );
}

#[test]
fn what_cannot_be_read_says_why() {
    let pod = |fields: &[Vec<u8>]| sealed("v1", "Pod", fields);
    let meta = |content: &[Vec<u8>]| pod(&[bytes(1, &content.concat())]);
    let envelope = |fields: &[Vec<u8>]| [PROTOBUF, &fields.concat()].concat();
    let types = bytes(1, &[bytes(1, b"v1"), bytes(2, b"Pod")].concat());
    let cases = [
        (
            b"k8s:enc:aescbc:v1:key1:abc".to_vec(),
            "it is encrypted; give",
        ),
        (b"".to_vec(), "neither protobuf nor CBOR nor JSON"),
        (
            b"{\"kind\": \"Pod\"".to_vec(),
            "neither protobuf nor CBOR nor JSON",
        ),
        (b"{\"kind\": \"Pod\"}".to_vec(), "it has no apiVersion"),
        (b"[]".to_vec(), "it has no apiVersion"),
        (
            sealed("v1", "Event", &[]),
            "kind is Event of v1, none of those",
        ),
        (sealed("v2", "Pod", &[]), "kind is Pod of v2, none of"),
        (
            sealed("v1", "PodSpec", &[]),
            "kind is PodSpec of v1, none of",
        ),
        (PROTOBUF.to_vec(), "names no kind"),
        (
            envelope(&[types.clone(), bytes(3, b"gzip")]),
            "encoding \"gzip\"",
        ),
        (
            envelope(&[types.clone(), bytes(4, b"application/json")]),
            "content type",
        ),
        (envelope(&[types.clone(), bytes(5, b"")]), "a field 5"),
        (envelope(&[types.clone(), types]), "there twice"),
        (
            pod(&[bytes(1, &[0x0a, 9, b'x'])]),
            "at \"metadata\": the protobuf message is cut short",
        ),
        (
            meta(&[bytes(1, b"a"), bytes(1, b"b")]),
            "at \"metadata.name\": the field is there twice",
        ),
        (
            meta(&[number(1, 1)]),
            "at \"metadata.name\": a number where text",
        ),
        (
            meta(&[bytes(7, b"x")]),
            "at \"metadata.generation\": not a number",
        ),
        (
            meta(&[bytes(1, b"\xff")]),
            "at \"metadata.name\": the text is not UTF-8",
        ),
        (meta(&[vec![0x3b]]), "cut short or damaged"),
    ];
    for (stored, want) in cases {
        let got = error(&stored);
        assert!(got.contains(want), "{stored:?}: {got}");
        assert!(
            got.starts_with("cannot read what is stored as /registry/x: "),
            "{got}"
        );
    }
    assert!(error(&vec![b' '; MAX_BYTES + 1]).contains("at most 4194304"));
}

#[test]
fn few_bytes_do_not_become_much_memory() {
    let list = format!("{{\"a\":[{}0]}}", "{\"a\":0},".repeat(100_000));
    assert!(error(list.as_bytes()).contains("more than 40 MiB"));
    let containers = [0x12, 0].repeat(100_000);
    assert!(error(&sealed("v1", "Pod", &[bytes(2, &containers)])).contains("more than 40 MiB"));
    // A text may have as many braces as it wants.
    let text =
        json!({"apiVersion": "v1", "kind": "X", "metadata": {}, "x": "{\"\\,".repeat(100_000)})
            .to_string();
    assert!(read(text.as_bytes()).is_ok());
}

#[test]
fn the_table_is_sound() {
    let schema = Schema::get().unwrap();
    assert_eq!(schema.kinds().len(), 14);
    for (api_version, kind) in schema.kinds() {
        let message = schema.kind(api_version, kind).unwrap();
        assert!(depth(schema, message, 0) < 16, "{kind}");
    }
}

/// How deep a message goes; who contains itself would go on for ever when it is put together.
fn depth(schema: &Schema, message: &schema::Message, above: usize) -> usize {
    assert!(above < 32, "a message contains itself");
    let below = message.fields.iter().map(|field| match field.class {
        Class::Message(index) => depth(schema, schema.message(index).unwrap(), above + 1),
        _ => above,
    });
    let inline = message
        .fields
        .iter()
        .filter(|field| field.shape == Shape::Inline);
    assert!(
        inline
            .clone()
            .all(|field| matches!(field.class, Class::Message(_)))
    );
    let mut numbers: Vec<_> = message.fields.iter().map(|field| field.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), message.fields.len());
    below.max().unwrap_or(above)
}

/// What API servers stored, and what they answered of it (the scenario `recover-decoder` keeps both).
#[test]
fn what_an_api_server_stored_is_what_it_answered() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stored");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let plain = ["identity-", "json-", "cbor-"];
        if name.ends_with(".json") || !plain.iter().any(|way| name.starts_with(way)) {
            continue;
        }
        let mut answer: Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        answer["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
        let decoded = object(&name, &std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            decoded,
            Decoded {
                object: answer,
                unknown: Vec::new()
            },
            "{name}"
        );
        seen += 1;
    }
    assert!(seen > 14, "{seen}");
}
