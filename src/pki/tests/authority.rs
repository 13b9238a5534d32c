//! An authority of the document: what is taken, what is refused.

use super::openssl::{Openssl, own, rsa_intermediate};
use super::*;

fn why(machine: &Machine, given: &Given, day: u32) -> (Exit, String) {
    let error = ensure(machine, given, &Assets::default(), at(day)).unwrap_err();
    (exit_of(&error), format!("{error:#}"))
}

/// A root, an intermediate below it, and what can be wrong with either.
#[test]
fn what_is_wrong_with_a_chain_is_said() {
    let (openssl, _, _) = rsa_intermediate();
    openssl.key("narrow", "P-256");
    openssl.authority(
        "narrow",
        "/CN=Narrow",
        None,
        "basicConstraints=critical,CA:true,pathlen:0",
    );
    openssl.key("below", "P-256");
    openssl.authority("below", "/CN=Below", Some("narrow"), "");
    openssl.key("leaf", "P-256");
    openssl.authority("leaf", "/CN=Leaf", None, "basicConstraints=CA:false");
    openssl.key("crl", "P-256");
    openssl.authority("crl", "/CN=Crl", None, "keyUsage=cRLSign");
    openssl.key("twice", "P-256");
    openssl.authority("twice", "/DC=com/DC=example/CN=Twice", None, "");
    for (name, extra) in [
        ("named", "nameConstraints=permitted;DNS:example.com"),
        ("strange", "1.2.3.4=critical,ASN1:NULL"),
        (
            "policies",
            "policyConstraints=critical,requireExplicitPolicy:0",
        ),
        ("harmless", "1.2.3.4=ASN1:NULL"),
    ] {
        openssl.key(name, "P-256");
        openssl.authority(name, &format!("/CN={name}"), None, extra);
    }
    openssl.key("under", "P-256");
    openssl.authority("under", "/CN=Under", Some("named"), "");
    openssl.key("impostor", "rsa:2048");
    openssl.authority("impostor", "/C=NL/O=Example/CN=Root", None, "");
    let read = |names: &[&str]| -> String {
        let texts = names
            .iter()
            .map(|name| openssl.read(&format!("{name}.crt")));
        texts.collect()
    };
    let table = [
        (
            read(&["root", "inter"]),
            "root",
            "certificate 1 (C=NL, O=Example, CN=Root)",
        ),
        (
            read(&["root", "inter"]),
            "root",
            "but O=Example, CN=Clusters follows it",
        ),
        (
            read(&["inter"]),
            "inter",
            "it is the last one, but no root: it was signed by C=NL, O=Example, CN=Root",
        ),
        (
            read(&["inter", "impostor"]),
            "inter",
            "has the right name but another key",
        ),
        (
            read(&["inter", "root"]),
            "root",
            "authority.key: it does not belong to the certificate",
        ),
        (
            read(&["inter", "root"]),
            "leaf",
            "authority.key: it does not belong to the certificate",
        ),
        (
            read(&["below", "narrow"]),
            "below",
            "it allows 0 authorities below it (pathlen), and there are 1",
        ),
        (read(&["leaf"]), "leaf", "it is no authority"),
        (read(&["crl"]), "crl", "keyUsage without keyCertSign"),
        (read(&["twice"]), "twice", "two parts of one kind"),
        (
            read(&["under", "named"]),
            "under",
            "certificate 2 (CN=named): it has nameConstraints, ",
        ),
        (
            read(&["strange"]),
            "strange",
            "certificate 1 (CN=strange): it has the critical extension 1.2.3.4,",
        ),
        (
            read(&["policies"]),
            "policies",
            "it has the critical extension 2.5.29.36,",
        ),
        (read(&["root"]).repeat(9), "root", "it has 9 certificates"),
        ("nothing".to_owned(), "root", "it holds no PEM certificate"),
    ];
    for (chain, key, expected) in table {
        let (machine, given) = own(&chain, Some(&openssl.read(&format!("{key}.key"))));
        let (exit, text) = why(&machine, &given, 1);
        assert_eq!(exit, Exit::Invalid, "{text}");
        assert!(text.contains("certificates.authority"), "{text}");
        assert!(text.contains(expected), "{text}\nshould say: {expected}");
    }
    let (machine, given) = own(&read(&["harmless"]), Some(&openssl.read("harmless.key")));
    ensure(&machine, &given, &Assets::default(), at(1)).unwrap();
    let (machine, given) = own(&read(&["inter", "root"]), Some(&openssl.read("inter.key")));
    assert!(
        why(&machine, &given, 3700)
            .1
            .contains("it expired on 2036-11-17")
    );
}

#[test]
fn what_is_wrong_with_a_key_is_said() {
    let openssl = Openssl::new();
    openssl.key("root", "P-256");
    openssl.authority("root", "/CN=Root", None, "");
    openssl.ok("pkey -in root.key -aes256 -passout pass:x -out encrypted.key");
    openssl.key("small", "rsa:1024");
    openssl.key("other", "P-521");
    openssl.ok("genpkey -algorithm ED25519 -out ed.key");
    let half = openssl
        .read("root.key")
        .replace("MIGHAgEAMBMGByqGSM49", "MIGHAgEAMBMGByqGSM48");
    openssl.write("half.key", half);
    for (key, expected) in [
        (
            "encrypted",
            "it is encrypted; decrypt it with `openssl pkey -in KEY`",
        ),
        ("small", "it is no RSA key of 2048 to 4096 bits"),
        ("other", "of another kind than RSA, P-256 and P-384"),
        ("ed", "of another kind than RSA, P-256 and P-384"),
        ("half", "of another kind than RSA, P-256 and P-384"),
    ] {
        let (machine, given) = own(
            &openssl.read("root.crt"),
            Some(&openssl.read(&format!("{key}.key"))),
        );
        let (exit, text) = why(&machine, &given, 1);
        assert_eq!(exit, Exit::Invalid, "{text}");
        assert!(
            text.contains("certificates.authority") && text.contains("key: "),
            "{text}"
        );
        assert!(text.contains(expected), "{text}\nshould say: {expected}");
    }
}

#[test]
fn an_authority_stays_and_another_one_is_refused() {
    let (openssl, machine, given) = rsa_intermediate();
    let (secrets, issued) = ensure(&machine, &given, &Assets::default(), at(1)).unwrap();
    assert_eq!((issued[0].name, issued.len()), ("tls/ca", 17));
    assert!(secrets.can_sign());
    let assets = rendered(&machine, &secrets);
    // The same key in another form, and one that was lost here: the document has it.
    let (_, other_form) = own("", Some(&openssl.read("inter.key")));
    for assets in [&assets, &without(&assets, &["tls/ca.key"])] {
        let (again, issued) = ensure(&machine, &other_form, assets, at(2)).unwrap();
        assert_eq!((&again, issued), (&secrets, vec![]));
    }
    let plain = super::machine("");
    openssl.key("new", "P-256");
    openssl.authority("new", "/CN=New", None, "");
    let (new, new_key) = own(&openssl.read("new.crt"), Some(&openssl.read("new.key")));
    for (machine, given) in [(&plain, &Given::default()), (&new, &new_key)] {
        let error = ensure(machine, given, &assets, at(2)).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert!(
            format!("{error:#}").contains("certs rotate trust"),
            "{error:#}"
        );
    }
    let (made, _) = ensure(&plain, &Given::default(), &Assets::default(), at(1)).unwrap();
    let error = ensure(&new, &new_key, &rendered(&plain, &made), at(2)).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Refused);
}

/// The one that slipway made may be copied into the document; its key stays where it is.
#[test]
fn a_made_authority_in_the_document_is_the_same() {
    let (_, secrets, assets) = first();
    for key in [
        None,
        Some(std::str::from_utf8(secrets.pair("tls/ca").unwrap().key.expose()).unwrap()),
    ] {
        let (machine, given) = own(secrets.cert("tls/ca").unwrap(), key);
        let (again, issued) = ensure(&machine, &given, &assets, at(1)).unwrap();
        assert_eq!((&again, issued), (&secrets, vec![]));
    }
}

#[test]
fn an_authority_whose_key_the_document_takes_back_signs_no_more() {
    let (_, machine, given) = rsa_intermediate();
    let (secrets, _) = ensure(&machine, &given, &Assets::default(), at(1)).unwrap();
    let assets = rendered(&machine, &secrets);
    let (again, issued) = ensure(&machine, &Given::default(), &assets, at(2)).unwrap();
    assert_eq!(issued, []);
    // Only what has every right because the key was there has to be another.
    let missing = (
        "tls/kube-controller-manager",
        "its subject changed".to_owned(),
    );
    assert_eq!(again.missing, [missing]);
    assert!(!again.can_sign() && again.pair("tls/ca").is_err());
    assert_eq!(
        again.cert("tls/ca").unwrap(),
        secrets.cert("tls/ca").unwrap()
    );
}
