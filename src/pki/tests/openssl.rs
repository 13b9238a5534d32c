//! openssl as the authority of somebody else, and as the judge of what was made.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;

use super::*;
use crate::config::sensitive::Sensitive;

const CA: &str = "[ca]
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
commonName = optional
";

/// A folder in which openssl works.
pub struct Openssl(tempfile::TempDir);

impl Openssl {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs openssl with these arguments.
    pub fn run(&self, arguments: &str) -> Output {
        Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("openssl is a prerequisite of the tests")
    }

    /// Runs openssl with these arguments; returns what it printed.
    pub fn ok(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "openssl {arguments}: {text}{error}"
        );
        text
    }

    /// A key NAME.key: `rsa:2048`, or a curve. RSA keys take long to make, so all tests share those of one
    /// name.
    pub fn key(&self, name: &str, kind: &str) {
        static MADE: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
        let Some(bits) = kind.strip_prefix("rsa:") else {
            self.ok(&format!(
                "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{kind} -out {name}.key"
            ));
            return;
        };
        let mut made = MADE.lock().unwrap();
        let key = made.entry(format!("{name} {bits}")).or_insert_with(|| {
            let rsa = format!("-algorithm RSA -pkeyopt rsa_keygen_bits:{bits}");
            self.ok(&format!("genpkey {rsa}"))
        });
        self.write(&format!("{name}.key"), key);
    }

    /// An authority NAME.crt for NAME.key with `subject`, signed by `above` or by itself. `extra` are
    /// lines of extensions.
    pub fn authority(&self, name: &str, subject: &str, above: Option<&str>, extra: &str) {
        let basic = match extra.contains("basicConstraints") {
            true => "",
            false => "basicConstraints=critical,CA:true\n",
        };
        let usage = match extra.contains("keyUsage") {
            true => "",
            false => "keyUsage=critical,keyCertSign,cRLSign\n",
        };
        let identifier = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n";
        self.write("ext", format!("{basic}{usage}{identifier}{extra}\n"));
        self.ok(&format!(
            "req -new -key {name}.key -subj {subject} -out {name}.csr"
        ));
        self.sign(name, above.unwrap_or(name), above.is_none());
    }

    pub fn sign(&self, name: &str, above: &str, itself: bool) {
        let by = match itself {
            true => format!("-selfsign -keyfile {name}.key"),
            false => format!("-cert {above}.crt -keyfile {above}.key"),
        };
        self.ca(&format!("{name}.csr"), &format!("{name}.crt"), &by, 2036);
    }

    /// Signs the request CSR as CRT, with what it asks for and lines of extensions of `extra`.
    pub fn sign_request(&self, csr: &str, crt: &str, above: &str, extra: &str) {
        self.write("ext", format!("authorityKeyIdentifier=keyid\n{extra}\n"));
        self.ca(
            csr,
            crt,
            &format!("-cert {above}.crt -keyfile {above}.key"),
            2027,
        );
    }

    /// The one command of openssl's that sets dates in all its versions.
    fn ca(&self, csr: &str, crt: &str, by: &str, until: u32) {
        self.write("ca.cnf", CA);
        self.write("index", "");
        self.ok(&format!(
            "ca -batch -config ca.cnf -preserveDN -notext -create_serial -in {csr} -out {crt} {by} \
             -extfile ext -startdate 20261117000000Z -enddate {until}1117000000Z"
        ));
    }

    pub fn write_all(&self, assets: &Assets) {
        for (path, asset) in assets.iter() {
            self.write(path, asset.bytes.expose());
        }
    }
}

/// RSA, signed by an RSA root with a limit; the key is PKCS #1.
pub fn rsa_intermediate() -> (Openssl, Machine, Given) {
    let openssl = Openssl::new();
    openssl.key("root", "rsa:2048");
    openssl.authority(
        "root",
        "/C=NL/O=Example/CN=Root",
        None,
        "basicConstraints=critical,CA:true,pathlen:1",
    );
    openssl.key("inter", "rsa:3072");
    openssl.authority(
        "inter",
        "/O=Example/CN=Clusters",
        Some("root"),
        "basicConstraints=critical,CA:true,pathlen:0",
    );
    openssl.ok("pkey -in inter.key -traditional -out inter.pkcs1");
    assert!(
        openssl
            .read("inter.pkcs1")
            .contains("BEGIN RSA PRIVATE KEY")
    );
    let chain = openssl.read("inter.crt") + &openssl.read("root.crt");
    let (machine, given) = own(&chain, Some(&openssl.read("inter.pkcs1")));
    (openssl, machine, given)
}

/// A machine whose document gives an authority.
pub fn own(chain: &str, key: Option<&str>) -> (Machine, Given) {
    let mut machine = machine("");
    machine.certificates.authority = Some(config::machine::Authority {
        certificate: chain.to_owned(),
        key: key.map(|key| Sensitive::Inline(Secret::new(key))),
    });
    let given = Given {
        authority_key: key.map(Secret::new),
        ..Given::default()
    };
    (machine, given)
}
