//! What an envelope carries, and what it may not.

use super::*;

#[test]
fn scripts_are_refused_by_name() {
    let (exit, text) = Fixture::qemu("#!/bin/sh\nreboot\n").refusal();
    assert_eq!(exit, Exit::Invalid);
    assert!(text.contains("script") && text.contains("fw_cfg"), "{text}");
}

/// A cloud-config with a document, a file and a host name.
fn cloud_config(path: &str) -> String {
    let document = DOCUMENT.replace('\n', "\n      ");
    format!(
        "#cloud-config\nhostname: other\nwrite_files:\n  - path: /etc/slipway/machine.yaml\n    \
         content: |\n      {document}\n  - path: {path}\n    content: x\n    permissions: '0600'\n"
    )
}

#[test]
fn what_an_envelope_carries_is_written_below_the_target() {
    let fixture = Fixture::qemu(&cloud_config("/etc/a/b"));
    let fetched = fixture.fetch();
    assert_eq!(fetched.carried, ["/etc/a/b"]);
    assert_eq!(fixture.text("sysroot/etc/a/b").as_deref(), Some("x"));
    assert_eq!(fixture.mode("sysroot/etc/a/b"), 0o600);
    let hostname = fixture.text("sysroot/etc/hostname");
    assert_eq!(hostname.as_deref(), Some("other\n"));
    assert_eq!(fixture.text("sysroot/etc/slipway/machine.yaml"), None);
    let kept = fixture
        .text("sysroot/var/lib/slipway/machine.yaml")
        .unwrap();
    assert!(
        kept.starts_with("# The smallest machine document"),
        "{kept}"
    );
    // The kept document is all that later boots read.
    fs::remove_file(fixture.dir.path().join("sysroot/etc/a/b")).unwrap();
    assert_eq!(fixture.fetch().carried, Vec::<String>::new());
    assert_eq!(fixture.text("sysroot/etc/a/b"), None);
    // So is the host name that came with it, until another document comes without one.
    let hostname = || fixture.text("sysroot/etc/hostname");
    assert_eq!(hostname().as_deref(), Some("other\n"));
    fixture.put("root/proc/cmdline", "slipway.platform=qemu slipway.refetch");
    fixture.fw_cfg(DOCUMENT, DOCUMENT.len());
    fixture.fetch();
    assert_eq!(hostname().as_deref(), Some("node-a\n"));
    fixture.put("root/proc/cmdline", "slipway.platform=qemu");
    fixture.fetch();
    assert_eq!(hostname().as_deref(), Some("node-a\n"));
}

#[test]
fn a_refetch_leaves_what_was_edited() {
    let mut fixture = Fixture::qemu(&cloud_config("/etc/a/b"));
    fixture.fetch();
    fixture.put("sysroot/etc/a/b", "mine");
    fixture.request.refetch = true;
    fixture.fetch();
    // cloud-config always overwrites; Ignition says so or does not.
    assert_eq!(fixture.text("sysroot/etc/a/b").as_deref(), Some("x"));
    let ignition = r#"{"ignition": {"version": "3.4.0"}, "storage": {"files": [
        {"path": "/etc/slipway/machine.yaml", "contents": {"source": "data:,DOCUMENT"}},
        {"path": "/etc/a/b", "contents": {"source": "data:,theirs"}}]}}"#;
    let document: String = DOCUMENT
        .bytes()
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    let ignition = ignition.replace("DOCUMENT", &document);
    fixture.fw_cfg(&ignition, ignition.len());
    fixture.put("sysroot/etc/a/b", "mine");
    fixture.fetch();
    assert_eq!(fixture.text("sysroot/etc/a/b").as_deref(), Some("mine"));
}

#[test]
fn an_envelope_without_a_document_is_none_where_none_is_required() {
    for envelope in [
        "#cloud-config\nusers: []\n",
        r#"{"ignition": {"version": "3.4.0"}}"#,
    ] {
        let fixture = Fixture::qemu(envelope);
        let (exit, text) = fixture.refusal();
        assert_eq!(exit, Exit::Invalid, "{text}");
        fixture.put(
            "root/proc/cmdline",
            "slipway.platform=qemu slipway.document=optional",
        );
        let Outcome::Nothing(why) = fetch(&fixture.request).unwrap() else {
            panic!("{envelope}")
        };
        assert!(
            why.contains("carries no /etc/slipway/machine.yaml"),
            "{why}"
        );
        assert_eq!(fixture.text("sysroot/var/lib/slipway/machine.yaml"), None);
    }
}

#[test]
fn an_envelope_that_writes_elsewhere_is_refused_whole() {
    let envelope = cloud_config("/usr/bin/slipway");
    let fixture = Fixture::qemu(&envelope);
    let (exit, text) = fixture.refusal();
    assert_eq!(exit, Exit::Invalid);
    let why = "\"/usr/bin/slipway\": only /etc";
    assert!(text.contains(why), "{text}");
    // `validate` says so where the envelope is made.
    fixture.put("envelope", &envelope);
    let error = document(&fixture.dir.path().join("envelope")).unwrap_err();
    assert!(format!("{error:#}").contains(why), "{error:#}");
}

#[test]
fn looking_writes_nothing() {
    let fixture = Fixture::qemu(&cloud_config("/etc/a/b"));
    let Outcome::Found(looked) = look(&fixture.request).unwrap() else {
        panic!()
    };
    assert_eq!(looked.carried, ["/etc/a/b"]);
    assert_eq!(fs::read_dir(&fixture.request.target).unwrap().count(), 0);
    assert!(!fixture.request.root.join("run").exists());
}
