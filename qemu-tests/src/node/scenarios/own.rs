//! Authorities that a person brings along: one that signs in the cluster, below a root whose key nobody here
//! has.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::node::authority::{self, Kind};
use crate::node::native::Node;
use crate::node::process::Program;
use crate::scenarios::{Kubectl, indented};

/// Where roots lie on a node that knows nothing else of its authority.
const FOLDER: &str = "/etc/own";

/// A root and what signs below it.
#[derive(Debug)]
pub struct Own {
    folder: PathBuf,
}

impl Own {
    /// Makes one in a folder of the host.
    pub fn make(folder: &Path, kind: Kind) -> Result<Self> {
        authority::make(folder, "own", kind)?;
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
