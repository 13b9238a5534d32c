use std::net::IpAddr;

use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, KeyPair};

use super::testing::{Parts, attribute, extension, extensions, names_of, pem, value};
use super::*;

/// Written by `openssl req -new -subj /O=system:nodes/CN=system:node:node-a
/// -addext subjectAltName=DNS:node-a,IP:10.0.2.15,IP:fd00::15`.
const OPENSSL: &str = include_str!("../../../tests/requests/openssl.pem");

fn node() -> Parts {
    let addresses = ["10.0.2.15".parse().unwrap(), "fd00::15".parse().unwrap()];
    Parts::new(
        "system:node:node-a",
        "system:nodes",
        &["node-a"],
        &addresses,
    )
}

fn expected() -> Request {
    Request {
        common_name: "system:node:node-a".to_owned(),
        organization: "system:nodes".to_owned(),
        dns_names: vec!["node-a".to_owned()],
        addresses: vec!["10.0.2.15".parse().unwrap(), "fd00::15".parse().unwrap()],
    }
}

#[test]
fn what_openssl_rcgen_and_the_tests_write() {
    let mut params =
        CertificateParams::new(["node-a", "10.0.2.15", "fd00::15"].map(str::to_owned)).unwrap();
    let subject = &mut params.distinguished_name;
    *subject = rcgen::DistinguishedName::new();
    subject.push(DnType::OrganizationName, "system:nodes");
    subject.push(DnType::CommonName, "system:node:node-a");
    let key = KeyPair::generate().unwrap();
    let rcgen = params.serialize_request(&key).unwrap().pem().unwrap();
    for text in [
        OPENSSL,
        &rcgen,
        &node().pem(),
        &OPENSSL.replace('\n', "\r\n"),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap(), expected());
    }
    let mut critical = node();
    let content = value(SEQUENCE, &[&value(DNS, &[b"a"])]);
    let flag = value(BOOLEAN, &[&[0xff]]);
    critical.attributes = vec![extensions(&[extension(SUBJECT_ALT_NAME, &flag, &content)])];
    assert_eq!(parse(critical.pem().as_bytes()).unwrap().dns_names, ["a"]);
}

#[test]
fn a_client_needs_no_names() {
    let read = parse(with(|parts| parts.attributes.clear()).as_bytes()).unwrap();
    let mut wanted = expected();
    wanted.dns_names.clear();
    wanted.addresses.clear();
    assert_eq!(read, wanted);
}

#[test]
fn an_ipv4_address_is_one_however_it_is_written() {
    let mapped: IpAddr = "::ffff:10.0.2.15".parse().unwrap();
    let request = Parts::new("a", "b", &[], &[mapped]).pem();
    let expected: IpAddr = "10.0.2.15".parse().unwrap();
    assert_eq!(parse(request.as_bytes()).unwrap().addresses, [expected]);
}

/// A kubelet's request with one thing changed.
fn with(change: impl FnOnce(&mut Parts)) -> String {
    let mut parts = node();
    change(&mut parts);
    parts.pem()
}

fn with_names(names: &[Vec<u8>]) -> String {
    with(|parts| parts.attributes = vec![extensions(&[names_of(names)])])
}

fn with_extensions(list: &[Vec<u8>]) -> String {
    with(|parts| parts.attributes = vec![extensions(list)])
}

#[test]
fn what_no_kubelet_writes_is_refused_by_its_name() {
    let names = || names_of(&[value(DNS, &[b"node-a"])]);
    let other_extension = |flag: &[u8]| extension(&[0x55, 0x1d, 19], flag, &[0x30, 0]);
    let critical = value(BOOLEAN, &[&[0xff]]);
    let cn = |text: &str| attribute(COMMON_NAME, UTF8_STRING, text);
    let password = value(SEQUENCE, &[&value(OID, &[&[0x2a, 3]]), &value(SET, &[])]);
    let table = [
        (
            with(|p| p.subject.push(cn("system:node:b"))),
            "several common names",
        ),
        (
            with(|p| {
                p.subject
                    .push(attribute(ORGANIZATION, UTF8_STRING, "system:masters"))
            }),
            "several common names or organizations",
        ),
        (
            with(|p| p.subject.push(attribute(&[0x55, 4, 11], UTF8_STRING, "x"))),
            "more than a common name",
        ),
        (
            with(|p| {
                p.subject.remove(1);
            }),
            "no common name",
        ),
        (
            with(|p| {
                p.subject.remove(0);
            }),
            "no organization",
        ),
        (
            with(|p| p.subject[1] = attribute(COMMON_NAME, 0x1e, "\0a")),
            "unusual kind 0x1e",
        ),
        (
            with(|p| p.subject[1] = value(SET, &[&cn("a")[2..], &cn("b")[2..]])),
            "something stands behind",
        ),
        (
            with(|p| p.version = value(INTEGER, &[&[1]])),
            "unknown version",
        ),
        (
            with(|p| p.rest = vec![5, 0]),
            "something stands behind its end",
        ),
        (
            with(|p| p.attributes.push(p.attributes[0].clone())),
            "attributes beside",
        ),
        (
            with(|p| p.attributes.insert(0, password.clone())),
            "attributes beside",
        ),
        (with(|p| p.attributes = vec![password]), "attributes beside"),
        (with_extensions(&[]), "asks for no names"),
        (with_extensions(&[names(), names()]), "extensions beside"),
        (
            with_extensions(&[names(), other_extension(&[])]),
            "extensions beside",
        ),
        (
            with_extensions(&[other_extension(&critical), names()]),
            "extensions beside",
        ),
        (
            with_extensions(&[other_extension(&critical)]),
            "extensions beside",
        ),
        (
            with_extensions(&[extension(
                SUBJECT_ALT_NAME,
                &value(BOOLEAN, &[&[1]]),
                &[0x30, 0],
            )]),
            "unusual form",
        ),
        (
            with_extensions(&[extension(SUBJECT_ALT_NAME, &[], &[0x30, 0, 5, 0])]),
            "something stands behind",
        ),
        (
            with_names(&[value(EMAIL, &[b"a@b.example"])]),
            "e-mail address \"a@b.example\"",
        ),
        (
            with_names(&[value(URI, &[b"spiffe://a"])]),
            "URI \"spiffe://a\"",
        ),
        (with_names(&[value(0xa0, &[&[5, 0]])]), "unusual kind 0xa0"),
        (
            with_names(&[value(ADDRESS, &[&[10, 0, 2]])]),
            "an address that is none",
        ),
        (with_names(&[value(DNS, &[b"\xff"])]), "not UTF-8"),
        (
            pem(&[node().der(), vec![0]].concat()),
            "something stands behind its end",
        ),
        (format!("{}{}", node().pem(), node().pem()), "no base64"),
        (format!("x\n{}", node().pem()), "not one PEM block"),
        (
            node().pem().replace("-----\nM", "-----\nA: b\n\nM"),
            "no base64",
        ),
        (
            node().pem().replace("CERTIFICATE REQUEST", "CERTIFICATE"),
            "not one PEM block",
        ),
        (String::new(), "not one PEM block"),
    ];
    for (text, why) in table {
        let error = parse(text.as_bytes()).map(|read| format!("{read:?}"));
        let error = format!("{:#}", error.expect_err(why));
        assert!(error.contains(why), "{error:?} does not say {why:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&bytes));
        drop(parse(pem(&bytes).as_bytes()));
    }

    #[test]
    fn what_is_written_is_read(
        cn in "[ -~]{1,300}", dns in proptest::collection::vec("[a-z.-]{0,40}", 0..20), ips in proptest::collection::vec(any::<u32>(), 0..20),
    ) {
        let addresses: Vec<_> = ips.into_iter().map(|ip| IpAddr::V4(ip.into())).collect();
        let names: Vec<_> = dns.iter().map(String::as_str).collect();
        let read = parse(Parts::new(&cn, "o", &names, &addresses).pem().as_bytes()).unwrap();
        prop_assert_eq!(read, Request { common_name: cn, organization: "o".to_owned(), dns_names: dns, addresses });
    }

    #[test]
    fn a_part_of_a_request_is_none(cut in 1usize..120) {
        let whole = node().der();
        let end = whole.len().saturating_sub(cut);
        prop_assert!(parse(pem(&whole[..end]).as_bytes()).is_err());
    }
}
