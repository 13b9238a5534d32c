//! The machine is gone, and with it everything but a snapshot and a backup's bundle. Another machine, of another name
//! and address, becomes the cluster; its Secrets are encrypted. While the old one lives the new one refuses.

use anyhow::{Result, ensure};

use crate::node::backup::{Case, OLD, etcdctl, lost};
use crate::node::native::Node;
use crate::node::network::Network;
use crate::node::process::Program;
use crate::node::secrets;
use crate::scenario::Context;
use crate::scenarios::Kubectl as _;
use crate::scenarios::page::Judged;
use crate::scenarios::seeded::{self, After};

/// What is in some Secret.
const SECRET: &str = "a secret of seeded-17";

pub fn run(context: &Context) -> Result<()> {
    let network = Network::create(context)?;
    let case = Case::default();
    let case = Case {
        old: case.old.on(&network),
        new: case.new.on(&network),
        ..case
    };
    let mut lost = lost(context, case)?;
    let (mut node, moment, took) = lost.on_new_machine(context, Judged::Answers)?;
    context.keep_result(&serde_json::to_value(took)?)?;
    let after = After {
        forgotten: Some(OLD),
    };
    seeded::check(&mut node, &lost.before, after, &moment)?;
    is_encrypted(&node)?;
    secrets::none_in_logs(&node, &[SECRET])
}

/// In the store, a Secret that was restored and one that is new.
fn is_encrypted(node: &Node) -> Result<()> {
    let namespace = "--namespace=seeded";
    let literal = format!("--from-literal=word={SECRET}");
    node.kubectl(
        &["create", "secret", "generic", namespace, "new", &literal],
        "",
    )?;
    for name in ["secret-0017", "new"] {
        let key = format!("/registry/secrets/seeded/{name}");
        let get = Program::new(["etcdctl", "get", "--print-value-only", &key]);
        let value = node.run(&etcdctl(get))?.success()?;
        ensure!(
            value.starts_with("k8s:enc:secretbox:v1:") && !value.contains(SECRET),
            "{name} is not encrypted"
        );
    }
    Ok(())
}
