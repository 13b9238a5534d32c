//! What a test of the tiers above `unit` is.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A scenario's figures in its folder; they stay there when it passes.
pub const RESULT: &str = "result.json";

/// Where that document is in the repository.
pub const EXAMPLE: &str = "examples/single-node.yaml";

/// The tiers of docs/design.md §7; all but the first run scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Checks, and what `cargo test` runs.
    Unit,
    /// A real kube-apiserver and etcd as child processes.
    Api,
    /// A real kubelet and containerd in namespaces.
    Node,
    /// The real image in QEMU.
    Vm,
}

impl Tier {
    /// All of them, fast ones first.
    pub const ALL: [Tier; 4] = [Tier::Unit, Tier::Api, Tier::Node, Tier::Vm];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Unit => "unit",
            Tier::Api => "api",
            Tier::Node => "node",
            Tier::Vm => "vm",
        }
    }
}

/// One test: it passes if `run` returns `Ok`.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// `topic-what`, e.g. `launch-power-cut`; unique.
    pub name: &'static str,
    /// Where it runs.
    pub tier: Tier,
    /// Whether another such may run beside it: it shares no port with it, and judges outcomes, not how many
    /// requests of a prober failed meanwhile.
    pub in_company: bool,
    /// The test.
    pub run: fn(&Context) -> Result<()>,
}

/// What a scenario is given.
#[derive(Clone, Debug)]
pub struct Context {
    /// The repository.
    pub repo: PathBuf,
    /// An empty folder of its own for logs and state; shown and kept when it fails.
    pub work: PathBuf,
    /// What the scenarios of one run leave for each other; empty at first.
    pub left: PathBuf,
    /// `target/payload` (bin/, cni/, images/, store/), built and ready.
    pub payload: PathBuf,
    /// `target/image` (rootfs/, root.erofs, vmlinuz, initrd.img, …), built and ready (node and VM).
    pub image: PathBuf,
    /// `target/slipway`, the static release binary.
    pub slipway: PathBuf,
}

impl Context {
    /// Writes the scenario's figures.
    pub fn keep_result(&self, figures: &Value) -> Result<()> {
        let path = self.work.join(RESULT);
        fs::write(&path, format!("{figures:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The document that README.md starts with.
    pub fn example(&self) -> Result<Vec<u8>> {
        let path = self.repo.join(EXAMPLE);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}
