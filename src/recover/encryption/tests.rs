use super::*;

const PLAIN: &[u8] = b"k8s\0the plain text of an object";
const KEY: &[u8] = b"/registry/secrets/default/x";
/// Made by Go's crypto/aes and golang.org/x/crypto/nacl/secretbox, with keys of N times the byte N.
const ENCRYPTED: [(&str, usize, &str); 7] = [
    (
        "aescbc",
        16,
        "BwcHBwcHBwcHBwcHBwcHB0qN+2QU5oi11kf6Po41EvS4VK7nT//Gtq+KsJ/vhnkE",
    ),
    (
        "aesgcm",
        16,
        "CQkJCQkJCQkJCQkJsLT6Ksz3+VT2FgVBK7bGnWdvnd8lb29wTioi5kZq+RLBckpKDEBjC0xQTfMpkPU=",
    ),
    (
        "aescbc",
        24,
        "BwcHBwcHBwcHBwcHBwcHByfSM79mT7ntB9tEoQ4gJcfFCd0GmS8Ac2AF+UEsL3rl",
    ),
    (
        "aesgcm",
        24,
        "CQkJCQkJCQkJCQkJCQJM6EvFOqYyEN7gorJPrurXEWgqD632rsa3zseACv9Zmiep+peqhZcRZpRN888=",
    ),
    (
        "aescbc",
        32,
        "BwcHBwcHBwcHBwcHBwcHB5ofVjJu389JlJfbraz87l8NzdfsdDUhjw0/SqDsWVnt",
    ),
    (
        "aesgcm",
        32,
        "CQkJCQkJCQkJCQkJYBYFV4+3lMVA/rIDN+9osuWC7ciMFAMVU3tpzMNa+jZPotrEPsU702EBtRooGzk=",
    ),
    (
        "secretbox",
        32,
        "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFQNUysJH8TfvJSSkD+UrzpYUBBhS1rC+sTK5SRTj1VqxTbEvrMoG4jqxvdD70AhE=",
    ),
];

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn unbase64(text: &str) -> Vec<u8> {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

/// A provider with keys of so many times these bytes.
fn provider(kind: &str, keys: &[(&str, usize, u8)]) -> String {
    let keys = keys.iter().map(|(name, length, byte)| {
        let secret = base64(&vec![*byte; *length]);
        format!("{{name: {name}, secret: {secret}}}")
    });
    format!(
        "{kind}: {{keys: [{}]}}",
        keys.collect::<Vec<_>>().join(", ")
    )
}

fn config(rules: &[(&str, &[String])]) -> String {
    let mut text =
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"
            .to_owned();
    for (resources, providers) in rules {
        text.push_str(&format!("- resources: [{resources}]\n  providers:\n"));
        for provider in *providers {
            text.push_str(&format!("  - {provider}\n"));
        }
    }
    text
}

fn providers(rules: &[(&str, &[String])]) -> Providers {
    Providers::parse(config(rules).as_bytes()).unwrap()
}

fn stored(kind: &str, name: &str, body: &[u8]) -> Vec<u8> {
    [format!("k8s:enc:{kind}:v1:{name}:").as_bytes(), body].concat()
}

fn error(result: Result<Secret>) -> String {
    format!("{:#}", result.unwrap_err())
}

#[test]
fn what_go_encrypted_is_opened_and_damage_is_not() {
    for (kind, length, body) in ENCRYPTED {
        let byte = u8::try_from(length).unwrap();
        let good = providers(&[("secrets", &[provider(kind, &[("a", length, byte)])])]);
        let body = unbase64(body);
        let open = |body: &[u8]| good.decrypt("secrets", KEY, &stored(kind, "a", body));
        assert_eq!(open(&body).unwrap().expose(), PLAIN, "{kind} {length}");
        // Of CBC the last block is checked by its padding, the first by what an object begins with.
        for at in [0, body.len() - 1] {
            let mut damaged = body.clone();
            damaged[at] ^= 0x80;
            assert!(
                error(open(&damaged)).contains("does not open it"),
                "{kind} {length} {at}"
            );
        }
        for cut in 0..body.len() {
            assert!(open(&body[..cut]).is_err(), "{kind} {length} {cut}");
        }
        let wrong = providers(&[("secrets", &[provider(kind, &[("a", length, 1)])])]);
        let got = error(wrong.decrypt("secrets", KEY, &stored(kind, "a", &body)));
        assert!(
            got.contains(&format!("by {kind} with the key \"a\"")),
            "{got}"
        );
        if kind == "aesgcm" {
            let moved = good.decrypt(
                "secrets",
                b"/registry/secrets/default/y",
                &stored(kind, "a", &body),
            );
            assert!(error(moved).contains("damaged or moved"));
        }
    }
}

#[test]
fn every_key_of_the_name_is_tried_in_order() {
    let (_, _, body) = ENCRYPTED[4];
    let value = stored("aescbc", "a:b", &unbase64(body));
    let rotated = providers(&[(
        "secrets",
        &[
            "identity: {}".to_owned(),
            provider("aesgcm", &[("a:b", 32, 32)]),
            provider("aescbc", &[("c", 32, 32), ("\"a:b\"", 32, 1)]),
            provider("aescbc", &[("\"a:b\"", 32, 32)]),
        ],
    )]);
    assert_eq!(
        rotated.decrypt("secrets", KEY, &value).unwrap().expose(),
        PLAIN
    );
    assert_eq!(
        rotated.decrypt("secrets", KEY, PLAIN).unwrap().expose(),
        PLAIN
    );
}

#[test]
fn the_rule_is_the_resources_own_then_its_groups_then_everyones() {
    let of = |name: &str| [provider("aescbc", &[(name, 32, 32)])];
    let (a, b, c, d, e) = (of("a"), of("b"), of("c"), of("d"), of("e"));
    let rules = providers(&[
        ("secrets, widgets.example.com", &a),
        ("'*.'", &b),
        ("'*.apps'", &c),
        ("events", &["identity: {}".to_owned()]),
        ("'*.*'", &d),
        ("widgets.example.com", &e),
    ]);
    let body = unbase64(ENCRYPTED[4].2);
    let cases = [
        ("secrets", "a"),
        ("widgets.example.com", "a"),
        ("widgets.example.com", "e"),
        ("configmaps", "b"),
        ("deployments.apps", "c"),
        ("gadgets.example.com", "d"),
        ("deployments.apps.example.com", "d"),
    ];
    for (resource, name) in cases {
        for other in ["a", "b", "c", "d", "e"] {
            let may =
                other == name || resource == "widgets.example.com" && matches!(other, "a" | "e");
            let opened = rules.decrypt(resource, KEY, &stored("aescbc", other, &body));
            assert_eq!(opened.is_ok(), may, "{resource} {other}");
        }
    }
    assert!(rules.decrypt("events", KEY, PLAIN).is_ok());
    assert!(
        rules
            .decrypt("events", KEY, &stored("aescbc", "d", &body))
            .is_err()
    );
}

#[test]
fn what_cannot_be_opened_says_why() {
    let one = providers(&[(
        "secrets",
        &[provider("aescbc", &[("new", 32, 1), ("newer", 32, 2)])],
    )]);
    let none = Providers::default();
    let kms = providers(&[(
        "secrets",
        &["kms: {apiVersion: v2, name: x, endpoint: unix:///x}".to_owned()],
    )]);
    let cases: [(&Providers, &[u8], &str); 7] = [
        (
            &one,
            b"k8s:enc:aescbc:v1:old:x",
            "the key \"old\", and the encryption configuration has the keys \"new\", \"newer\" of aescbc",
        ),
        (
            &one,
            b"k8s:enc:aesgcm:v1:new:x",
            "the key \"new\", and the encryption configuration has no key of aesgcm",
        ),
        (
            &none,
            b"k8s:enc:secretbox:v1:k\n\x1b:x",
            "the key \"k\\n\\u{1b}\", and no encryption configuration is given",
        ),
        (&one, PLAIN, "stored in plain text"),
        (
            &one,
            b"k8s:enc:aescbc:v2:new:x",
            "a provider that is not known",
        ),
        (
            &kms,
            b"k8s:enc:kms:v2:x:x",
            "by a KMS plugin, which keeps its key for itself",
        ),
        (
            &none,
            b"k8s:enc:kms:v1:x:x",
            "recover from it with --kubeconfig",
        ),
    ];
    for (providers, value, want) in cases {
        let got = error(providers.decrypt("secrets", KEY, value));
        assert!(got.contains(want), "{got}");
    }
    assert_eq!(none.decrypt("secrets", KEY, PLAIN).unwrap().expose(), PLAIN);
    assert_eq!(one.decrypt("pods", KEY, PLAIN).unwrap().expose(), PLAIN);
}

#[test]
fn a_wrong_configuration_is_refused_without_its_values() {
    let key = "AAAAAAAAAAAAAAAAAAAAAA==";
    let head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n";
    let keys = |keys: &str| {
        format!(
            "{head}resources: [{{resources: [secrets], providers: [{{aescbc: {{keys: {keys}}}}}]}}]"
        )
    };
    let at = "resources[0].providers[0].aescbc";
    let cases = [
        (String::new(), "the document is not a mapping".to_owned()),
        (
            "kind: EncryptionConfiguration".to_owned(),
            "its apiVersion is not".to_owned(),
        ),
        (
            head.to_owned(),
            "resources is not a list with something".to_owned(),
        ),
        (
            format!("{head}resources: []"),
            "resources is not a list with something".to_owned(),
        ),
        (
            format!("{head}more: {key}"),
            "the document has a key that is not one of".to_owned(),
        ),
        (
            format!("{head}resources: [{key}]"),
            "resources[0] is not a mapping".to_owned(),
        ),
        (keys("[]"), format!("{at}.keys is not a list")),
        (
            keys(&format!("[{{secret: {key}}}]")),
            format!("{at}.keys[0].name is not a text"),
        ),
        (
            keys(&format!("[{{name: a, secrets: {key}}}]")),
            format!("{at}.keys[0] has a key that is not one of"),
        ),
        (
            keys("[{name: a, secret: AAA}]"),
            format!("{at}.keys[0].secret is not base64"),
        ),
        (
            keys("[{name: a, secret: AAAA}]"),
            format!("{at}.keys[0].secret has 3 bytes"),
        ),
        (
            keys("[{name: a, secret: 0777}]"),
            "line 3 is not read".to_owned(),
        ),
        (
            keys(&format!("[{{name: a, secret: {key}}}, &x a]")),
            "line 3 is not read".to_owned(),
        ),
        (
            format!(
                "{head}resources: [{{resources: [x], providers: [{{identity: {{}}, kms: {{}}}}]}}]"
            ),
            "resources[0].providers[0] must be one provider".to_owned(),
        ),
        (
            format!(
                "{head}resources: [{{resources: [x], providers: [{{secretbox: {{keys: [{{name: a, secret: {key}}}]}}}}]}}]"
            ),
            "has 16 bytes, which is no key of secretbox".to_owned(),
        ),
    ];
    for (text, want) in cases {
        let got = format!("{:#}", Providers::parse(text.as_bytes()).unwrap_err());
        assert!(got.contains(&want), "{text}: {got}");
        for value in [key, "AAA", "0777"] {
            assert!(!got.contains(value), "{got}");
        }
    }
    let shown = format!(
        "{:?}",
        providers(&[("secrets", &[provider("aescbc", &[("a", 16, 0)])])])
    );
    assert!(
        shown.contains("(secret)") && !shown.contains("[0"),
        "{shown}"
    );
}

/// What an API server encrypted, with keys of the byte 1 (the scenario `recover-decoder` keeps it).
#[test]
fn what_an_api_server_encrypted_is_opened() {
    for (kind, length) in [("aescbc", 32), ("aesgcm", 24), ("secretbox", 32)] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stored");
        let stored = std::fs::read(format!("{folder}/{kind}-secret")).unwrap();
        let providers = providers(&[("secrets", &[provider(kind, &[("one", length, 1)])])]);
        let key = b"/registry/secrets/stored/mine";
        let plain = providers.decrypt("secrets", key, &stored).unwrap();
        let decoded = decode::object("x", plain.expose()).unwrap();
        assert_eq!(decoded.object["metadata"]["name"], "mine");
    }
}
