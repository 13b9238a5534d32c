use proptest::prelude::*;

use super::*;

fn problems(text: &[u8]) -> String {
    let mut problems = Problems::default();
    read(text, &mut problems);
    problems.sorted().to_string()
}

fn tree(text: &str) -> Tree {
    let mut problems = Problems::default();
    let tree = read(text.as_bytes(), &mut problems).unwrap();
    assert!(problems.is_empty(), "{problems}");
    tree
}

#[test]
fn every_node_has_its_line() {
    let tree = tree("# first\na:\n  b: [1,\n    2]\n  \"c.d\": |\n    text\ne: null\n");
    let lines: Vec<_> = tree
        .lines
        .iter()
        .map(|(path, line)| format!("{path}={line}"))
        .collect();
    assert_eq!(
        lines,
        [
            "=2",
            "a=2",
            "a.\"c.d\"=5",
            "a.b=3",
            "a.b[0]=3",
            "a.b[1]=4",
            "e=7"
        ]
    );
    assert_eq!(tree.root["a"]["c.d"], "text\n");
}

#[test]
fn json_is_read() {
    let text = "{\r\n\t\"a\": {\"b\": [1, true, null, \"\\u00e9\\/\"]},\r\n\t\"c\":\"d\"\r\n}";
    let tree = tree(text);
    assert_eq!(tree.root, serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(tree.lines["c"], 3);
}

#[test]
fn a_byte_order_mark_before_the_text_is_skipped() {
    assert_eq!(tree("\u{feff}a: b").root["a"], "b");
}

#[test]
fn refused_constructs_with_their_lines() {
    let cases = [
        (
            "a: 1\na: 2",
            "line 2: a: duplicate key; it was given on line 1 already",
        ),
        (
            "{\"a\": 1,\n\"a\": 2}",
            "line 2: a: duplicate key; it was given on line 1 already",
        ),
        ("a:\n  b: &x 1", "line 2: a.b: anchors are not supported"),
        ("a: &x 1\nb: *x", "line 2: b: aliases are not supported"),
        (
            "a: {b: 1}\n<<: {c: 1}",
            "line 2: \"<<\": merge keys are not supported",
        ),
        (
            "a: !!binary x",
            "line 1: a: tags are not supported; remove \"tag:yaml.org,2002:binary\"",
        ),
        ("a: b\n---\nc: d", "line 2: a second document begins here"),
        ("a: b\nc: 0644", "line 2: c: 0644 is ambiguous"),
        ("a: [x, on]", "line 1: a[1]: on is ambiguous"),
        ("on: a", "line 1: on: on is ambiguous"),
        ("a:\n  ? [a]\n  : b", "line 2: a: a key must be text"),
        ("a: b\nc: [", "line 2: the document is not YAML"),
        (
            "a: b\n\tc: d",
            "is not YAML: while scanning a plain scalar, found a tab",
        ),
        ("a: b\n\0c: d", "line 2: the character U+0000"),
        ("a: b\u{2028}c: d", "line 1: the character U+2028"),
    ];
    for (text, want) in cases {
        let got = problems(text.as_bytes());
        assert!(got.contains(want), "{text:?}: {got}");
    }
    assert!(problems(b"a: b\n\xff").contains("line 2: the document is not UTF-8"));
    for opening in ["[", "{a: ", "- ", "? "] {
        let got = problems(opening.repeat(1000).as_bytes());
        let refusals = [
            "levels deep",
            "a key must be text",
            "recursion limit exceeded",
        ];
        assert!(
            refusals.iter().any(|refusal| got.contains(refusal)),
            "{opening}: {got}"
        );
    }
}

#[test]
fn too_much_is_refused() {
    assert!(problems(&vec![b' '; MAX_BYTES + 1]).contains("at most 65536"));
    assert!(problems("- a\n".repeat(5000).as_bytes()).contains("more than 4096 values"));
    assert!(problems(format!("[{}", "a,".repeat(30_000)).as_bytes()).contains("more than 4096"));
    assert!(problems(format!("{}: a", "k".repeat(400)).as_bytes()).contains("more than 320"));
}

#[test]
fn problems_that_leave_the_tree_intact_do_not_hide_it() {
    let mut problems = Problems::default();
    let tree = read(b"a: 1\na: 2\nb: on\nc: fine", &mut problems).unwrap();
    assert_eq!(tree.root["c"], "fine");
    assert_eq!(problems.iter().count(), 2);
}

/// Texts from the pieces that parsers stumble over.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "a",
            "b: ",
            "a: 1\n",
            "\n",
            "  ",
            "\t",
            "- ",
            "? ",
            ": ",
            ":",
            ",",
            "[",
            "]",
            "{",
            "}",
            "&x ",
            "*x",
            "!t ",
            "!!str ",
            "<<: ",
            "|",
            ">-",
            "|2\n",
            "'",
            "\"",
            "\\",
            "#",
            " # c\n",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "%TAG ! x\n",
            "~",
            "\r",
            "\r\n",
            "é",
            "\u{85}",
            "@",
            "`",
            "0644",
            "\\u12",
            "\\xZZ",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_ends_in_a_tree_or_in_problems(text in soup()) {
        let mut problems = Problems::default();
        let tree = read(text.as_bytes(), &mut problems);
        prop_assert!(tree.is_some() || !problems.is_empty());
        let lines = text.split(['\n', '\r']).count();
        prop_assert!(problems.iter().all(|problem| (1..=lines).contains(&problem.line)));
    }

    #[test]
    fn any_bytes_end_in_a_tree_or_in_problems(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut problems = Problems::default();
        prop_assert!(read(&bytes, &mut problems).is_some() || !problems.is_empty());
    }

    #[test]
    fn what_a_json_writer_writes_is_read_back(keys in prop::collection::btree_map("[a-z.\" ]{1,9}", "[^\\p{C}\\p{Zl}\\p{Zp}]{0,9}", 0..9)) {
        let json = serde_json::json!({"x": keys, "y": [1, true, {"z": keys}]});
        let text = serde_json::to_string_pretty(&json).unwrap();
        prop_assert_eq!(tree(&text).root, json);
    }
}

#[test]
fn several_manifests_at_once_are_what_each_is() {
    let fine = [
        "a: 1",
        "a: 1\n---\nb: |\n  text\n",
        "# nothing\n",
        "# first\n---\na: [1, 2]\n...\n",
        "%YAML 1.2\n---\na: 1",
        "---\n{\"a\": \"b\"}",
        "a: &x 1\nb: *x\n",
        "",
        "--- >+\n  folded\n\n",
    ];
    for text in fine {
        assert!(
            documents_of_all(&["a: 1", text, "b: 1"]).is_some(),
            "{text:?}"
        );
    }
    let together = documents_of_all(&fine).unwrap();
    for (text, objects) in fine.iter().zip(together) {
        let alone: Vec<_> = documents(text).unwrap();
        let there = |all: Vec<Value>| {
            all.into_iter()
                .filter(|one| !one.is_null())
                .collect::<Vec<_>>()
        };
        let (objects, alone) = (there(objects), there(alone));
        assert_eq!(objects.len(), alone.len(), "{text:?}");
        if !text.contains(">+") {
            assert_eq!(objects, alone, "{text:?}");
        }
    }
    let odd = [
        "a: [1",
        "a: \"b",
        "a: *x",
        "a: 1\na: 2",
        "--- slipway reads the next manifest",
        "a: !t 1",
        "\t- a",
    ];
    for text in odd {
        assert_eq!(
            documents_of_all(&["a: &x 1", text, "b: 1]\""]),
            None,
            "{text:?}"
        );
    }
}
