//! openssl's word: what was made verifies, says what it should and no more.

use std::collections::BTreeSet;

use super::openssl::{Openssl, own, rsa_intermediate};
use super::*;
use crate::config::machine::{Endpoint, Etcd, ExternalEtcd};
use crate::config::sensitive::Sensitive;

/// What openssl says about a certificate's alternative names.
fn names_of(openssl: &Openssl, file: &str) -> BTreeSet<String> {
    let text = openssl.ok(&format!("x509 -in {file} -noout -ext subjectAltName"));
    let names = text
        .lines()
        .filter(|line| !line.contains("X509v3"))
        .collect::<String>();
    names
        .split(',')
        .map(|name| match name.trim().strip_prefix("IP Address:") {
            Some(address) => format!("IP:{}", address.parse::<std::net::IpAddr>().unwrap()),
            None => name.trim().to_owned(),
        })
        .filter(|name| !name.is_empty() && !name.contains("No extensions"))
        .collect()
}

/// Every certificate of a rendering verifies for its use and fits its key.
fn verify(machine: &Machine, secrets: &Secrets) -> Openssl {
    let openssl = Openssl::new();
    let assets = rendered(machine, secrets);
    openssl.write_all(&assets);
    // Only the root is trusted: what stands between it and a leaf comes with the leaf.
    let roots = pem::blocks(secrets.cert("tls/ca").unwrap()).unwrap();
    openssl.write("root.pem", roots.last().unwrap());
    for wanted in table::wanted(machine) {
        let name = wanted.name;
        let anchor = match wanted.issuer.unwrap_or(name) {
            table::CA => "root.pem".to_owned(),
            issuer => format!("{issuer}.crt"),
        };
        for purpose in match wanted.usage {
            Use::Authority => &["crlsign"][..],
            Use::Server => &["sslserver"],
            Use::Client => &["sslclient"],
            Use::Both => &["sslserver", "sslclient"],
        } {
            openssl.ok(&format!(
                "verify -x509_strict -attime 1795100000 -purpose {purpose} -CAfile {anchor} \
                 -untrusted {name}.crt {name}.crt"
            ));
        }
        assert_eq!(
            names_of(&openssl, &format!("{name}.crt")),
            BTreeSet::from_iter(issue::names(&wanted))
        );
        if assets.get(&format!("{name}.key")).is_none() {
            assert!(name == table::CA && !secrets.can_sign(), "{name}");
            continue;
        }
        assert_eq!(assets.get(&format!("{name}.key")).unwrap().mode, 0o600);
        openssl.ok(&format!("pkey -in {name}.key -check -noout"));
        assert_eq!(
            openssl.ok(&format!("x509 -in {name}.crt -noout -pubkey")),
            openssl.ok(&format!("pkey -in {name}.key -pubout")),
            "{name}"
        );
    }
    openssl
}

fn ensured(machine: &Machine, given: &Given) -> Secrets {
    ensure(machine, given, &Assets::default(), at(1)).unwrap().0
}

#[test]
fn what_is_made_verifies() {
    let mut machine = machine("api: {altNames: [api.example.com, 192.0.2.9]}");
    machine.api.endpoint = Some(Endpoint {
        host: config::machine::AltName::Dns("lb.example.com".into()),
        port: 443,
    });
    machine.node.second_address = Some("2001:db8::1".parse().unwrap());
    machine
        .cluster
        .service_cidrs
        .push("fd00::/112".parse().unwrap());
    let secrets = ensured(&machine, &Given::default());
    let openssl = verify(&machine, &secrets);
    let expected = [
        "DNS:kubernetes",
        "DNS:kubernetes.default",
        "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local",
        "DNS:localhost",
        "DNS:node-a",
        "DNS:api.example.com",
        "DNS:lb.example.com",
        "IP:10.3.0.1",
        "IP:127.0.0.1",
        "IP:192.0.2.1",
        "IP:192.0.2.9",
        "IP:2001:db8::1",
        "IP:fd00::1",
    ];
    let names = names_of(&openssl, "tls/apiserver.crt");
    assert_eq!(names, BTreeSet::from_iter(expected.map(str::to_owned)));
    let text = openssl.ok("x509 -in tls/apiserver.crt -noout -text");
    for part in [
        "Digital Signature\n",
        "TLS Web Server Authentication\n",
        "ecdsa-with-SHA256",
        "P-256",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    openssl.ok("pkey -in tls/service-account.key -check -noout");
    // Whoever can read the API server's Secret is no administrator yet.
    for (name, subject) in [
        (
            "tls/apiserver-kubelet-client",
            "subject=CN=kube-apiserver-kubelet-client\n",
        ),
        (
            "tls/kube-controller-manager",
            "subject=O=system:masters,CN=system:kube-controller-manager\n",
        ),
    ] {
        let shown = openssl.ok(&format!(
            "x509 -in {name}.crt -noout -subject -nameopt sep_comma_plus"
        ));
        assert_eq!(shown, subject);
    }
}

#[test]
fn p_384_verifies() {
    let mut machine = machine("");
    machine.certificates.key_type = config::machine::KeyType::P384;
    let openssl = verify(&machine, &ensured(&machine, &Given::default()));
    for file in ["tls/ca.crt", "kubelet/serving.crt"] {
        let text = openssl.ok(&format!("x509 -in {file} -noout -text"));
        assert!(
            text.contains("ecdsa-with-SHA384") && text.contains("P-384"),
            "{text}"
        );
    }
    assert!(
        openssl
            .ok("pkey -in tls/service-account.key -noout -text")
            .contains("P-384")
    );
}

#[test]
fn an_rsa_authority_below_a_root_verifies() {
    let (_, machine, given) = rsa_intermediate();
    let secrets = ensured(&machine, &given);
    let openssl = verify(&machine, &secrets);
    assert_eq!(
        pem::blocks(secrets.cert("tls/ca").unwrap()).unwrap().len(),
        2
    );
    assert_eq!(
        pem::blocks(secrets.cert("tls/ca-signer").unwrap())
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        pem::blocks(secrets.cert("tls/admin").unwrap())
            .unwrap()
            .len(),
        2
    );
    assert!(openssl.read("tls/ca.key").contains("BEGIN PRIVATE KEY"));
    openssl.ok("pkey -in tls/ca.key -check -noout");
    let text = openssl.ok("x509 -in tls/admin.crt -noout -text");
    assert!(text.contains("sha256WithRSAEncryption"), "{text}");
}

/// The key is SEC 1 with its parameters before it; the name is written in PrintableString.
#[test]
fn an_elliptic_authority_of_ones_own_verifies() {
    for (curve, without_public) in [("P-256", false), ("P-384", false), ("P-384", true)] {
        let openssl = Openssl::new();
        openssl.ok(&format!("ecparam -name {curve} -genkey -out root.key"));
        openssl.write("name", "[req]\nprompt=no\nstring_mask=pkix\ndistinguished_name=dn\n[dn]\nC=NL\nOU=a b\nCN=Root\nemailAddress=a@example.com\n");
        openssl.write("ext", "basicConstraints=CA:true\n");
        openssl.ok("req -new -key root.key -config name -out root.csr");
        openssl.sign("root", "root", true);
        if without_public {
            openssl.ok("ec -in root.key -no_public -out root.key");
        }
        assert!(openssl.read("root.key").contains("BEGIN EC PRIVATE KEY"));
        let (machine, given) = own(&openssl.read("root.crt"), Some(&openssl.read("root.key")));
        let secrets = ensured(&machine, &given);
        let made = verify_without_strictness(&secrets);
        assert!(made.contains("OK"), "{made}");
        let assets = rendered(&machine, &secrets);
        let (again, issued) = ensure(&machine, &given, &assets, at(2)).unwrap();
        assert_eq!((again, issued), (secrets, vec![]));
    }
}

/// An authority without a key identifier is not what strict verifiers take; others do.
fn verify_without_strictness(secrets: &Secrets) -> String {
    let openssl = Openssl::new();
    openssl.write("root.pem", secrets.cert("tls/ca").unwrap());
    openssl.write("leaf.pem", secrets.cert("tls/apiserver").unwrap());
    openssl.ok("verify -attime 1795100000 -purpose sslserver -CAfile root.pem leaf.pem")
}

#[test]
fn somebody_elses_etcd_brings_its_certificates() {
    let openssl = Openssl::new();
    openssl.key("etcd", "P-256");
    openssl.authority("etcd", "/CN=etcd", None, "");
    openssl.key("client", "rsa:2048");
    openssl.ok("req -new -key client.key -subj /CN=harbour -out client.csr");
    openssl.sign_request(
        "client.csr",
        "client.crt",
        "etcd",
        "extendedKeyUsage=clientAuth",
    );
    openssl.ok("pkey -in client.key -traditional -out client.pkcs1");
    let mut machine = machine("");
    machine.etcd = Etcd::External(ExternalEtcd {
        endpoints: vec!["https://192.0.2.50:2379".into()],
        authority: openssl.read("etcd.crt"),
        certificate: openssl.read("client.crt"),
        key: Sensitive::Inline(Secret::new("")),
    });
    let given = Given {
        etcd_key: Some(Secret::new(openssl.read("client.pkcs1"))),
        ..Given::default()
    };
    let secrets = ensured(&machine, &given);
    let all: Vec<_> = secrets.pairs().map(|(name, _)| name).collect();
    assert!(
        !all.iter().any(|name| name.starts_with("tls/etcd/")),
        "{all:?}"
    );
    assert!(!all.contains(&table::ETCD_CA));
    assert_eq!(
        secrets.cert(table::ETCD_CA).unwrap(),
        openssl.read("etcd.crt")
    );
    let pair = secrets.pair("tls/etcd-client").unwrap();
    openssl.write("kept.key", pair.key.expose());
    assert!(openssl.read("kept.key").contains("BEGIN PRIVATE KEY"));
    assert_eq!(
        openssl.ok("pkey -in kept.key -pubout"),
        openssl.ok("x509 -in client.crt -noout -pubkey")
    );
    for (change, why) in [
        (
            given_etcd(&openssl.read("etcd.key")),
            "it does not belong to the certificate",
        ),
        (given_etcd("s3cret"), "it is no private key in PEM"),
    ] {
        let error = ensure(&machine, &change, &Assets::default(), at(1)).unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(exit_of(&error), Exit::Invalid);
        assert!(
            text.contains("etcd.external: key: ") && text.contains(why),
            "{text}"
        );
    }
    let late = ensure(&machine, &given, &Assets::default(), at(400)).unwrap_err();
    assert!(
        format!("{late:#}").contains("it expired on 2027-11-17"),
        "{late:#}"
    );
}

fn given_etcd(key: &str) -> Given {
    Given {
        etcd_key: Some(Secret::new(key)),
        ..Given::default()
    }
}
