//! How long a worker may be silent.

use serde_json::json;

/// Seconds of silence until a node is called dead (`--node-monitor-grace-period`), and from then until its pods go
/// (`tolerationSeconds`).
#[derive(Clone, Copy, Debug)]
pub struct Times {
    grace: u32,
    tolerated: u32,
    /// Kubernetes' own, so nobody is told.
    are_default: bool,
}

/// So short that a test can wait.
pub const SHORT: Times = Times {
    grace: 20,
    tolerated: 5,
    are_default: false,
};
/// Of every cluster that says nothing.
pub const DEFAULT: Times = Times {
    grace: 50,
    tolerated: 300,
    are_default: true,
};
/// node-lifecycle looks every 5 s and taints one node in 10 s (`--node-monitor-period`, `--node-eviction-rate`); and some
/// more.
const SLACK: f64 = 30.0;

impl Times {
    /// In seconds, of every worker.
    pub fn until_eviction(self) -> f64 {
        f64::from(self.grace + self.tolerated) + SLACK
    }

    /// What the document tells the controller-manager.
    pub fn arguments(self) -> String {
        match self.are_default {
            true => String::new(),
            false => format!(
                "arguments:\n  kube-controller-manager: {{node-monitor-grace-period: {}s}}\n",
                self.grace
            ),
        }
    }

    /// What the pods tolerate; by default the API server adds that.
    pub fn tolerations(self) -> String {
        let tolerated = |taint: &str| {
            json!({
                "key": format!("node.kubernetes.io/{taint}"), "operator": "Exists",
                "effect": "NoExecute", "tolerationSeconds": self.tolerated,
            })
        };
        match self.are_default {
            true => json!([]),
            false => json!(["not-ready", "unreachable"].map(tolerated)),
        }
        .to_string()
    }
}
