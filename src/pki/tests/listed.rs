//! The list of what there is.

use super::openssl::{own, rsa_intermediate};
use super::*;

fn on(assets: &Assets, day: u32) -> Vec<Listed> {
    list(assets, at(day)).unwrap()
}

fn row(assets: &Assets, day: u32, name: &str) -> Listed {
    let mut rows = on(assets, day);
    rows.retain(|row| row.name == name);
    rows.pop().unwrap()
}

#[test]
fn every_certificate_is_listed() {
    let (_, _, assets) = first();
    let rows = on(&assets, 1);
    assert_eq!(rows.len(), 17);
    assert!(
        rows.iter()
            .all(|row| row.action == Action::None && row.reason.is_empty())
    );
    let apiserver = row(&assets, 1, "tls/apiserver");
    assert_eq!(apiserver.subject, "CN=kube-apiserver");
    assert_eq!(apiserver.issuer, "tls/ca");
    assert!(apiserver.names.contains(&"DNS:kubernetes".to_owned()));
    assert_eq!(apiserver.not_after.as_deref(), Some("2027-11-18T11:06:40Z"));
    assert_eq!(apiserver.left, Some(364 * 24 * 60 * 60));
    let ca = row(&assets, 1, "tls/ca");
    assert_eq!(
        (ca.subject.as_str(), ca.issuer.as_str()),
        ("O=harbour, CN=kube-ca", "tls/ca")
    );
    assert_eq!(on(&Assets::default(), 1), []);
}

#[test]
fn what_needs_something_says_so() {
    let (machine, _, assets) = first();
    let mut swapped = assets.clone();
    swapped.insert("tls/admin.key", assets.get("tls/ca.key").unwrap().clone());
    let order = Order {
        step: Some(Step::Trust),
        ..Order::default()
    };
    let (both, _) = ensure_with(&machine, &Given::default(), &assets, at(1), &order).unwrap();
    let both = rendered(&machine, &both);
    let table = [
        (
            &assets,
            244,
            "tls/admin",
            Action::Renew,
            "less than a third of its life is left",
        ),
        (&assets, 400, "tls/admin", Action::Renew, "it expired"),
        (&assets, 2400, "tls/ca", Action::None, ""),
        (
            &assets,
            2500,
            "tls/ca",
            Action::Rotate,
            "slipway certs rotate trust",
        ),
        (&both, 2500, "tls/ca", Action::None, ""),
        (&assets, 2400, "tls/front-proxy-ca", Action::None, ""),
        (
            &assets,
            2500,
            "tls/front-proxy-ca",
            Action::Rotate,
            "nothing replaces it, and the control plane ends with it: render a new cluster into an empty folder \
             before that, and move there",
        ),
        (
            &both,
            1,
            "tls/ca-next",
            Action::Rotate,
            "slipway certs rotate reissue",
        ),
        (
            &assets,
            3651,
            "tls/etcd-client-ca",
            Action::Damaged,
            "it expired",
        ),
        (
            &swapped,
            1,
            "tls/admin",
            Action::Damaged,
            "its key is not the recorded one",
        ),
        (
            &without(&assets, &["tls/admin.key"]),
            1,
            "tls/admin",
            Action::Damaged,
            "its key is missing",
        ),
        (
            &without(&assets, &["tls/admin.crt"]),
            1,
            "tls/admin",
            Action::Damaged,
            "its certificate is missing",
        ),
    ];
    for (assets, day, name, action, reason) in table {
        let row = row(assets, day, name);
        assert_eq!(
            (row.action, row.reason.as_str()),
            (action, reason),
            "{name}"
        );
    }
}

#[test]
fn an_authority_of_the_document_has_its_own_name() {
    let (openssl, machine, given) = rsa_intermediate();
    let (secrets, _) = ensure(&machine, &given, &Assets::default(), at(1)).unwrap();
    let assets = rendered(&machine, &secrets);
    let ca = row(&assets, 1, "tls/ca");
    assert_eq!(ca.subject, "O=Example, CN=Clusters");
    assert_eq!(ca.issuer, "C=NL, O=Example, CN=Root");
    assert_eq!(row(&assets, 1, "tls/admin").issuer, "tls/ca");
    // Without its key, what is due waits for somebody.
    let chain = openssl.read("inter.crt") + &openssl.read("root.crt");
    let (machine, given) = own(&chain, None);
    let (secrets, _) = ensure(&machine, &given, &assets, at(250)).unwrap();
    let admin = row(&rendered(&machine, &secrets), 250, "tls/admin");
    assert_eq!(admin.action, Action::Sign);
    assert_eq!(admin.reason, "sign tls/csr/admin.csr as tls/admin.crt");
}
