//! Somebody else who signs, by openssl: the requests that a rendering leaves, with `signer.key` of the case.

use std::fs;
use std::path::Path;
use std::process::Command;

use slipway::assets::Assets;
use slipway::config::machine::Machine;
use slipway::pki::{INVENTORY, Secrets};

const SIGNS: &str = "[ca]
default_ca = it
[it]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
";

/// An asset directory with nothing but the requests, their keys and the answers.
pub fn answered(case: &Path, machine: &Machine, secrets: &Secrets) -> Assets {
    let chain = &machine.certificates.authority.as_ref().unwrap().certificate;
    let (signer, _root) = chain.split_at(chain.rfind("-----BEGIN").unwrap());
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("signer.key", &fs::read(case.join("signer.key")).unwrap());
    write("signer.crt", signer.as_bytes());
    write("ca.cnf", SIGNS.as_bytes());
    write("index", b"");
    let mut assets = Assets::default();
    for (path, pair) in secrets.requests() {
        assets.add(format!("{path}.csr"), pair.cert.as_bytes());
        assets.add_secret(format!("{path}.key"), 0, pair.key.expose());
    }
    for (name, cert) in secrets.certs() {
        assets.add(format!("{name}.crt"), cert);
    }
    for (name, pair) in secrets.pairs() {
        assets.add(format!("{name}.crt"), pair.cert.as_bytes());
        assets.add_secret(format!("{name}.key"), 0, pair.key.expose());
    }
    let key = secrets.service_account_key().expose();
    assets.add_secret("tls/service-account.key", 0, key);
    assets.add("tls/service-account.pub", secrets.service_account_pub());
    assets.add(INVENTORY, secrets.inventory().unwrap());
    for waiting in secrets.waiting() {
        write(
            "it.csr",
            assets.get(&waiting.request).unwrap().bytes.expose(),
        );
        sign(dir.path());
        let leaf = fs::read_to_string(dir.path().join("it.crt")).unwrap();
        assets.add(waiting.certificate, leaf + signer);
    }
    assets
}

fn sign(folder: &Path) {
    let arguments = "ca -batch -config ca.cnf -preserveDN -notext -create_serial -in it.csr -out it.crt \
                     -cert signer.crt -keyfile signer.key -startdate 20261121000000Z -enddate 20271121000000Z";
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl is a prerequisite of the tests");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}
