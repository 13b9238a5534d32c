//! What people changed since the launch: an image that somebody set. A recovery must not set it back.

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scenarios::reboot::Host;
use crate::scenarios::{Kubectl, cluster, rollout};

const WORKLOAD: &str = "deployment/kube-scheduler";
const PATH: &str = "/apis/apps/v1/namespaces/kube-system/deployments/kube-scheduler";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/kube-system/deployments";
const APP: &str = "kube-scheduler";

/// An image that was set, and the one that it is another name of.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    from: String,
    to: String,
}

/// Sets another image of a workload of the control plane, if it is one of its own API's, and waits until it runs.
pub fn change(machine: &mut dyn Host) -> Result<Option<Changed>> {
    let deployments = machine.list(DEPLOYMENTS)?;
    if !deployments.iter().any(|one| cluster::name(one) == APP) {
        return Ok(None);
    }
    let from = image(&machine.get(PATH)?["spec"]["template"])?;
    let changed = Changed {
        to: format!("{from}-people"),
        from,
    };
    machine.shell(&changed.provision())?;
    rollout::set_image(machine, WORKLOAD, &changed.to)?;
    rollout::status(machine, WORKLOAD)?;
    Ok(Some(changed))
}

impl Changed {
    /// The line of shell with which a machine's runtime knows the image.
    pub fn provision(&self) -> String {
        let Self { from, to } = self;
        format!("ctr --namespace=k8s.io images tag --force {from} {to}")
    }

    /// What the workload or its pods have instead.
    pub fn is_undone(&self, cluster: &dyn Kubectl) -> Result<Vec<String>> {
        let mut all = vec![cluster.get(PATH)?["spec"]["template"].clone()];
        all.extend(cluster::pods_of(cluster, APP)?);
        ensure!(all.len() > 1, "{APP} has no pod");
        let images: Vec<_> = all.iter().map(image).collect::<Result<_>>()?;
        let others = images.into_iter().filter(|image| *image != self.to);
        Ok(others
            .map(|other| format!("{WORKLOAD} was set to {} and has {other}", self.to))
            .collect())
    }
}

/// Of the only container.
fn image(pod: &Value) -> Result<String> {
    let image = pod["spec"]["containers"][0]["image"].as_str();
    Ok(image.context("a container without image")?.to_owned())
}
