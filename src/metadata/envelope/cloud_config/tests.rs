use super::*;
use crate::exit::exit_of;
use crate::metadata::envelope::gzip::tests::pack;
use crate::metadata::envelope::{DOCUMENT, Delivery, Id, What};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

fn read(text: &str) -> Result<Delivery> {
    let mut gathered = Gathered::default();
    open(format!("#cloud-config\n{text}").as_bytes(), &mut gathered)?;
    if text.contains(DOCUMENT) {
        return gathered.finish("x");
    }
    gathered.document(Vec::new())?;
    gathered.finish("x")
}

fn content(text: &str) -> Vec<u8> {
    let delivery = read(&format!("write_files:\n- path: /etc/x\n{text}")).unwrap();
    match &delivery.entries.first().unwrap().what {
        What::File(bytes) | What::Append(bytes) => bytes.expose().to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_with_everything() {
    let delivery = read(&format!(
        "users: [{{name: a}}]\nhostname: node-a\nfqdn: node-a.example.com\nwrite_files:\n\
         - path: {DOCUMENT}\n  content: |\n    a: b\n\
         - {{path: /etc/x, content: \"y\\n\", owner: etcd:0, permissions: '0600', append: true, defer: true}}\n\
         preserve_hostname: true\nruncmd:\n- [ls]\n"
    ))
    .unwrap();
    assert_eq!(delivery.document.expose(), b"a: b\n");
    assert_eq!(delivery.hostname.as_deref(), Some("node-a"));
    let want = "cloud-init itself has to handle: users, runcmd";
    assert_eq!(delivery.warnings, [want]);
    let [entry] = delivery.entries.as_slice() else {
        panic!("{:?}", delivery.entries);
    };
    assert_eq!(entry.what, What::Append(crate::secret::Secret::new("y\n")));
    assert_eq!((entry.mode, entry.overwrite), (Some(0o600), true));
    assert_eq!(entry.user, Some(Id::Name("etcd".to_owned())));
    assert_eq!(entry.group, Some(Id::Number(0)));
}

#[test]
fn host_names_as_cloud_init_takes_them() {
    let cases = [
        ("hostname: node-a\n", "node-a"),
        ("fqdn: node-b.example.com\nhostname: node-a\n", "node-a"),
        ("fqdn: x.example.com\nhostname: node-a.b\n", "node-a.b"),
        ("fqdn: node-a.example.com\n", "node-a"),
        ("hostname: node-a.example.com\n", "node-a"),
        ("hostname: ~\nfqdn: node-a\n", "node-a"),
    ];
    for (text, want) in cases {
        let hostname = read(text).unwrap().hostname;
        assert_eq!(hostname.as_deref(), Some(want), "{text}");
    }
    assert!(read("fqdn: .example.com\n").is_err());
}

#[test]
fn contents() {
    let packed = STANDARD.encode(pack(b"hi"));
    assert_eq!(content("  content: 0644\n"), b"0644");
    assert_eq!(content("  content: yes\n"), b"yes");
    assert_eq!(content("  content:\n"), b"");
    assert_eq!(content("  content: ~\n"), b"");
    assert_eq!(content("  content: '~'\n"), b"~");
    assert_eq!(
        content("  encoding: b64\n  content: |\n    aG\n    k=\n"),
        b"hi"
    );
    assert_eq!(
        content(&format!("  encoding: gz+b64\n  content: {packed}\n")),
        b"hi"
    );
    assert_eq!(
        content(&format!("  content: {packed}\n  encoding: b64+gzip\n")),
        b"hi"
    );
}

#[test]
fn long_blocks_and_long_lists_of_brackets() {
    let json = "{\"a\": [1, 2]}\n".repeat(40_000);
    let block = json.replace('\n', "\n    ");
    for header in ["content: |", "'content' : |-", "content: >2+"] {
        let text = format!("write_files:\n- path: /etc/x\n  {header}\n    {block}\n");
        assert!(read(&text).is_ok(), "{header}");
    }
    for open in [
        "x: [",
        "? ",
        "x:\n  - [",
        "x: # |\n  [",
        "[a: |\n",
        "x: [a: |\n [",
    ] {
        let error = read(&format!("{open}[{json}]")).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("too many") || text.contains("YAML"), "{text}");
    }
}

#[test]
fn nothing_there() {
    for text in [
        "",
        "# x\n",
        "---\n",
        "~\n",
        "{}\n",
        "write_files:\n",
        "write_files: []\nhostname:\n",
    ] {
        let delivery = read(text).unwrap();
        assert_eq!(
            (delivery.entries.len(), delivery.hostname),
            (0, None),
            "{text}"
        );
    }
}

#[test]
fn refused_with_the_line() {
    let deep = format!("x: {}\n", "[".repeat(40));
    let many: String = (0..300).map(|n| format!("k{n}: 1\n")).collect();
    let cases = [
        ("- a\n", "line 2: a mapping must be here"),
        ("a: 1\nb: 2\na: 3\n", "line 4: the key \"a\" is there twice"),
        ("a: &x 1\n", "line 2: anchors"),
        ("a: {b: [*x]}\n", "line 2"),
        ("write_files: !!set {}\n", "line 2: tags"),
        ("write_files: x\n", "must be a list"),
        ("write_files: [x]\n", "must be a mapping"),
        ("write_files:\n- content: x\n", "has no path"),
        (
            "write_files:\n- path: /etc/x\n  path: /etc/y\n",
            "line 4: the key \"path\"",
        ),
        (
            "write_files:\n- path: [x]\n",
            "line 3: \"path\" must be text",
        ),
        (
            "write_files:\n- path: /etc/x\n  permission: '0600'\n",
            "no key \"permission\"",
        ),
        (
            "write_files:\n- path: /etc/x\n  permissions: 420\n",
            "line 4: permissions",
        ),
        (
            "write_files:\n- path: /etc/x\n  append: yes\n",
            "line 4: append must be true",
        ),
        (
            "write_files:\n- path: /etc/x\n  encoding: rot13\n",
            "line 4: encoding",
        ),
        (
            "write_files:\n- path: /etc/x\n  encoding: b64\n  content: '*'\n",
            "the file \"/etc/x\"",
        ),
        ("? [a]\n: b\n", "a key must be a word"),
        ("hostname: [a]\n", "\"hostname\" must be text"),
        ("hostname: Node_A\n", "try node-a"),
        ("a: b\n---\nc: d\n", "a second document"),
        ("%TAG !a! x\n---\na: b\n", "line 2: YAML directives"),
        ("a: \"b\0\"\n", "line 2: the character U+0000"),
        ("a: [b\n", "not YAML"),
        (&deep, "nested more than 32"),
        (&many, "more than 256 keys"),
    ];
    for (text, want) in cases {
        let error = read(text).unwrap_err();
        let shown = format!("{error:#}");
        assert!(shown.contains(want), "{want}: {shown}");
        assert_eq!(exit_of(&error), Exit::Invalid, "{text}");
    }
}

proptest! {
    #[test]
    fn anything_gets_an_answer(
        start in "|write_files:\n- |write_files: \\[|hostname: ",
        rest in "\\PC{0,60}|[-#:{},\\[\\]&*!|>%'\" \n\t0-9a-z]{0,60}",
    ) {
        let _ = read(&format!("{start}{rest}"));
    }
}
