//! What is made once: the token, the encryption key.

use super::*;
use crate::config::machine::Encryption;
use crate::exit::exit_of;

fn encrypted() -> Machine {
    let mut machine = machine("");
    machine.encryption = Encryption::Secretbox(None);
    machine
}

fn given_token(token: &str) -> Given {
    Given {
        token: Some(Secret::new(token)),
        ..Given::default()
    }
}

fn made(machine: &Machine, given: &Given, earlier: &Assets, day: u32) -> Secrets {
    ensure(machine, given, earlier, at(day)).unwrap().0
}

#[test]
fn a_token_is_made_once_and_its_end_stays() {
    let machine = machine("");
    let first = made(&machine, &Given::default(), &Assets::default(), 0);
    let token = first.bootstrap_token();
    assert_eq!(token.expires, "2026-11-19T11:06:40Z");
    let text = token.token();
    let text = std::str::from_utf8(text.expose()).unwrap();
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let (id, secret) = text.split_once('.').unwrap();
    assert!(id.len() == 6 && secret.len() == 16 && plain(id) && plain(secret));
    let assets = rendered(&machine, &first);
    assert_eq!(assets.get(BOOTSTRAP_TOKEN).unwrap().mode, 0o600);
    let again = made(&machine, &Given::default(), &assets, 9);
    assert_eq!(again.bootstrap_token(), token);
    // It is followed by another one when that is asked for and it has ended, not before.
    let renewed = Order {
        token: true,
        ..Order::default()
    };
    let none = Given::default();
    let half = at(0) + DAY / 2;
    assert!(!is_due(&machine, &none, &assets, half, &renewed).unwrap());
    let good = ensure_with(&machine, &none, &assets, half, &renewed).unwrap();
    assert_eq!(good, (first.clone(), vec![]));
    assert!(is_due(&machine, &none, &assets, at(1), &renewed).unwrap());
    let (next, _) = ensure_with(&machine, &none, &assets, at(1), &renewed).unwrap();
    assert_ne!(next.bootstrap_token().id, token.id);
    assert_eq!(next.bootstrap_token().expires, "2026-11-20T11:06:40Z");
    assert_eq!(next.pairs, first.pairs);
    let assets_next = rendered(&machine, &next);
    assert!(lets_in(&assets_next, at(1)).unwrap() && !lets_in(&assets, at(1)).unwrap());
    let lost = without(&assets, &[BOOTSTRAP_TOKEN]);
    assert!(is_due(&machine, &Given::default(), &lost, at(9), &Order::default()).unwrap());
    let other = made(&machine, &Given::default(), &lost, 9);
    assert_ne!(other.bootstrap_token().secret, token.secret);
    assert_eq!(other.bootstrap_token().expires, "2026-11-28T11:06:40Z");
}

#[test]
fn a_given_token_is_taken_and_a_changed_one_lives_anew() {
    let machine = machine("");
    let given = given_token("abcdef.0123456789abcdef\n");
    let first = made(&machine, &given, &Assets::default(), 0);
    assert_eq!(first.bootstrap_token().id, "abcdef");
    let assets = rendered(&machine, &first);
    assert_eq!(made(&machine, &given, &assets, 3), first);
    // Nor is it dated anew.
    let renewed = Order {
        token: true,
        ..Order::default()
    };
    let again = ensure_with(&machine, &given, &assets, at(3), &renewed).unwrap();
    assert_eq!(again, (first.clone(), vec![]));
    assert!(!is_due(&machine, &given, &assets, at(3), &renewed).unwrap());
    let other = made(
        &machine,
        &given_token("abcdef.0123456789abcdeg"),
        &assets,
        3,
    );
    assert_eq!(other.bootstrap_token().expires, "2026-11-22T11:06:40Z");
    assert_eq!(
        other.bootstrap_token().token(),
        Secret::new("abcdef.0123456789abcdeg")
    );
    for bad in [
        "abcdef",
        "abcdef.0123456789ABCDEF",
        "abcde.0123456789abcdef",
        "",
    ] {
        let error = ensure(&machine, &given_token(bad), &assets, at(3)).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Invalid, "{bad}");
    }
}

#[test]
fn an_encryption_key_is_made_once_and_then_kept_or_refused() {
    let (plain, machine) = (machine(""), encrypted());
    let none = made(&plain, &Given::default(), &Assets::default(), 0);
    assert_eq!(none.encryption_key(), None);
    let first = made(&machine, &Given::default(), &rendered(&plain, &none), 1);
    let assets = rendered(&machine, &first);
    assert_eq!(assets.get(ENCRYPTION_KEY).unwrap().mode, 0o600);
    assert_eq!(first.encryption_key().unwrap().expose().len(), 44);
    assert_eq!(made(&machine, &Given::default(), &assets, 2), first);
    let mut changed = assets.clone();
    changed.add(ENCRYPTION_KEY, "mine");
    let other = Given {
        encryption_key: Some(Secret::new("A".repeat(43) + "=")),
        ..Given::default()
    };
    let table = [
        (
            &machine,
            Given::default(),
            without(&assets, &[ENCRYPTION_KEY]),
            "is gone",
            "restore it from a backup",
        ),
        (
            &machine,
            Given::default(),
            changed,
            "is not the key that",
            "restore it from a backup",
        ),
        (
            &machine,
            other,
            assets.clone(),
            "the document gives now",
            "the former key, or leave encryption.key out",
        ),
        (
            &plain,
            Given::default(),
            assets,
            "provider none",
            "write `encryption.provider: secretbox` again",
        ),
    ];
    for (machine, given, assets, why, next) in table {
        let error = ensure(machine, &given, &assets, at(3)).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused, "{why}");
        let text = error.to_string();
        assert!(text.contains(why) && text.contains(next), "{text}");
        assert_eq!(text.contains("backup"), next.contains("backup"), "{text}");
    }
}

#[test]
fn a_given_encryption_key_is_taken() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let given = |key: &str| Given {
        encryption_key: Some(Secret::new(key)),
        ..Given::default()
    };
    let secrets = made(
        &encrypted(),
        &given(&format!("{key}\n")),
        &Assets::default(),
        0,
    );
    assert_eq!(secrets.encryption_key(), Some(&Secret::new(key)));
    for bad in ["s3cret", "AAEC", ""] {
        let error = ensure(&encrypted(), &given(bad), &Assets::default(), at(0)).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Invalid);
        assert!(!format!("{error:#}").contains("s3cret"), "{error:#}");
    }
}
