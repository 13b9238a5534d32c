use super::*;
use crate::exit::exit_of;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

fn message(parts: &[&str]) -> String {
    let parts: Vec<_> = parts
        .iter()
        .map(|part| format!("--=_x\n{part}\n"))
        .collect();
    let start = "Content-Type: multipart/mixed; boundary=\"=_x\"\nMIME-Version: 1.0\n\npreamble\n";
    format!("{start}{}--=_x--\nepilogue", parts.concat())
}

fn parts(text: &str) -> Vec<(String, String)> {
    let parts = parse(text.as_bytes()).unwrap();
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    parts
        .into_iter()
        .map(|part| (part.kind, text(&part.body)))
        .collect()
}

#[test]
fn parts_are_decoded() {
    let text = message(&[
        "Content-Type: text/cloud-config; charset=\"us-ascii\"\nContent-Transfer-Encoding: 7bit\n\na\n--=_xy\n",
        "Content-Type: Text/Plain\nContent-Transfer-Encoding: BASE64\n\naG\nk=\n",
        "\nplain",
    ]);
    let want = [
        ("text/cloud-config", "a\n--=_xy\n"),
        ("text/plain", "hi"),
        ("text/plain", "plain"),
    ];
    let want = want.map(|(kind, body)| (kind.to_owned(), body.to_owned()));
    assert_eq!(parts(&text), want);
    let windows: Vec<_> = parts(&text.replace('\n', "\r\n"));
    assert_eq!(windows.first().unwrap().1, "a\r\n--=_xy\r\n");
}

#[test]
fn a_message_may_be_one_part() {
    let text = "MIME-Version: 1.0\nContent-Type: text/cloud-config\n\n#cloud-config\n";
    let want = ("text/cloud-config".to_owned(), "#cloud-config\n".to_owned());
    assert_eq!(parts(text), [want]);
}

#[test]
fn refused_by_name() {
    let many = vec!["\nx"; MAX_PARTS + 1];
    let cases = [
        (
            message(&["Content-Transfer-Encoding: quoted-printable\n\nx"]),
            "quoted-printable",
        ),
        (
            message(&["Content-Type: multipart/mixed; boundary=y\n\n--y--"]),
            "part 1",
        ),
        (
            message(&["Content-Transfer-Encoding: base64\n\n!secret"]),
            "base64",
        ),
        (message(&["secret"]), "blank line"),
        (message(&many), "more than 64 parts"),
        (message(&["\nx"]).replace("_x--", "_x"), "cut off"),
        ("Content-Type: multipart/mixed\n\n".to_owned(), "boundary"),
        (
            "Content-Type: multipart/mixed; boundary=\"\"\n\n----\n".to_owned(),
            "boundary",
        ),
    ];
    for (text, want) in cases {
        let error = parse(text.as_bytes()).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(want), "{want}: {text}");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(exit_of(&error), Exit::Invalid);
    }
}

proptest! {
    #[test]
    fn base64_bodies_come_back(bodies in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
        let texts: Vec<_> = bodies
            .iter()
            .map(|body| format!("Content-Transfer-Encoding: base64\n\n{}", STANDARD.encode(body)))
            .collect();
        let text = message(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let parsed: Vec<_> = parse(text.as_bytes()).unwrap().into_iter().map(|part| part.body.into_owned()).collect();
        prop_assert_eq!(parsed, bodies);
    }

    #[test]
    fn anything_gets_an_answer(text in "(Content-Type: [a-z/;=\"]{0,20}|--=_x|-|\n|\r\n|[a-z :;]{0,9}|\\PC{0,9}){0,20}") {
        let _ = parse(text.as_bytes());
        let _ = parse(message(&[&text]).as_bytes());
    }
}
