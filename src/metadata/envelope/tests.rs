use super::gzip::tests::pack;
use super::*;
use crate::exit::exit_of;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

const NATIVE: &[u8] = b"apiVersion: slipway.dev/v1alpha1\n";

#[test]
fn native_documents_pass_unchanged() {
    let json: &[u8] =
        b"{\"apiVersion\": \"slipway.dev/v1alpha1\", \"cluster\": {\"name\": \"ignition\"}}";
    for native in [
        NATIVE,
        b"# comment\n",
        b"",
        b"\xef\xbb\xbfa: b",
        b"\xff",
        json,
    ] {
        assert_eq!(open(native, &Offline).unwrap(), Delivery::of(native));
    }
}

#[test]
fn packed_once_is_opened_and_twice_is_refused() {
    let once = pack(NATIVE);
    assert_eq!(open(&once, &Offline).unwrap(), Delivery::of(NATIVE));
    let error = open(&pack(&once), &Offline).unwrap_err();
    assert!(error.to_string().contains("gzip within gzip"), "{error}");
    assert_eq!(exit_of(&error), Exit::Invalid);
}

#[test]
fn each_part_of_a_message_may_be_packed_once() {
    let part = |bytes: &[u8]| {
        let text = STANDARD.encode(bytes);
        format!("--b\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n{text}\n")
    };
    let files = b"#cloud-config\nwrite_files: [{path: /etc/motd, content: hello}]\n";
    let head = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n";
    let message = |parts: &[String]| format!("{head}{}--b--\n", parts.concat());

    let both = message(&[part(&pack(NATIVE)), part(&pack(files))]);
    let delivery = open(both.as_bytes(), &Offline).unwrap();
    assert_eq!(delivery.document.expose(), NATIVE);
    assert_eq!(delivery.entries.len(), 1);

    let blank = "#cloud-config\n".to_owned() + &" ".repeat(3 << 20);
    let large = part(&pack(blank.as_bytes()));
    assert!(open(message(&[part(NATIVE), large.clone()]).as_bytes(), &Offline).is_ok());
    let error = open(message(&[large.clone(), large]).as_bytes(), &Offline).unwrap_err();
    let shown = format!("{error:#}");
    assert!(
        shown.contains("part 2") && shown.contains("together"),
        "{shown}"
    );
    assert_eq!(exit_of(&error), Exit::Invalid);

    let twice = message(&[part(&pack(&pack(NATIVE)))]);
    for refused in [twice.into_bytes(), pack(both.as_bytes())] {
        let error = format!("{:#}", open(&refused, &Offline).unwrap_err());
        assert!(error.contains("gzip within gzip"), "{error}");
    }
}

#[test]
fn scripts_and_their_like_are_refused_by_name() {
    let cases = [
        ("#!/bin/sh\n", "a script (#!)"),
        ("## template: jinja\n#cloud-config\n", "a Jinja template"),
        ("#include\nhttps://x\n", "an #include list"),
        ("#include-once\n", "an #include-once list"),
        ("#cloud-boothook\n", "a #cloud-boothook"),
        ("#cloud-config-archive\n", "a #cloud-config-archive"),
        ("#cloud-config-jsonp\n", "a #cloud-config-jsonp"),
        ("#part-handler\n", "a #part-handler"),
        ("#upstart-job\n", "an #upstart-job"),
        ("#cloud-config v2\n", "almost a #cloud-config"),
        ("variant: fcos\nversion: 1.5.0\n", "a Butane config"),
    ];
    for (text, want) in cases {
        for bytes in [text.as_bytes().to_vec(), pack(text.as_bytes())] {
            let error = open(&bytes, &Offline).unwrap_err();
            assert!(
                error.to_string().contains(&format!("it is {want}")),
                "{error}"
            );
            assert_eq!(exit_of(&error), Exit::Invalid);
        }
    }
}

#[test]
fn a_text_has_its_limit() {
    let most = vec![b'a'; MAX_TEXT as usize];
    assert!(open(&most, &Offline).is_ok());
    let error = open(&[&*most, b"a"].concat(), &Offline).unwrap_err();
    assert!(error.to_string().contains("4096 KiB"), "{error}");
    let zeros = pack(&vec![0; MAX_TEXT as usize + 1]);
    assert!(open(&zeros, &Offline).is_err());
}

proptest! {
    #[test]
    fn anything_gets_an_answer(
        start in "|#cloud-config\n|\\{\"ignition\": \\{\"version\": \"3.4.0\"\\},|MIME-Version: 1.0\n|\u{1f}",
        rest in "\\PC{0,60}|[-#:{},\\[\\]&*!|>'\" \n\t0-9a-z]{0,60}",
    ) {
        let _ = open(format!("{start}{rest}").as_bytes(), &Offline);
    }
}
