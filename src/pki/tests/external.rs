//! Somebody else signs: requests out, certificates in.

use std::path::Path;

use super::openssl::{Openssl, own};
use super::*;
use crate::render::directory;

/// An authority whose key the machine does not have, and the machine.
fn outside() -> (Openssl, Machine) {
    let openssl = Openssl::new();
    openssl.key("root", "P-256");
    openssl.authority("root", "/CN=Root", None, "");
    openssl.key("inter", "P-256");
    openssl.authority("inter", "/CN=Inter", Some("root"), "");
    let (machine, _) = own(
        &(openssl.read("inter.crt") + &openssl.read("root.crt")),
        None,
    );
    (openssl, machine)
}

const NAMES: [&str; 10] = [
    "tls/admin",
    "tls/apiserver-kubelet-client",
    "tls/kube-controller-manager",
    "tls/kube-scheduler",
    "kubelet/client",
    "tls/checkpoint/kube-system/pod-checkpointer",
    "tls/checkpoint/kube-system/kube-controller-manager",
    "tls/checkpoint/kube-system/kube-scheduler",
    "tls/apiserver",
    "kubelet/serving",
];

fn render(machine: &Machine, folder: &Path, day: u32) -> Result<directory::Rendered> {
    directory::to_directory(machine, &Given::default(), folder, || Ok(at(day)), false)
}

/// Signs a request of `folder`, which lies beside openssl's files. The answer's folder has to be there: it is
/// slipway's, and a person only puts the file into it.
fn sign(openssl: &Openssl, name: &str) {
    let place = openssl.path(&format!("assets/{name}.crt"));
    assert!(place.parent().unwrap().is_dir(), "{}", place.display());
    openssl.sign_request(
        &format!("assets/{}.csr", request::path(name)),
        "one.crt",
        "inter",
        "",
    );
    openssl.write(
        &format!("assets/{name}.crt"),
        openssl.read("one.crt") + &openssl.read("inter.crt"),
    );
}

#[test]
fn requests_go_out_and_certificates_come_in() {
    let (openssl, machine) = outside();
    let folder = openssl.path("assets");
    let error = render(&machine, &folder, 1).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Refused);
    let text = format!("{error:#}");
    for name in NAMES {
        let line = format!("sign {}.csr as {name}.crt (new)", request::path(name));
        assert!(text.contains(&line), "{text}");
    }
    assert_eq!(text.lines().count(), 1 + NAMES.len() + 1);
    assert!(
        text.ends_with(
            "\nkeep the subject, the names and the usages of each request; append the first 1 of \
             certificates.authority.certificate to each certificate"
        ),
        "{text}"
    );
    let made = directory::load(&folder).unwrap();
    listed_as_missing(&made);
    assert!(
        made.get("tls/ca.key").is_none() && made.get("manifests/kube-apiserver.yaml").is_none()
    );
    assert_eq!(made.get("tls/csr/apiserver.key").unwrap().mode, 0o600);
    let asked = openssl.ok("req -in assets/tls/csr/apiserver.csr -noout -verify -text");
    for part in [
        "CN=kube-apiserver",
        "DNS:kubernetes.default.svc",
        "TLS Web Server Authentication",
    ] {
        assert!(asked.replace("CN = ", "CN=").contains(part), "{asked}");
    }
    // Again: the same requests.
    render(&machine, &folder, 2).unwrap_err();
    assert_eq!(directory::load(&folder).unwrap(), made);
    for (at, name) in NAMES.into_iter().enumerate() {
        sign(&openssl, name);
        let left = NAMES.len() - 1 - at;
        match render(&machine, &folder, 2) {
            Ok(rendered) => assert_eq!((left, rendered.issued.len()), (0, 1)),
            Err(error) => assert_eq!(format!("{error:#}").lines().count(), 1 + left + 1),
        }
    }
    let complete = directory::load(&folder).unwrap();
    assert_eq!(complete.below("tls/csr/").count(), 0);
    assert!(complete.iter().all(|(path, _)| path != "tls/ca.key"));
    assert!(render(&machine, &folder, 3).unwrap().changes.is_empty());
    assert!(
        !is_due(
            &machine,
            &Given::default(),
            &complete,
            at(3),
            &Order::default()
        )
        .unwrap()
    );
    openssl.write("trust.pem", openssl.read("root.crt"));
    let shown = openssl.ok(
        "x509 -in assets/tls/kube-controller-manager.crt -noout -subject -nameopt sep_comma_plus",
    );
    assert_eq!(shown, "subject=CN=system:kube-controller-manager\n");
    for name in NAMES {
        openssl.ok(&format!(
            "verify -attime 1795200000 -CAfile trust.pem -untrusted assets/{name}.crt assets/{name}.crt"
        ));
    }
}

fn listed_as_missing(assets: &Assets) {
    let mut listed = list(assets, at(1)).unwrap();
    listed.retain(|one| NAMES.contains(&one.name.as_str()));
    assert_eq!(listed.len(), NAMES.len());
    for one in &listed {
        assert_eq!((one.action, one.expires), (Action::Sign, None));
    }
    let admin = listed.iter().find(|one| one.name == "tls/admin").unwrap();
    assert_eq!(admin.subject, "O=system:masters, CN=kubernetes-admin");
    assert_eq!(admin.issuer, "tls/ca");
    assert_eq!(admin.reason, "sign tls/csr/admin.csr as tls/admin.crt");
    let apiserver = listed.iter().find(|one| one.name == "tls/apiserver");
    let names = &apiserver.unwrap().names;
    assert!(names.contains(&"DNS:kubernetes".to_owned()) && names.len() > 5);
    let mut answered = assets.clone();
    answered.add("tls/admin.crt", "answer");
    let listed = list(&answered, at(1)).unwrap();
    let admin = listed.iter().find(|one| one.name == "tls/admin").unwrap();
    let next = "`slipway render` judges the tls/admin.crt that was put there";
    assert_eq!((admin.action, admin.reason.as_str()), (Action::Sign, next));
}

#[test]
fn a_wrong_answer_is_refused_by_name() {
    let (openssl, machine) = outside();
    let folder = openssl.path("assets");
    render(&machine, &folder, 1).unwrap_err();
    openssl.key("other", "P-256");
    openssl.authority("other", "/CN=Other", None, "");
    openssl.key("fake", "P-256");
    openssl.authority("fake", "/CN=Inter", None, "");
    openssl.ok("req -new -key other.key -subj /CN=kube-apiserver -out other.csr");
    openssl.ok("req -new -key assets/tls/csr/apiserver.key -subj /CN=mallory -out name.csr");
    openssl.ok("req -new -key assets/tls/csr/apiserver.key -subj /O=system:masters/CN=kube-apiserver -out group.csr");
    openssl.ok("req -new -key assets/tls/csr/apiserver.key -subj /CN=kube-apiserver -out bare.csr");
    let csr = "assets/tls/csr/apiserver.csr";
    let inter = openssl.read("inter.crt");
    let table = [
        (
            "other.csr",
            "inter",
            "",
            "for another key than that of tls/csr/apiserver.csr",
        ),
        (
            csr,
            "other",
            "",
            "it was signed by CN=Other, not by CN=Inter",
        ),
        (csr, "fake", "", "its signature is not that of CN=Inter"),
        (
            "name.csr",
            "inter",
            "",
            "common name must be kube-apiserver and its organization absent",
        ),
        (
            "group.csr",
            "inter",
            "",
            "common name must be kube-apiserver and its organization absent",
        ),
        ("bare.csr", "inter", "", "it lacks the name DNS:"),
        (
            "bare.csr",
            "inter",
            "subjectAltName=DNS:kubernetes",
            "it lacks the name DNS:kubernetes.default",
        ),
    ];
    for (request, above, extra, expected) in table {
        openssl.sign_request(request, "one.crt", above, extra);
        refused(
            &machine,
            &openssl,
            &(openssl.read("one.crt") + &inter),
            expected,
        );
    }
    openssl.sign_request(csr, "one.crt", "inter", "");
    let right = openssl.read("one.crt");
    refused(
        &machine,
        &openssl,
        &right,
        "the first 1 of certificates.authority.certificate",
    );
    refused(&machine, &openssl, "mine", "it holds no PEM certificate");
    openssl.write("assets/tls/apiserver.crt", right + &inter);
    let error = render(&machine, &folder, 400).unwrap_err();
    assert!(
        format!("{error:#}").contains("it expired on 2027-11-17"),
        "{error:#}"
    );
    let error = format!("{:#}", render(&machine, &folder, 2).unwrap_err());
    assert!(!error.contains("as tls/apiserver.crt"), "{error:#}");
}

fn refused(machine: &Machine, openssl: &Openssl, file: &str, expected: &str) {
    openssl.write("assets/tls/apiserver.crt", file);
    let error = render(machine, &openssl.path("assets"), 2).unwrap_err();
    let text = format!("{error:#}");
    assert_eq!(exit_of(&error), Exit::Refused);
    assert!(
        text.contains("as tls/apiserver.crt (the one there is refused: "),
        "{text}"
    );
    assert!(text.contains(expected), "{text}\nshould say: {expected}");
}

/// What another server of the cluster answers to is no name for this one; a stranger's is the signer's affair.
#[test]
fn names_beyond_those_needed_are_judged() {
    let (openssl, machine) = outside();
    let folder = openssl.path("assets");
    render(&machine, &folder, 1).unwrap_err();
    openssl.ok("req -new -key assets/tls/csr/kubelet-client.key -subj /O=system:nodes/CN=system:node:node-a -out one.csr");
    let csr = "one.csr";
    for (extra, taken) in [("DNS:kubernetes", false), ("DNS:www.example.com", true)] {
        let extra = format!("extendedKeyUsage=clientAuth\nsubjectAltName={extra}");
        openssl.sign_request(csr, "one.crt", "inter", &extra);
        openssl.write(
            "assets/kubelet/client.crt",
            openssl.read("one.crt") + &openssl.read("inter.crt"),
        );
        let text = format!("{:#}", render(&machine, &folder, 2).unwrap_err());
        assert_eq!(!text.contains("as kubelet/client.crt"), taken, "{text}");
        assert_eq!(
            text.contains("it has the name DNS:kubernetes, which is another"),
            !taken,
            "{text}"
        );
    }
}

/// Renders at another time than the clock's.
fn on(openssl: &Openssl, machine: &Machine, day: u32) -> Result<Vec<Issued>> {
    let folder = openssl.path("assets");
    let earlier = directory::load(&folder)?;
    let (secrets, issued) = ensure(machine, &Given::default(), &earlier, at(day))?;
    std::fs::remove_dir_all(&folder)?;
    for (path, asset) in rendered(machine, &secrets).iter() {
        openssl.write(&format!("assets/{path}"), asset.bytes.expose());
    }
    Ok(issued)
}

#[test]
fn renewal_asks_and_goes_on_with_what_serves() {
    let (openssl, machine) = outside();
    let folder = openssl.path("assets");
    render(&machine, &folder, 1).unwrap_err();
    NAMES.iter().for_each(|name| sign(&openssl, name));
    render(&machine, &folder, 2).unwrap();
    let before = openssl.read("assets/tls/apiserver.key");
    // Two thirds of its year are over.
    let issued = on(&openssl, &machine, 250).unwrap();
    assert!(issued.iter().all(|issued| !NAMES.contains(&issued.name)));
    let waiting = openssl.read("assets/tls/csr/apiserver.key");
    assert_eq!(openssl.read("assets/tls/apiserver.key"), before);
    assert_ne!(waiting, before);
    // It is not forgotten, nor asked for anew.
    let earlier = directory::load(&folder).unwrap();
    on(&openssl, &machine, 251).unwrap();
    assert_eq!(directory::load(&folder).unwrap(), earlier);
    let end = ensure(&machine, &Given::default(), &earlier, at(366)).unwrap();
    assert_eq!(end.0.missing.len(), NAMES.len());
    sign(&openssl, "tls/apiserver");
    on(&openssl, &machine, 251).unwrap();
    assert_eq!(openssl.read("assets/tls/apiserver.key"), waiting);
    assert!(!openssl.path("assets/tls/csr/apiserver.csr").exists());
    assert!(openssl.path("assets/tls/csr/admin.csr").exists());
}
