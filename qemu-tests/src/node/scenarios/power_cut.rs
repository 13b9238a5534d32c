//! What every "reboot" of this tier rests on: a power cut kills everything and keeps the disk.

use std::fs;

use anyhow::{Result, ensure};

use crate::node::native::{Node, NodeSpec};
use crate::node::process::Program;
use crate::node::services;
use crate::scenario::Context;

const WRITE: &str = "for f in /etc/kubernetes/kept /var/lib/slipway/kept /run/lost; do \
    mkdir -p ${f%/*} && echo here > $f; done";

pub fn run(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    let mut containerd = services::start_containerd(&node)?;
    node.run(&Program::new(["sh", "-c", WRITE]))?.success()?;
    let images = images(&node)?;

    node.power_cut()?;
    ensure!(
        containerd.ends_within(std::time::Duration::ZERO)?,
        "containerd outlived its node"
    );
    ensure!(
        node.path("/etc/kubernetes/kept").exists(),
        "/etc is lost while the node is off"
    );

    node.boot()?;
    for kept in ["/etc/kubernetes/kept", "/var/lib/slipway/kept"] {
        ensure!(
            fs::read_to_string(node.path(kept))? == "here\n",
            "{kept} is lost"
        );
    }
    ensure!(
        !node.path("/run/lost").exists(),
        "/run outlived the power cut"
    );
    services::start_containerd(&node)?;
    ensure!(self::images(&node)? == images, "containerd lost images");
    Ok(())
}

fn images(node: &Node) -> Result<String> {
    let images = node.run(&Program::new(["ctr", "-n", "k8s.io", "images", "ls", "-q"]))?;
    images.success()
}
