//! kube-controller-manager, bootstrap and self-hosted, or static. All contend for one Lease, so at most
//! one of them works.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Container, PodSpec, Secret};

use super::apiserver::{SECRETS_DIR, Stage, bootstrap, control_plane_nodes, control_plane_pod};
use super::objects::{
    Door, bind, config_map_volume, disruption_budget, meta, mount, networks, secret_volume,
    service_account, strings, with_probes,
};
use super::workload::{self, component, deployment, leader_arguments};
use super::{Output, checkpoints, kubeconfig, static_pods, tls};
use crate::config::Machine;
use crate::config::machine::ControlPlane;
use crate::pki::Secrets;

const NAME: &str = "kube-controller-manager";
const PORT: u16 = 10257;
/// A checkpoint's own, beside the self-hosted one's.
const CHECKPOINT_PORT: &str = "--secure-port=10357";
const FILES: [&str; 2] = ["ca.crt", "service-account.key"];
/// The certificate that signs, alone, and its key.
const SIGNER: [&str; 2] = ["ca-signer.crt", "ca.key"];

pub fn render(out: &mut Output, machine: &Machine, secrets: &Secrets) -> Result<()> {
    // Not the document's word: while one authority follows another, the document names the next.
    let signs = secrets.can_sign();
    if machine.control_plane == ControlPlane::Static {
        return static_pods::render(out, NAME, container(machine, Stage::Static, signs));
    }
    let mut files = FILES.to_vec();
    if signs {
        files.extend(SIGNER);
    }
    let secret = Secret {
        metadata: meta(NAME, NAME),
        data: Some(tls::data(secrets, &files)?),
        ..Default::default()
    };
    let mut self_hosted = deployment(NAME, self_hosted_pod(machine, signs));
    workload::roll_with(&mut self_hosted.spec.template, &secret, &[]);
    checkpoints::mark(&mut self_hosted.spec.template, &[CHECKPOINT_PORT]);
    out.manifest(
        "bootstrap-manifests/bootstrap-controller-manager.yaml",
        "The temporary controller-manager; it talks to the temporary API server on loopback.",
        &bootstrap(NAME, container(machine, Stage::Bootstrap, signs)),
    )?;
    out.manifest(
        "manifests/kube-controller-manager.yaml",
        "The self-hosted controller-manager. Changed from the original: control-plane nodes instead of\n\
         master, an image of its own instead of hyperkube, probes over TLS (the port without is gone), and\n\
         bootstrap tokens that are past their time are deleted.",
        &self_hosted,
    )?;
    out.private_manifest(
        "manifests/kube-controller-manager-secret.yaml",
        "What the controller-manager signs with.",
        &secret,
    )?;
    out.manifest(
        "manifests/kube-controller-manager-service-account.yaml",
        "The controller-manager's own user.",
        &service_account(NAME),
    )?;
    out.manifest(
        "manifests/kube-controller-manager-role-binding.yaml",
        "What the controller-manager itself may do; each controller has an account of its own.",
        &bind("controller-manager", "system:kube-controller-manager", NAME),
    )?;
    out.manifest(
        "manifests/kube-controller-manager-disruption.yaml",
        "A drain may evict one controller-manager at a time. Changed from the original: policy/v1beta1 is\n\
         gone, and with a minimum of one, a single replica could never be evicted.",
        &disruption_budget(NAME),
    )
}

fn arguments(machine: &Machine, stage: Stage, signs: bool) -> Vec<String> {
    let mut arguments = leader_arguments(NAME, stage, PORT);
    arguments.extend([
        "--allocate-node-cidrs=true".into(),
        format!("--cluster-cidr={}", networks(&machine.cluster.pod_cidrs)),
        format!("--root-ca-file={SECRETS_DIR}/ca.crt"),
        format!("--service-account-private-key-file={SECRETS_DIR}/service-account.key"),
        format!(
            "--service-cluster-ip-range={}",
            networks(&machine.cluster.service_cidrs)
        ),
    ]);
    if signs {
        let [certificate, key] = SIGNER;
        let seconds = machine.certificates.lifetimes.leaf.as_secs();
        arguments.extend([
            format!("--cluster-signing-cert-file={SECRETS_DIR}/{certificate}"),
            format!("--cluster-signing-duration={seconds}s"),
            format!("--cluster-signing-key-file={SECRETS_DIR}/{key}"),
        ]);
    }
    arguments.extend(strings(stage_only(stage)));
    if stage != Stage::Bootstrap {
        arguments.extend(authentication());
    }
    if stage != Stage::Bootstrap || !signs {
        arguments.push("--use-service-account-credentials=true".into());
    }
    arguments.sort();
    arguments
}

/// Whom its own port believes: tokens, by the API, and certificates of the cluster's authority. By default it asks the API for
/// authorities when it starts, and ends if there is none: after a reboot all pods start at once, so it did, and waited for the
/// kubelet's back-off of ten seconds. What is given up is the front proxy's word for others, which nobody sends here.
fn authentication() -> [String; 2] {
    [
        "--authentication-skip-lookup=true".into(),
        format!("--client-ca-file={SECRETS_DIR}/ca.crt"),
    ]
}

/// At the bootstrap everything is new at once: with the default limits the first pods come 5 s later. Its
/// controllers have no accounts of their own, which saves a TLS connection, an account and a token for
/// each. As long as it lives it is the certificate authority, so the rights it is given by its own certificate
/// (system:masters) are none that it would not have. Where it has no key to sign with, that would not be true:
/// there it has its accounts, and no such group.
fn stage_only(stage: Stage) -> &'static [&'static str] {
    match stage {
        Stage::Bootstrap => &["--kube-api-burst=400", "--kube-api-qps=200"],
        Stage::SelfHosted | Stage::Static => &["--controllers=*,token-cleaner-controller"],
    }
}

fn container(machine: &Machine, stage: Stage, signs: bool) -> Container {
    let door = Door {
        scheme: "HTTPS",
        host: Some("127.0.0.1"),
        port: PORT,
    };
    let mut mounts = vec![mount("secrets", SECRETS_DIR)];
    mounts.extend(kubeconfig::mount(stage));
    let container = Container {
        volume_mounts: Some(mounts),
        ..component(
            NAME,
            machine,
            arguments(machine, stage, signs),
            ("100m", "64Mi"),
        )
    };
    with_probes(container, door, "/healthz", "/healthz")
}

fn self_hosted_pod(machine: &Machine, signs: bool) -> PodSpec {
    let volumes = vec![
        secret_volume("secrets", NAME),
        config_map_volume(kubeconfig::IN_CLUSTER, kubeconfig::IN_CLUSTER),
    ];
    PodSpec {
        node_selector: Some(control_plane_nodes()),
        service_account_name: Some(NAME.into()),
        volumes: Some(volumes),
        ..control_plane_pod(container(machine, Stage::SelfHosted, signs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or it would need a certificate of every right, which somebody else would have to sign.
    #[test]
    fn only_who_signs_shares_its_rights_with_its_controllers() {
        let text = b"apiVersion: slipway.dev/v1alpha1\nkind: Machine\nnode: {name: a, address: 192.0.2.1}\n\
                     cluster: {name: harbour}\n";
        let machine = crate::config::parse(text).unwrap();
        for (stage, signs, own) in [
            (Stage::Bootstrap, true, false),
            (Stage::Bootstrap, false, true),
            (Stage::SelfHosted, true, true),
            (Stage::SelfHosted, false, true),
            (Stage::Static, true, true),
        ] {
            let all = arguments(&machine, stage, signs);
            let has = all.contains(&"--use-service-account-credentials=true".to_owned());
            assert_eq!(has, own, "{stage:?} {signs}");
        }
    }
}
