use super::*;
use crate::exit::exit_of;
use crate::metadata::envelope::Remote as _;
use crate::metadata::source::testing::Machine;
use crate::metadata::source::testing::server::{Server, answer};
use crate::tls::testing::Authority;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A server that `authority` signed, and a machine that trusts what `put` gives it.
struct Scene {
    authority: Authority,
    server: Server,
    machine: Machine,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new();
        let settings = authority.open_server("127.0.0.1");
        Self {
            server: Server::tls(settings, |_| answer(200, &[], "kind: Machine")),
            machine: Machine::new("", Duration::from_secs(60)),
            authority,
        }
    }

    fn get(&self, more: &[Vec<u8>]) -> Result<Vec<u8>> {
        let url = self.server.url("/m.yaml?key=hunter2");
        let headers = [("X-Key".to_owned(), "1".to_owned())];
        Remote::new(&self.machine.context()).get(&url, &headers, more, 1024)
    }

    fn refusal(&self, more: &[Vec<u8>]) -> String {
        let error = self.get(more).unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        let text = format!("{error:#}");
        assert!(!text.contains("hunter2"), "{text}");
        text
    }
}

#[test]
fn authorities_of_the_image_and_of_the_envelope_are_trusted() {
    let scene = Scene::new();
    scene.machine.put(BUNDLE, scene.authority.pem());
    assert_eq!(scene.get(&[]).unwrap(), b"kind: Machine");
    let request = scene.server.requests().pop().unwrap();
    assert_eq!(request.path, "/m.yaml?key=hunter2");
    assert_eq!(request.header("x-key"), Some("1"));

    scene.machine.put(BUNDLE, Authority::new().pem());
    assert!(scene.get(&[scene.authority.pem()]).is_ok());
}

#[test]
fn links_of_the_image_lead_where_they_will() {
    let scene = Scene::new();
    let at = scene
        .machine
        .put("/etc/pki/real.pem", scene.authority.pem());
    let link = scene.machine.put("/etc/pki/tls/certs/ca-bundle.crt", "");
    fs::remove_file(&link).unwrap();
    symlink("/etc/pki/real.pem", &link).unwrap();
    assert!(scene.get(&[]).is_ok());
    fs::remove_file(at).unwrap();
    assert!(scene.refusal(&[]).contains("install ca-certificates"));
}

#[test]
fn nobody_else_is_trusted() {
    let scene = Scene::new();
    assert!(scene.refusal(&[]).contains("install ca-certificates"));
    scene.machine.put(BUNDLE, Authority::new().pem());
    let text = scene.refusal(&[]);
    assert!(text.contains("cannot be trusted: "), "{text}");
    assert_eq!(scene.server.requests(), []);
    scene.machine.put(BUNDLE, "hunter2");
    let text = scene.refusal(&[]);
    assert!(
        text.contains("cannot use the authorities in /etc/ssl"),
        "{text}"
    );
    scene.machine.put(BUNDLE, scene.authority.pem());
    let text = scene.refusal(&[b"hunter2".to_vec()]);
    assert!(
        text.contains("cannot use an authority of the envelope"),
        "{text}"
    );
}

#[test]
fn another_name_is_not_trusted() {
    let mut scene = Scene::new();
    scene.machine.put(BUNDLE, scene.authority.pem());
    let settings = scene.authority.open_server("other.example");
    scene.server = Server::tls(settings, |_| answer(200, &[], ""));
    let text = scene.refusal(&[]);
    assert!(text.contains("cannot be trusted: "), "{text}");
}

#[test]
fn plain_http_is_refused_and_without_network_nothing_is_tried() {
    let mut scene = Scene::new();
    scene.machine.online = false;
    let error = scene.get(&[]).unwrap_err();
    assert!(error.is::<NeedsNetwork>(), "{error}");
    let server = Server::start(|_| answer(200, &[], "kind: Machine"));
    for url in [server.url("/m?key=hunter2"), "ftp://a/b".to_owned()] {
        let error = Remote::new(&scene.machine.context()).get(&url, &[], &[], 1024);
        let error = error.unwrap_err();
        assert_eq!(exit_of(&error), Exit::Invalid);
        assert!(error.to_string().contains("is not https"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert_eq!(server.requests(), []);
}
