//! From one authority to the next, in three steps.

use super::openssl::{Openssl, own};
use super::*;

fn step(
    machine: &Machine,
    given: &Given,
    assets: &Assets,
    step: Step,
) -> Result<(Secrets, Vec<Issued>)> {
    let order = Order {
        step: Some(step),
        ..Order::default()
    };
    ensure_with(machine, given, assets, at(9), &order)
}

/// Whether a certificate of a rendering verifies with the authorities that another one trusts.
fn trusts(trusting: &Secrets, shown: &Secrets) -> bool {
    let openssl = Openssl::new();
    openssl.write("trust.pem", trusting.cert("tls/ca").unwrap());
    openssl.write("leaf.pem", shown.cert("tls/apiserver").unwrap());
    let output =
        openssl.run("verify -attime 1795800000 -CAfile trust.pem -untrusted leaf.pem leaf.pem");
    output.status.success()
}

fn count(secrets: &Secrets) -> usize {
    pem::blocks(secrets.cert("tls/ca").unwrap()).unwrap().len()
}

/// The whole way; `after` is the document of the second authority.
fn rotate(before: (&Machine, &Given), after: (&Machine, &Given)) -> [Secrets; 4] {
    let (old, _) = ensure(before.0, before.1, &Assets::default(), at(0)).unwrap();
    let (machine, given) = after;
    let mut all = vec![old];
    for (number, one) in [Step::Trust, Step::Reissue, Step::Drop]
        .into_iter()
        .enumerate()
    {
        let earlier = rendered(machine, all.last().unwrap());
        let (secrets, issued) = step(machine, given, &earlier, one).unwrap();
        let leaves = issued
            .iter()
            .filter(|issued| issued.reason == "its authority changed");
        assert_eq!(leaves.count(), [0, 10, 0][number], "{one:?}");
        let assets = rendered(machine, &secrets);
        // Done again, and rendered as on any other day, it changes nothing.
        let again = step(machine, given, &assets, one).unwrap();
        assert_eq!(again, (secrets.clone(), vec![]), "{one:?}");
        let day = ensure(machine, given, &assets, at(10)).unwrap();
        assert_eq!(day, (secrets.clone(), vec![]), "{one:?}");
        assert!(
            !is_due(machine, given, &assets, at(10), &Order::default()).unwrap(),
            "{one:?}"
        );
        all.push(secrets);
    }
    all.try_into().unwrap()
}

fn judge([old, both, new, alone]: &[Secrets; 4]) {
    assert_eq!(
        both.cert("tls/ca-signer").unwrap(),
        old.cert("tls/ca-signer").unwrap()
    );
    assert_ne!(
        new.cert("tls/ca-signer").unwrap(),
        old.cert("tls/ca-signer").unwrap()
    );
    for (trusting, shown, expected) in [
        (old, both, true),
        (old, new, false),
        (both, old, true),
        (both, new, true),
        (new, old, true),
        (new, new, true),
        (alone, old, false),
        (alone, new, true),
    ] {
        assert_eq!(trusts(trusting, shown), expected);
    }
    assert_eq!(alone.service_account_key(), old.service_account_key());
    assert_eq!(
        alone.pair("tls/etcd/server").unwrap(),
        old.pair("tls/etcd/server").unwrap()
    );
    assert!(new.pair("tls/ca-previous").is_err() && new.cert("tls/ca-previous").is_ok());
    assert!(alone.cert("tls/ca-previous").is_err() && alone.cert("tls/ca-next").is_err());
}

#[test]
fn a_made_authority_is_followed_by_another() {
    let (machine, given) = (machine(""), Given::default());
    let all = rotate((&machine, &given), (&machine, &given));
    judge(&all);
    assert_eq!(all.each_ref().map(count), [1, 2, 2, 1]);
    let common_name =
        |secrets: &Secrets| secrets.inventory.certificates["tls/ca"].common_name.clone();
    assert_eq!(common_name(&all[3]), "kube-ca 2026-11-27T11:06:40Z");
    // And again, from the second to a third, on the same day.
    let assets = rendered(&machine, &all[3]);
    let order = Order {
        step: Some(Step::Trust),
        ..Order::default()
    };
    let later = at(9) + Duration::from_secs(61);
    let (third, _) = ensure_with(&machine, &given, &assets, later, &order).unwrap();
    assert_eq!(count(&third), 2);
    let next = &third.inventory.certificates["tls/ca-next"];
    assert_eq!(next.common_name, "kube-ca 2026-11-27T11:07:41Z");
}

#[test]
fn a_made_authority_gives_way_to_the_documents_and_that_to_a_made_one() {
    let (_, own_machine, own_given) = super::openssl::rsa_intermediate();
    let (plain, none) = (machine(""), Given::default());
    let all = rotate((&plain, &none), (&own_machine, &own_given));
    judge(&all);
    assert_eq!(all.each_ref().map(count), [1, 3, 3, 2]);
    let all = rotate((&own_machine, &own_given), (&plain, &none));
    judge(&all);
    assert_eq!(all.each_ref().map(count), [2, 3, 3, 1]);
    assert!(all[3].can_sign());
}

#[test]
fn a_step_out_of_turn_names_the_next() {
    let (machine, given, none) = (machine(""), Given::default(), Assets::default());
    let (old, _) = ensure(&machine, &given, &none, at(0)).unwrap();
    let start = rendered(&machine, &old);
    let trust = rendered(
        &machine,
        &step(&machine, &given, &start, Step::Trust).unwrap().0,
    );
    let reissue = rendered(
        &machine,
        &step(&machine, &given, &trust, Step::Reissue).unwrap().0,
    );
    for (assets, asked, next) in [
        (&none, Step::Trust, "run `slipway render` first"),
        (
            &start,
            Step::Reissue,
            "the next step is `slipway certs rotate trust`",
        ),
        (
            &trust,
            Step::Drop,
            "the next step is `slipway certs rotate reissue`",
        ),
        (
            &reissue,
            Step::Trust,
            "the next step is `slipway certs rotate drop`",
        ),
    ] {
        let error = step(&machine, &given, assets, asked).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert!(
            format!("{error:#}").contains(next),
            "{error:#} should say: {next}"
        );
    }
    // Nothing to drop is nothing to do.
    assert_eq!(
        step(&machine, &given, &start, Step::Drop).unwrap(),
        (old, vec![])
    );
}

#[test]
fn the_document_must_name_the_new_one_while_it_takes_over() {
    let openssl = Openssl::new();
    for name in ["one", "two", "three"] {
        openssl.key(name, "P-256");
        openssl.authority(name, &format!("/CN={name}"), None, "");
    }
    let [one, two, three] = ["one", "two", "three"].map(|name| {
        own(
            &openssl.read(&format!("{name}.crt")),
            Some(&openssl.read(&format!("{name}.key"))),
        )
    });
    let (old, _) = ensure(&one.0, &one.1, &Assets::default(), at(0)).unwrap();
    let start = rendered(&one.0, &old);
    let error = step(&one.0, &one.1, &start, Step::Trust).unwrap_err();
    assert!(
        format!("{error:#}").contains("write the new one in its place"),
        "{error:#}"
    );
    let (both, _) = step(&two.0, &two.1, &start, Step::Trust).unwrap();
    let assets = rendered(&two.0, &both);
    for other in [&one, &three] {
        let error = step(&other.0, &other.1, &assets, Step::Reissue).unwrap_err();
        assert!(
            format!("{error:#}").contains("put that one back"),
            "{error:#}"
        );
        let error = ensure(&other.0, &other.1, &assets, at(9)).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
    }
}

/// Leaves come one by one; the old authority goes only after the last.
#[test]
fn an_authority_without_a_key_takes_over_when_all_is_signed() {
    let openssl = Openssl::new();
    openssl.key("root", "P-256");
    openssl.authority("root", "/CN=Root", None, "");
    let plain = machine("");
    let (machine, given) = own(&openssl.read("root.crt"), None);
    let (old, _) = ensure(&plain, &Given::default(), &Assets::default(), at(0)).unwrap();
    let (both, _) = step(&machine, &given, &rendered(&plain, &old), Step::Trust).unwrap();
    let assets = rendered(&machine, &both);
    let (new, _) = step(&machine, &given, &assets, Step::Reissue).unwrap();
    assert_eq!(new.missing.len(), 10);
    let mut assets = without(&assets, &["tls/ca-next.crt", "tls/ca.key"]);
    for (path, pair) in new.requests() {
        assets.add(format!("{path}.csr"), pair.cert.as_bytes());
        assets.add(format!("{path}.key"), pair.key.expose());
    }
    for name in ["tls/ca", "tls/ca-previous"] {
        assets.add(format!("{name}.crt"), new.cert(name).unwrap());
    }
    assets.add(INVENTORY, new.inventory().unwrap());
    let error = step(&machine, &given, &assets, Step::Drop).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("sign tls/csr/apiserver.csr as tls/apiserver.crt"),
        "{error:#}"
    );
    openssl.write_all(&assets);
    for (name, _) in new.missing {
        let csr = format!("{}.csr", request::path(name));
        openssl.sign_request(&csr, "one.crt", "root", "");
        assets.add(format!("{name}.crt"), openssl.read("one.crt"));
    }
    let (alone, _) = step(&machine, &given, &assets, Step::Drop).unwrap();
    assert!(trusts(&alone, &alone) && !trusts(&alone, &old) && count(&alone) == 1);
}
