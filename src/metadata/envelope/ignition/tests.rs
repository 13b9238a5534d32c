mod references;

use super::*;
use crate::exit::{Exit, exit_of};
use crate::metadata::envelope::gzip::tests::pack;
use crate::metadata::envelope::{DOCUMENT, Delivery, Offline};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

fn data(text: &str) -> String {
    format!("data:;base64,{}", STANDARD.encode(text))
}

fn config(version: &str, sections: &str, storage: &str) -> String {
    format!(
        "{{\"ignition\": {{\"version\": \"{version}\"{sections}}}, \"storage\": {{{storage}}}}}"
    )
}

fn take(text: &str, remote: &dyn Remote) -> Result<Delivery> {
    let mut gathered = Gathered::default();
    open(text.as_bytes(), remote, &mut gathered)?;
    if !text.contains(DOCUMENT) {
        gathered.document(Vec::new())?;
    }
    gathered.finish("x")
}

/// What a config with this storage delivers, a line an entry.
fn shown(text: &str, remote: &dyn Remote) -> Vec<String> {
    let delivery = take(text, remote).unwrap();
    let entries = delivery.entries.into_iter().map(|entry| {
        let what = match &entry.what {
            What::File(bytes) => format!("={}", String::from_utf8_lossy(bytes.expose())),
            What::Append(bytes) => format!("+{}", String::from_utf8_lossy(bytes.expose())),
            What::Folder => "/".to_owned(),
            What::Link { target, hard } => format!("->{target} {hard}"),
        };
        let (path, mode) = (&entry.path, entry.mode.unwrap_or(0));
        let Entry { user, group, .. } = &entry;
        let number = |id: &Option<Id>| match id {
            None => "-".to_owned(),
            Some(Id::Number(number)) => number.to_string(),
            Some(Id::Name(name)) => name.clone(),
        };
        let (user, group) = (number(user), number(group));
        format!("{path}{what} {mode:o} {user}:{group} {}", entry.overwrite)
    });
    entries.collect()
}

#[test]
fn entries_in_the_order_they_are_made() {
    let storage = format!(
        "\"links\": [{{\"path\": \"/etc/l\", \"target\": \"x\"}}, {{\"path\": \"/etc/h\", \"target\": \"/etc/f\", \"hard\": true}}],
        \"files\": [
          {{\"path\": \"/etc/f\", \"mode\": 384, \"overwrite\": true, \"user\": {{\"id\": 7, \"name\": \"x\"}}, \"group\": {{\"name\": \"adm\"}},
            \"contents\": {{\"source\": \"{}\", \"verification\": {{}}}}, \"append\": [{{\"source\": \"data:,%21\"}}]}},
          {{\"path\": \"/etc/a\", \"append\": [{{\"source\": \"data:,1\"}}, {{\"source\": \"data:,2\"}}], \"user\": null, \"mode\": null}},
          {{\"path\": \"/etc/b\"}}, {{\"path\": \"/etc/c\", \"contents\": {{\"source\": \"\"}}}}],
        \"directories\": [{{\"path\": \"/etc/d/e\", \"mode\": 448}}, {{\"path\": \"/etc/d\"}}]",
        data("hi")
    );
    let want = [
        "/etc/d/ 0 -:- false",
        "/etc/d/e/ 700 -:- false",
        "/etc/a+12 0 -:- false",
        "/etc/b+ 0 -:- false",
        "/etc/c= 0 -:- false",
        "/etc/f=hi! 600 7:adm true",
        "/etc/h->/etc/f true 0 -:- false",
        "/etc/l->x false 0 -:- false",
    ];
    assert_eq!(shown(&config("3.6.0", "", &storage), &Offline), want);
}

#[test]
fn packed_and_verified() {
    let packed = STANDARD.encode(pack(b""));
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let file = |hash: &str| {
        config(
            "3.4.0",
            "",
            &format!(
                "\"files\": [{{\"path\": \"/etc/f\", \"contents\": {{\"source\": \"data:;base64,{packed}\", \
             \"compression\": \"gzip\", \"verification\": {{\"hash\": \"sha256-{hash}\"}}}}}}]"
            ),
        )
    };
    assert_eq!(shown(&file(empty), &Offline), ["/etc/f= 0 -:- false"]);
    let error = take(&file(&empty.replace('e', "f")), &Offline).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Refused);
    let text = format!("{error:#}");
    assert!(text.contains("cannot use \"/etc/f\""), "{text}");
    assert!(!text.contains(&packed), "{text}");
}

#[test]
fn sections_left_out_are_named_once_and_only_if_they_hold_something() {
    let empty = ", \"timeouts\": {}, \"proxy\": {\"noProxy\": []}";
    let text = config("3.4.0", empty, "\"disks\": [], \"luks\": null");
    let text = text.replacen('{', "{\"passwd\": {\"users\": []}, \"systemd\": {},", 1);
    assert!(take(&text, &Offline).unwrap().warnings.is_empty());
    let full = ", \"timeouts\": {\"httpTotal\": 9}, \"proxy\": {\"httpProxy\": \"x\"}";
    let lists = "\"disks\": [{}], \"raid\": [{}], \"filesystems\": [{}], \"luks\": [{}]";
    let text = config("3.4.0", full, lists).replacen(
        '{',
        "{\"passwd\": {\"users\": [{}]}, \"systemd\": {\"units\": [{}]}, \"kernelArguments\": {\"shouldExist\": [\"x\"]},",
        1,
    );
    let warnings = take(&text, &Offline).unwrap().warnings;
    assert_eq!(warnings.len(), 9, "{warnings:#?}");
    let want = "passwd of the Ignition config: left to Ignition itself; slipway makes no users";
    assert!(warnings.contains(&want.to_owned()), "{warnings:#?}");
}

#[test]
fn refused_without_showing_values() {
    let node = |fields: &str| {
        config(
            "3.4.0",
            "",
            &format!("\"files\": [{{\"path\": \"/etc/f\"{fields}}}]"),
        )
    };
    let source = |source: &str| node(&format!(", \"contents\": {{\"source\": \"{source}\"}}"));
    let merge = |source: &str| {
        config(
            "3.4.0",
            &format!(", \"config\": {{\"merge\": [{{\"source\": \"{source}\"}}]}}"),
            "",
        )
    };
    let many = format!("\"files\": [{}]", vec!["{\"path\": \"x\"}"; 1025].join(","));
    let cases = [
        (
            config("2.3.0", "", "\"files\": 1"),
            "\"2.3.0\" is not supported; these are read: 3.0.0, 3.1.0",
        ),
        (config("3.7.0-experimental", "", ""), "3.7.0-experimental"),
        ("{\"ignition\": {}}".to_owned(), "no ignition.version"),
        (
            "{\"ignition\": {\"version\": \"3.4.0\"}".to_owned(),
            "line 1, column 33: EOF",
        ),
        (node(", \"mode\": \"secret, x\""), "expected u32"),
        (node(", \"mode\": 4096"), "decimal"),
        (node(", \"user\": {\"id\": -1}"), "expected u32"),
        (node(", \"overwrite\": true"), "no contents.source"),
        (node("}, {\"path\": \"/etc/f\""), "\"/etc/f\" twice"),
        (
            config("3.4.0", "", "\"files\": [{\"mode\": 1}]"),
            "missing field `path`",
        ),
        (
            config("3.4.0", "", "\"files\": \"secret\""),
            "expected a list",
        ),
        (config("3.4.0", "", &many), "more than 1024 items"),
        (
            config("3.4.0", "", "\"links\": [{\"path\": \"/etc/l\"}]"),
            "without a target",
        ),
        (
            config(
                "3.4.0",
                "",
                &format!("\"directories\": [{{\"path\": \"{DOCUMENT}\"}}]"),
            ),
            "must be the machine document",
        ),
        (source("http://h/x?secret"), "only https and data"),
        (source("https://u:secret@h/x?secret"), "\"https://h/x\""),
        (source("secret-token"), "a source of 12 bytes: only https"),
        (source("s3://secret/x"), "a source of 13 bytes: only https"),
        (
            source(" data:;base64,secret"),
            "a source of 20 bytes: only https",
        ),
        (source("https:secret"), "a source of 12 bytes: only https"),
        (merge("//secret@secret"), "from a source of 15 bytes"),
        (source("data:;base64,secret!"), "data URL of 20 bytes"),
        (
            node(", \"contents\": {\"source\": \"data:,\", \"compression\": \"xz\"}"),
            "gzip",
        ),
        (
            node(", \"contents\": {\"source\": \"data:,secret\", \"compression\": \"gzip\"}"),
            "gzip",
        ),
        (merge("data:,secret"), "line 1, column 1"),
        (
            merge(&data("{\"ignition\": {\"version\": \"2.0.0\"}}")),
            "Ignition config from data URL",
        ),
    ];
    for (text, want) in cases {
        let error = take(&text, &references::Network::default()).unwrap_err();
        let shown = format!("{error:#}");
        assert!(shown.contains(want), "{want}: {shown}");
        if !want.contains("https://h/x") {
            assert!(!shown.contains("secret"), "{shown}");
            assert_eq!(exit_of(&error), Exit::Invalid, "{shown}");
        }
    }
}

proptest! {
    #[test]
    fn anything_gets_an_answer(storage in "(\"(files|links|path|contents|source|append|user)\"|[:,{}\\[\\]]|\"data:,x\"|[0-9]|null|\\PC){0,20}") {
        let _ = take(&config("3.4.0", "", &storage), &Offline);
        let _ = take(&storage, &Offline);
    }

    #[test]
    fn contents_come_back(bytes: Vec<u8>) {
        let source = format!("data:;base64,{}", STANDARD.encode(&bytes));
        let text = config("3.4.0", "", &format!("\"files\": [{{\"path\": \"/etc/f\", \"contents\": {{\"source\": \"{source}\"}}}}]"));
        let delivery = take(&text, &Offline).unwrap();
        prop_assert_eq!(&delivery.entries.first().unwrap().what, &What::File(Secret::new(bytes)));
    }
}
