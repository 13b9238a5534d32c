//! Authorities that the harness keeps, made by openssl, and how it signs with one: as docs/certificates.md
//! tells a person to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::launch::ASSETS;
use super::native::Node;
use crate::process;
use crate::scenario::Context;
use crate::scenarios::indented;

/// How a person signs; word for word what docs/certificates.md says of `apiserver`.
const SIGN: &str = "openssl x509 -req -in apiserver.csr -CA signer.crt -CAkey signer.key \
                    -copy_extensions copyall -days 365 > apiserver.crt; cat signer.crt >> apiserver.crt";

/// What keys an authority has.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// An RSA root, and P-256 below it.
    Rsa,
    /// P-384.
    Ec,
}

/// A root and the authority `name` below it. All have the same names, as a successor often has: only keys tell
/// them apart.
pub fn make(folder: &Path, name: &str, kind: Kind) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(
        folder.join("extensions"),
        "basicConstraints=critical,CA:TRUE,pathlen:0\n\
         keyUsage=critical,keyCertSign,cRLSign,digitalSignature\n\
         subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    )?;
    let (root, curve) = match kind {
        Kind::Rsa => ("rsa:2048", "prime256v1"),
        Kind::Ec => ("ec -pkeyopt ec_paramgen_curve:P-384", "secp384r1"),
    };
    for line in [
        "req -x509 -newkey ROOT -noenc -keyout root.key -out root.crt -days 3650 -subj /CN=root",
        "ecparam -name CURVE -genkey -noout -out NAME.key",
        "req -new -key NAME.key -subj /O=Example/CN=harbour -out NAME.csr",
        "x509 -req -in NAME.csr -CA root.crt -CAkey root.key -CAcreateserial -days 1825 \
         -extfile extensions -out NAME.crt",
    ] {
        let line = line.replace("NAME", name).replace("CURVE", curve);
        let line = line.replace("ROOT", root);
        let mut openssl = Command::new("openssl");
        process::output(openssl.current_dir(folder).args(line.split_whitespace()))?;
    }
    Ok(())
}

/// Who keeps the authority: a signer below a root, on a machine of its own.
#[derive(Debug)]
pub struct Signer(PathBuf);

impl Signer {
    /// Makes it.
    pub fn new(context: &Context) -> Result<Self> {
        let folder = context.work.join("signer");
        make(&folder, "signer", Kind::Rsa)?;
        Ok(Self(folder))
    }

    /// What the machine document says of it.
    pub fn document(&self) -> Result<String> {
        let file = |name: &str| fs::read_to_string(self.0.join(name)).context("no authority");
        let chain = file("signer.crt")? + &file("root.crt")?;
        Ok(format!(
            "certificates:\n  authority:\n    certificate: |\n{}",
            indented(&chain)
        ))
    }

    /// Signs what is asked for, and puts the answers where they are wanted.
    pub fn answer(&self, node: &Node, requests: &[Request]) -> Result<()> {
        requests.iter().try_for_each(|request| {
            let signed = self.sign(node, request)?;
            place(node, request, &signed)
        })
    }

    /// Signs one request. It is all that is taken of the node's files.
    pub fn sign(&self, node: &Node, request: &Request) -> Result<String> {
        let path = &request.request;
        let name = path.trim_start_matches("tls/csr/");
        let name = name.trim_end_matches(".csr");
        let copy = self.0.join(format!("{name}.csr"));
        fs::copy(node.path(ASSETS).join(path), copy).with_context(|| path.clone())?;
        let mut shell = Command::new("sh");
        shell.args(["-c", &SIGN.replace("apiserver", name)]);
        process::output(shell.current_dir(&self.0))?;
        Ok(fs::read_to_string(self.0.join(format!("{name}.crt")))?)
    }
}

/// Puts an answer where it is wanted.
pub fn place(node: &Node, request: &Request, answer: &str) -> Result<()> {
    let path = &request.answer;
    fs::write(node.path(ASSETS).join(path), answer).with_context(|| path.clone())
}

/// What somebody has to sign, by paths in the asset directory.
#[derive(Debug)]
pub struct Request {
    /// What is to be signed.
    pub request: String,
    /// Where the answer belongs.
    pub answer: String,
}

/// What a text for people tells to be signed: `sign REQUEST as ANSWER`.
pub fn requests(text: &str) -> Vec<Request> {
    let words: Vec<_> = text.split_whitespace().collect();
    let asks = words.windows(4).filter_map(|words| match words {
        ["sign", request, "as", answer] => Some(Request {
            request: (*request).to_owned(),
            answer: (*answer).to_owned(),
        }),
        _ => None,
    });
    asks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harness_signs_as_people_are_told() {
        let told = include_str!("../../../docs/certificates.md");
        assert!(told.contains(&format!("`{SIGN}`")));
    }

    #[test]
    fn what_is_to_be_signed_is_read_from_the_message() {
        let text =
            "slipway: x:\nslipway:   sign tls/csr/a.csr as tls/a.crt (new)\nslipway: keep it";
        let all = requests(text);
        let all: Vec<_> = all
            .iter()
            .map(|one| (&one.request[..], &one.answer[..]))
            .collect();
        assert_eq!(all, [("tls/csr/a.csr", "tls/a.crt")]);
    }
}
