use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const ONE: &str = "AGE-SECRET-KEY-1AWFVKDVY90J66SNZ9TZRKNE0SNRA4QWYEG6DAP9EE4JYYJZVL8SQCV3JNF";
const ITS_PUBLIC: &str = "age13teq7enpgkj897gd6ev855w5j44vl3vsq7qvrquksychxnpxhqss64zz8z";
/// What age 1.1.1 sealed to the key above and another one.
const BY_AGE: &str = "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSA3YXNEOEpIVytTT2p3cFZPMVhiQS96OS9Z\
    emRmbzVPQi85bExXa2w3UW1JCmFxMWpCWVRKKy81cDZEYnV3M25Dc3JJanB6eFlTUUVaYU0xNWhMOGRtNVkKLT4gWDI1NTE5\
    IE5rTW9KeTJ5QVhYUk04STlJMXVYUUJYa1djSTg4alIrcVpLTWpRMEhPaTgKTlM2ZG0zOWJ1VDdsdko3WXZ5eUNCa1I3K1ZG\
    YUEvb2ZoRlNzRzl4RC9lZwotLS0gRFBnZ3RVeWx0VERpcmRtaTcrQXNQMXQrVmdxLzFQV0h2am5FdGtqWXJDRQrhmNJ8LcyF\
    0kdeom3Z35RXM0vFUfwNboFrAR81XmARDwzv9WW6Ncyab0XDQnjhhmsOXPg+pBg=";

fn one() -> Vec<Identity> {
    identities(ONE.as_bytes()).unwrap()
}

fn another() -> Vec<Identity> {
    vec![Identity([7; keys::LENGTH])]
}

#[test]
fn what_age_sealed_is_opened() {
    let sealed = STANDARD.decode(BY_AGE).unwrap();
    assert_eq!(recipients_of(&sealed).unwrap(), 2);
    let opened = open(&sealed, &one()).unwrap();
    assert_eq!(opened.expose(), b"the keys of a cluster\n");
}

#[test]
fn every_recipient_opens_it_and_nobody_else() {
    for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let plain: Vec<u8> = (0..length).map(|at: u32| at as u8).collect();
        let recipients = [another()[0].recipient(), one()[0].recipient()];
        let sealed = seal(&plain, &recipients).unwrap();
        for identities in [one(), another()] {
            assert_eq!(open(&sealed, &identities).unwrap().expose(), plain);
        }
    }
    let sealed = seal(b"x", &[another()[0].recipient()]).unwrap();
    let error = open(&sealed, &one()).unwrap_err().to_string();
    assert!(error.contains("sealed to somebody else"), "{error}");
    assert!(seal(b"x", &[]).is_err());
}

#[test]
fn no_byte_can_be_changed_or_left_out() {
    let sealed = seal(b"the keys", &[one()[0].recipient()]).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(open(&changed, &one()).is_err(), "byte {at}");
        assert!(open(&sealed[..at], &one()).is_err(), "{at} bytes");
    }
    assert!(open(&[&sealed[..], b"x"].concat(), &one()).is_err());
    // Whole pieces, of several.
    let long = seal(&[1; 3 * 65_536], &[one()[0].recipient()]).unwrap();
    let piece = 65_536 + 16;
    for missing in [1, 2] {
        assert!(open(&long[..long.len() - missing * piece], &one()).is_err());
    }
}

#[test]
fn stanzas_of_other_kinds_are_passed_over() {
    let sealed = seal(b"the keys", &[one()[0].recipient()]).unwrap();
    let (mut header, rest) = Header::parse(&sealed).unwrap();
    let grease = "a-grease some args\nAAAA\n";
    let text = [VERSION, "\n-> ", grease, "--- "].concat() + &"A".repeat(43) + "\n";
    let (strange, _) = Header::parse(text.as_bytes()).unwrap();
    header.stanzas.extend(strange.stanzas);
    let file_key = unwrap(&header.stanzas[0], &one()[0]).unwrap().unwrap();
    let again = [&header.write(&mac_key(&file_key).unwrap())[..], rest].concat();
    assert_eq!(open(&again, &one()).unwrap().expose(), b"the keys");
    assert_eq!(recipients_of(&again).unwrap(), 1);
    // But not one that was added by somebody without the key.
    let text = String::from_utf8_lossy(&sealed[..VERSION.len() + 1]).into_owned();
    let added = [
        text.as_bytes(),
        b"-> ",
        grease.as_bytes(),
        &sealed[text.len()..],
    ]
    .concat();
    let error = open(&added, &one()).unwrap_err().to_string();
    assert!(error.contains("changed since it was sealed"), "{error}");
}

#[test]
fn a_body_of_whole_lines_ends_with_an_empty_one() {
    for length in [0, 47, 48, 49, 96] {
        let mut header = Header::default();
        let share = [3; keys::LENGTH];
        header.stanzas.push(Stanza::ours(&share, vec![9; length]));
        let bytes = header.write(&[1; 32]);
        let (read, rest) = Header::parse(&bytes).unwrap();
        assert_eq!(read.stanzas[0].body.len(), length);
        assert!(rest.is_empty() && read.check(&[1; 32]).is_ok() && read.check(&[2; 32]).is_err());
    }
}

#[test]
fn keys_are_read_and_written() {
    let identity: Identity = ONE.parse().unwrap();
    assert_eq!(identity.recipient().to_string(), ITS_PUBLIC);
    let recipient: Recipient = ITS_PUBLIC.parse().unwrap();
    assert_eq!(recipient, identity.recipient());
    assert!(!format!("{identity:?}").contains("SECRET"));
    let file = format!("# created: today\n# public key: {ITS_PUBLIC}\n\n{ONE}\r\n");
    assert_eq!(identities(file.as_bytes()).unwrap(), [identity]);
}

#[test]
fn what_is_no_key_is_named_and_never_shown() {
    let broken = ITS_PUBLIC.replace("13teq7", "13teq8");
    let table = [
        (ONE, "secret key"),
        (broken.as_str(), "do not fit together"),
        ("age1", "no public key of age"),
        ("ssh-ed25519 AAAA", "an SSH key"),
        ("age1pq1qqqq", "post-quantum"),
        // The point of order one.
        (
            "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqs8hvwpz",
            "",
        ),
    ];
    for (text, expected) in table {
        let error = format!("{:#}", text.parse::<Recipient>().unwrap_err());
        assert!(
            error.contains(expected) && !error.contains("AWFVKDVY90"),
            "{error}"
        );
    }
    let cut = &ONE[..ONE.len() - 1];
    for (file, expected) in [
        (format!("# a\n{cut}\n"), "line 2 is no secret key"),
        ("# a\n".to_owned(), "no key in it"),
        ("age-encryption.org/v1\n".to_owned(), "decrypt it first"),
    ] {
        let error = format!("{:#}", identities(file.as_bytes()).unwrap_err());
        assert!(
            error.contains(expected) && !error.contains("AWFVKDVY90"),
            "{error}"
        );
    }
}

#[test]
fn what_is_not_sealed_is_said() {
    for (bytes, expected) in [
        (&b""[..], "does not begin with"),
        (b"{}\n", "does not begin with"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "--armor"),
        (b"age-encryption.org/v2\n", "does not begin with"),
        (b"age-encryption.org/v1\nx\n", "damaged"),
        (b"age-encryption.org/v1\n", "does not end"),
        (b"age-encryption.org/v1\n--- \n", "sealed to somebody else"),
    ] {
        let error = open(bytes, &one()).map(drop).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{error}");
    }
}
