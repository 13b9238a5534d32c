mod authority;
mod external;
mod kept;
mod listed;
mod openssl;
mod rotation;
mod verified;

use std::time::Duration;

use rcgen::KeyPair;

use super::*;
use crate::config;
use crate::config::machine::KeyType;
use crate::exit::exit_of;
use crate::render;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn machine(extra: &str) -> Machine {
    let text = format!(
        "apiVersion: slipway.dev/v1alpha1\nkind: Machine\nnode: {{name: node-a, address: 192.0.2.1}}\n\
         cluster: {{name: harbour}}\n{extra}"
    );
    config::parse(text.as_bytes()).unwrap()
}

fn at(days: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000) + DAY * days
}

/// What a render leaves on disk.
fn rendered(machine: &Machine, secrets: &Secrets) -> Assets {
    render::render(machine, secrets).unwrap()
}

/// Whether anything is made or judged by the date.
fn is_due(
    machine: &Machine,
    given: &Given,
    earlier: &Assets,
    now: SystemTime,
    order: &Order,
) -> Result<bool> {
    let mut asked = false;
    let dated = || {
        asked = true;
        Ok(now)
    };
    ensure_dated(machine, given, earlier, now, order, dated)?;
    Ok(asked)
}

fn names(issued: &[Issued]) -> Vec<&'static str> {
    issued.iter().map(|issued| issued.name).collect()
}

fn first() -> (Machine, Secrets, Assets) {
    let machine = machine("");
    let (secrets, issued) = ensure(&machine, &Given::default(), &Assets::default(), at(0)).unwrap();
    assert!(issued.iter().all(|issued| issued.reason == "new"));
    assert_eq!(issued.len(), 17);
    let assets = rendered(&machine, &secrets);
    (machine, secrets, assets)
}

/// The assets without the paths that `gone` names.
fn without(assets: &Assets, gone: &[&str]) -> Assets {
    let mut left = Assets::default();
    for (path, asset) in assets.iter().filter(|(path, _)| !gone.contains(path)) {
        left.insert(path, asset.clone());
    }
    left
}

#[test]
fn a_second_render_keeps_everything() {
    let (machine, secrets, assets) = first();
    let (again, issued) = ensure(&machine, &Given::default(), &assets, at(200)).unwrap();
    assert_eq!(issued, []);
    assert_eq!(again, secrets);
}

#[test]
fn a_new_name_renews_only_the_certificate_that_shows_it() {
    let (_, secrets, assets) = first();
    let machine = machine("api: {altNames: [api.example.com]}");
    let (again, issued) = ensure(&machine, &Given::default(), &assets, at(1)).unwrap();
    assert_eq!(names(&issued), ["tls/apiserver"]);
    assert_eq!(issued[0].reason, "its names or uses changed");
    assert_ne!(
        again.pair("tls/apiserver").unwrap(),
        secrets.pair("tls/apiserver").unwrap()
    );
    assert_eq!(
        again.pair("tls/ca").unwrap(),
        secrets.pair("tls/ca").unwrap()
    );
}

#[test]
fn leaves_are_renewed_in_the_last_third_of_their_life_and_authorities_never() {
    let (machine, _, assets) = first();
    for (day, renewed) in [(243, 0), (244, 14), (400, 14), (3600, 14)] {
        let (secrets, issued) = ensure(&machine, &Given::default(), &assets, at(day)).unwrap();
        assert_eq!(issued.len(), renewed, "day {day}");
        assert_eq!(secrets.ca_until(), "2036-11-15", "day {day}");
    }
}

#[test]
fn nothing_outlives_its_authority() {
    let (machine, _, assets) = first();
    let (secrets, _) = ensure(&machine, &Given::default(), &assets, at(3600)).unwrap();
    let end = |name: &str| secrets.inventory.certificates[name].not_after.clone();
    assert_eq!(end("tls/apiserver"), end("tls/ca"));
    let error = ensure(&machine, &Given::default(), &assets, at(3654)).unwrap_err();
    assert_eq!(crate::exit::exit_of(&error), Exit::Refused);
    assert!(
        format!("{error:#}").contains("expired on 2036-11-15"),
        "{error:#}"
    );
}

#[test]
fn what_ends_with_its_authority_is_not_renewed_before_its_own_last_third() {
    let (machine, _, assets) = first();
    let (secrets, _) = ensure(&machine, &Given::default(), &assets, at(3600)).unwrap();
    let assets = rendered(&machine, &secrets);
    for (day, renewed) in [(3600, 0), (3633, 0), (3634, 14)] {
        let (_, issued) = ensure(&machine, &Given::default(), &assets, at(day)).unwrap();
        assert_eq!(issued.len(), renewed, "day {day}");
    }
}

#[test]
fn lifetimes_and_key_types_are_the_documents() {
    let mut machine = machine("");
    let day = |days| DAY * days;
    machine.certificates.lifetimes.authority = day(100);
    machine.certificates.lifetimes.leaf = day(9);
    let (secrets, _) = ensure(&machine, &Given::default(), &Assets::default(), at(0)).unwrap();
    assert_eq!(secrets.ca_until(), "2027-02-26");
    let ends =
        |secrets: &Secrets, name: &str| secrets.inventory.certificates[name].not_after.clone();
    for name in ["tls/etcd-client-ca", "tls/front-proxy-ca"] {
        assert_eq!(ends(&secrets, name), "2036-11-15T11:06:40Z");
    }
    machine.certificates.lifetimes.authority = day(5000);
    let (long, _) = ensure(&machine, &Given::default(), &Assets::default(), at(0)).unwrap();
    for name in ["tls/etcd-client-ca", "tls/front-proxy-ca"] {
        assert_eq!(ends(&long, name), ends(&long, "tls/ca"));
    }
    machine.certificates.lifetimes.authority = day(100);
    let assets = rendered(&machine, &secrets);
    for (day, renewed) in [(5, 0), (6, 14)] {
        let (_, issued) = ensure(&machine, &Given::default(), &assets, at(day)).unwrap();
        assert_eq!(issued.len(), renewed, "day {day}");
    }
    machine.certificates.key_type = KeyType::P384;
    let (again, issued) = ensure(&machine, &Given::default(), &assets, at(1)).unwrap();
    assert_eq!(issued.len(), 14);
    assert!(
        issued
            .iter()
            .all(|one| one.reason == "its key type changed")
    );
    assert_eq!(
        again.pair("tls/ca").unwrap(),
        secrets.pair("tls/ca").unwrap()
    );
    assert_eq!(again.service_account_key(), secrets.service_account_key());
    let assets = rendered(&machine, &again);
    let (_, issued) = ensure(&machine, &Given::default(), &assets, at(1)).unwrap();
    assert_eq!(issued, []);
}

/// The record as slipway wrote it before it knew key types and beginnings.
#[test]
fn an_old_record_serves_on() {
    let (machine, secrets, mut assets) = first();
    let mut record: serde_json::Value =
        serde_json::from_slice(&secrets.inventory().unwrap()).unwrap();
    for gone in ["token", "serviceAccountKey"] {
        record.as_object_mut().unwrap().remove(gone).unwrap();
    }
    for (_, one) in record["certificates"].as_object_mut().unwrap() {
        for gone in ["notBefore", "keyType", "keySha256"] {
            one.as_object_mut().unwrap().remove(gone).unwrap();
        }
    }
    assets.add(INVENTORY, serde_json::to_vec(&record).unwrap());
    assets = without(&assets, &["tls/ca-signer.crt", BOOTSTRAP_TOKEN]);
    let (again, issued) = ensure(&machine, &Given::default(), &assets, at(200)).unwrap();
    assert_eq!(issued, []);
    assert_eq!(again.pairs, secrets.pairs);
    assert_eq!(
        again.cert("tls/ca-signer").unwrap(),
        secrets.cert("tls/ca").unwrap()
    );
    let due = ensure(&machine, &Given::default(), &assets, at(244))
        .unwrap()
        .1;
    assert_eq!(due.len(), 14);
}

#[test]
fn leaves_are_renewed_when_that_is_ordered() {
    let (machine, secrets, assets) = first();
    let given = Given::default();
    let named = Order {
        renew: vec!["tls/admin".to_owned()],
        ..Order::default()
    };
    let (again, issued) = ensure_with(&machine, &given, &assets, at(1), &named).unwrap();
    assert_eq!(names(&issued), ["tls/admin"]);
    assert_eq!(issued[0].reason, "asked for");
    assert_ne!(
        again.pair("tls/admin").unwrap(),
        secrets.pair("tls/admin").unwrap()
    );
    let all = Order {
        renew_all: true,
        ..Order::default()
    };
    let (_, issued) = ensure_with(&machine, &given, &assets, at(1), &all).unwrap();
    assert_eq!(issued.len(), 14);
    for name in ["tls/ca", "tls/nobody"] {
        let order = Order {
            renew: vec![name.to_owned()],
            ..Order::default()
        };
        let error = ensure_with(&machine, &given, &assets, at(1), &order).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        assert!(error.to_string().contains("tls/apiserver, "), "{error}");
    }
}

#[test]
fn a_worker_needs_no_secrets_of_its_cluster() {
    let mut machine = machine("");
    machine.role = Role::Worker;
    let (secrets, issued) = ensure(&machine, &Given::default(), &Assets::default(), at(0)).unwrap();
    assert!(secrets.is_empty() && issued.is_empty());
    assert!(
        !is_due(
            &machine,
            &Given::default(),
            &Assets::default(),
            at(0),
            &Order::default()
        )
        .unwrap()
    );
}

#[test]
fn a_lost_or_foreign_leaf_key_means_a_new_leaf() {
    let (machine, secrets, assets) = first();
    let mut foreign = assets.clone();
    foreign.insert(
        "tls/admin.key",
        assets.get("tls/apiserver.key").unwrap().clone(),
    );
    let damaged = [
        (without(&assets, &["tls/admin.key"]), "its key is missing"),
        (
            without(&assets, &["tls/admin.crt"]),
            "its certificate is missing",
        ),
        (foreign, "its key does not fit"),
    ];
    for (assets, reason) in damaged {
        let (again, issued) = ensure(&machine, &Given::default(), &assets, at(1)).unwrap();
        assert_eq!(names(&issued), ["tls/admin"], "{reason}");
        assert_eq!(issued[0].reason, reason);
        assert_ne!(
            again.pair("tls/admin").unwrap(),
            secrets.pair("tls/admin").unwrap()
        );
    }
}

#[test]
fn what_must_not_change_is_refused_when_it_is_damaged() {
    let (machine, _, assets) = first();
    let mut swapped = assets.clone();
    swapped.insert(
        "tls/ca.crt",
        assets.get("tls/front-proxy-ca.crt").unwrap().clone(),
    );
    let mut leaf = assets.clone();
    leaf.add("tls/admin.crt", "mine");
    let mut foreign_key = assets.clone();
    let other = assets.get("tls/ca.key").unwrap().clone();
    foreign_key.insert("tls/service-account.key", other);
    let table = [
        (without(&assets, &[INVENTORY]), "not the record"),
        (without(&assets, &["tls/ca.key"]), "its key is missing"),
        (
            without(&assets, &["tls/ca.crt", "tls/ca.key"]),
            "its certificate is missing",
        ),
        (swapped, "not the certificate that slipway recorded"),
        (leaf, "not the certificate that slipway recorded"),
        (without(&assets, &["tls/service-account.key"]), "is gone"),
        (foreign_key, "not the key that was made"),
    ];
    for (assets, why) in table {
        let error = ensure(&machine, &Given::default(), &assets, at(1)).unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(crate::exit::exit_of(&error), Exit::Refused, "{text}");
        assert!(text.contains(why), "{text} should say: {why}");
    }
}

#[test]
fn a_changed_cluster_name_keeps_the_authority_and_its_subject() {
    let (_, _, assets) = first();
    let mut machine = machine("");
    machine.cluster.name = "other".into();
    machine.node.name = "node-b".into();
    let (again, issued) = ensure(&machine, &Given::default(), &assets, at(1)).unwrap();
    let expected = [
        "kubelet/client",
        "tls/apiserver",
        "kubelet/serving",
        "tls/etcd/server",
        "tls/etcd/peer",
    ];
    assert_eq!(names(&issued), expected);
    let ca = &again.inventory.certificates["tls/ca"];
    assert_eq!(ca.organization.as_deref(), Some("harbour"));
}

#[test]
fn a_given_service_account_key_is_used_and_never_changed_later() {
    let machine = machine("");
    let given = |key: &KeyPair| Given {
        service_account_key: Some(Secret::new(key::private_pem(key))),
        ..Given::default()
    };
    let (mine, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (secrets, _) = ensure(&machine, &given(&mine), &Assets::default(), at(0)).unwrap();
    assert_eq!(secrets.service_account_pub(), key::public_pem(&mine));
    let assets = rendered(&machine, &secrets);
    let (again, _) = ensure(&machine, &given(&mine), &assets, at(1)).unwrap();
    assert_eq!(again, secrets);
    let error = ensure(&machine, &given(&other), &assets, at(1)).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Refused);
    assert!(error.to_string().contains("void every token"), "{error}");
    let bad = Given {
        service_account_key: Some(Secret::new("s3cret")),
        ..Given::default()
    };
    let error = ensure(&machine, &bad, &Assets::default(), at(0)).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Invalid);
    assert!(!format!("{error:#}").contains("s3cret"), "{error:#}");
}

#[test]
fn a_date_is_due_exactly_when_something_is_issued() {
    let (machine, _, assets) = first();
    let due = |machine, assets: &Assets, day| {
        is_due(
            machine,
            &Given::default(),
            assets,
            at(day),
            &Order::default(),
        )
        .unwrap()
    };
    assert!(due(&machine, &Assets::default(), 0));
    assert!(!due(&machine, &assets, 200));
    assert!(due(&machine, &assets, 250));
    assert!(due(&machine, &without(&assets, &["tls/apiserver.crt"]), 1));
    let renamed = self::machine("api: {altNames: [api.example.com]}");
    assert!(due(&renamed, &assets, 1));
    assert!(
        is_due(
            &machine,
            &Given::default(),
            &assets,
            at(3654),
            &Order::default()
        )
        .is_err()
    );
}

/// RBAC finds an account by this name; a group would be a right that the pod does not have.
#[test]
fn a_checkpoint_shows_the_user_of_its_account_and_no_group() {
    let also = "checkpoints: {also: [kube-proxy, flannel]}";
    let accounts = |sections: &str| {
        let table = table::wanted(&machine(sections)).into_iter();
        let checkpoints = table.filter(|wanted| wanted.name.starts_with(table::CHECKPOINTS));
        let user = |wanted: Wanted| {
            let facts = (wanted.usage, wanted.issuer, wanted.organization);
            assert_eq!(facts, (Use::Client, Some(table::CA), None));
            let account = wanted.name.strip_prefix(table::CHECKPOINTS).unwrap();
            let (namespace, name) = account.split_once('/').unwrap();
            let user = format!("system:serviceaccount:{namespace}:{name}");
            assert_eq!(wanted.common_name, user);
            account.to_owned()
        };
        checkpoints.map(user).collect::<Vec<_>>().join(" ")
    };
    let own = "kube-system/pod-checkpointer kube-system/kube-controller-manager kube-system/kube-scheduler";
    assert_eq!(accounts(""), own);
    let more = "kube-system/kube-proxy kube-system/flannel";
    assert_eq!(accounts(also), format!("{own} {more}"));
    assert_eq!(accounts("controlPlane: static"), "");
}
