//! What a pod can do: resolve names, reach Services, ask the API.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::probe::{Report, Series};
use serde_json::Value;

use super::{Kubectl, rollout, until};

/// The workload that asks, as `slipway start --required-pods` names it.
pub const PROBER: &str = "probe/prober";

/// Between two requests of the pod on a free machine.
pub const INTERVAL: Duration = Duration::from_millis(50);

const NAMESPACE: &str = "--namespace=probe";
const DEPLOYMENT: &str = "deployment/prober";
/// Seconds until its pods are Ready, on a free machine.
const READY: u32 = 180;
const PATIENCE: Duration = Duration::from_secs(120);

/// Requests after which the prober has seen enough; two seconds' worth on a free machine.
const ENOUGH: u64 = 40;

/// The address of Service default/kubernetes with the documents' default `serviceCIDR`.
const API_SERVICE: &str = "10.3.0.1";

/// Namespace, ServiceAccount, pods and Service that the questions below need; one pod asks the API
/// every `interval`.
pub fn manifest(interval: Duration) -> String {
    include_str!("prober.yaml").replace("@INTERVAL@", &interval.as_millis().to_string())
}

/// Puts the prober's objects into the cluster and waits until its pods are Ready.
pub fn deploy(cluster: &dyn Kubectl, interval: Duration) -> Result<()> {
    let manifest = manifest(interval);
    cluster.kubectl(&["apply", "--server-side", "--filename=-"], &manifest)?;
    rollout::status_in(cluster, NAMESPACE, DEPLOYMENT, READY)?;
    let pods = [
        "wait",
        NAMESPACE,
        "--for=condition=Ready",
        &cluster.timeout(READY),
        "pod",
        "--all",
    ];
    cluster.kubectl(&pods, "")?;
    Ok(())
}

/// Puts a new pod in place of the one that asks, and waits until it is Ready: one whose files no disk has yet.
pub fn replace(cluster: &dyn Kubectl) -> Result<()> {
    cluster.kubectl(&["rollout", "restart", NAMESPACE, DEPLOYMENT], "")?;
    rollout::status_in(cluster, NAMESPACE, DEPLOYMENT, READY)
}

/// A pod resolves `kubernetes.default`, reaches another pod through a Service by name, and is
/// answered by the API through Service default/kubernetes.
pub fn resolve_and_reach(cluster: &dyn Kubectl) -> Result<()> {
    let addresses = in_pod(cluster, &["--resolve", "kubernetes.default"])?;
    ensure!(
        addresses.trim() == API_SERVICE,
        "kubernetes.default is {addresses:?} to a pod"
    );
    let answer = in_pod(cluster, &["--get", "http://echo.probe:80/"])?;
    ensure!(
        answer.trim() == "echo",
        "Service echo was answered by {answer:?}"
    );
    report_of_many(cluster)?;
    Ok(())
}

/// Pod and Service echo have one address of each family, and a pod reaches the Service over both.
pub fn reach_over_both_families(cluster: &dyn Kubectl) -> Result<()> {
    let echo = |kind: &str| cluster.get(&format!("/api/v1/namespaces/probe/{kind}/echo"));
    let pod = echo("pods")?["status"]["podIPs"].clone();
    let pod = pod.as_array().into_iter().flatten();
    both_families(pod.map(|one| &one["ip"])).context("pod echo")?;
    let service = echo("services")?["spec"]["clusterIPs"].clone();
    let service = service.as_array().into_iter().flatten();
    for address in both_families(service).context("Service echo")? {
        let url = format!("http://{}/", SocketAddr::new(address, 80));
        let answer = in_pod(cluster, &["--get", &url])?;
        ensure!(answer.trim() == "echo", "{url} is answered by {answer:?}");
    }
    Ok(())
}

fn both_families<'a>(addresses: impl Iterator<Item = &'a Value>) -> Result<Vec<IpAddr>> {
    let addresses = addresses.map(|one| Ok(one.as_str().unwrap_or_default().parse()?));
    let addresses: Vec<IpAddr> = addresses.collect::<Result<_>>()?;
    let of_ipv6 = addresses.iter().filter(|address| address.is_ipv6()).count();
    ensure!(
        addresses.len() == 2 && of_ipv6 == 1,
        "it has the addresses {addresses:?}"
    );
    Ok(addresses)
}

/// What the prober in the pod has seen, once it has seen enough to tell.
pub fn report_of_many(cluster: &dyn Kubectl) -> Result<Report> {
    until(cluster, "report of enough requests", PATIENCE, || {
        let seen = report(cluster)?;
        let requests: u64 = seen.series.iter().map(|series| series.requests).sum();
        ensure!(
            requests > ENOUGH,
            "{requests} requests through Service default/kubernetes"
        );
        Ok(seen)
    })
}

/// Whether a series is that of the prober in the pod.
pub fn is_in_pod(series: &Series) -> bool {
    series.door.starts_with(API_SERVICE)
}

/// What the prober in the pod has seen so far.
fn report(cluster: &dyn Kubectl) -> Result<Report> {
    let line = cluster.kubectl(&["logs", NAMESPACE, "--tail=1", DEPLOYMENT], "")?;
    serde_json::from_str(&line).with_context(|| format!("the pod's report is {line:?}"))
}

/// Runs the prober's program in the pod; retried, because a Service that has just been made takes
/// a moment until every node knows it.
fn in_pod(cluster: &dyn Kubectl, arguments: &[&str]) -> Result<String> {
    let program = [
        &["exec", NAMESPACE, DEPLOYMENT, "--", "/usr/bin/prober"],
        arguments,
    ]
    .concat();
    until(cluster, "answer to a pod", PATIENCE, || {
        cluster.kubectl(&program, "")
    })
}
