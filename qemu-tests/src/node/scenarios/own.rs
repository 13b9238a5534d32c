//! Authorities that a person brings along, made by openssl: one that signs in the cluster, below a root whose
//! key nobody here has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::node::native::Node;
use crate::node::process::Program;
use crate::process;
use crate::scenarios::{Kubectl, indented};

/// Where roots lie on a node that knows nothing else of its authority.
const FOLDER: &str = "/etc/own";

/// What keys an authority has.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// An RSA root, and P-256 below it.
    Rsa,
    /// P-384.
    Ec,
}

/// A root and what signs below it. All have the same names, as a successor often has: only keys tell them
/// apart.
#[derive(Debug)]
pub struct Own {
    folder: PathBuf,
}

impl Own {
    /// Makes one in a folder of the host.
    pub fn make(folder: &Path, kind: Kind) -> Result<Self> {
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
            format!(
                "req -x509 -newkey {root} -noenc -keyout root.key -out root.crt -days 3650 -subj /CN=root"
            ),
            format!("ecparam -name {curve} -genkey -noout -out own.key"),
            "req -new -key own.key -subj /O=Example/CN=harbour -out own.csr".to_owned(),
            "x509 -req -in own.csr -CA root.crt -CAkey root.key -CAcreateserial -days 1825 \
             -extfile extensions -out own.crt"
                .to_owned(),
        ] {
            let mut openssl = Command::new("openssl");
            process::output(openssl.current_dir(folder).args(line.split_whitespace()))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The lines of a machine document whose cluster has it.
    pub fn document(&self) -> Result<String> {
        let file = |name| fs::read_to_string(self.folder.join(name)).context("no authority");
        Ok(format!(
            "certificates:\n  authority:\n    certificate: |\n{}    key: |\n{}",
            indented(&(file("own.crt")? + &file("root.crt")?)),
            indented(&file("own.key")?)
        ))
    }

    /// Who trusts the root and nothing else verifies the API server; who trusts a stranger's does not.
    pub fn is_enough(&self, node: &Node, stranger: &Self) -> Result<()> {
        fs::create_dir_all(node.path(FOLDER))?;
        for (own, name, is_right) in [(self, "root", true), (stranger, "stranger", false)] {
            let path = format!("{FOLDER}/{name}.crt");
            fs::copy(own.folder.join("root.crt"), node.path(&path))?;
            verifies(node, &path, is_right)?;
        }
        Ok(())
    }
}

/// Both openssl and kubectl trust the API server by this root, or both do not.
fn verifies(node: &Node, root: &str, is_right: bool) -> Result<()> {
    let address = &node.spec().address;
    let connect = format!("{address}:6443");
    let openssl = Program::new([
        "openssl",
        "s_client",
        "-connect",
        &connect,
        "-CAfile",
        root,
        "-no-CApath",
        "-no-CAstore",
        "-verify_ip",
        address,
        "-verify_return_error",
    ]);
    let said = node.run(&openssl)?.success();
    ensure!(said.is_ok() == is_right, "openssl with {root}: {said:?}");
    let option = format!("--certificate-authority={root}");
    let nodes = node.kubectl(&[&option, "get", "nodes"], "");
    ensure!(nodes.is_ok() == is_right, "kubectl with {root}: {nodes:?}");
    Ok(())
}
