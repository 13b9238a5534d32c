//! `slipway certs rotate`: another authority of the cluster, in three steps that each can be done again.
//!
//! Whoever verifies has to trust the new authority before anybody shows a certificate of it, and whoever
//! shows one has to have a new one before the old authority goes. So each step does the same in the same
//! order with another content of `tls/ca.crt`: files, the control plane's Secrets, the kubelet, the copies
//! in every namespace, and those that have read a copy. A step refuses to begin where the one before it did
//! not get to its end in the cluster; before the first comes the last of the rotation before, because two old
//! authorities at once are more than a step can take back.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, anyhow};
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use super::cluster::{Cluster, file};
use super::renew::{begin, is_launched};
use super::{Options, clients, kubelet};
use crate::assets::Assets;
use crate::exit::{Exit, fail};
use crate::pki::{Order, SIGNER, Step};
use crate::render::directory;
use crate::report::Reporter;
use crate::start::{plane, turn};
use crate::tls;

const KUBELET_PORT: u16 = 10250;

/// Does a step of a rotation, or what is left of it.
pub fn rotate(options: &Options<'_>, step: Step, reporter: &mut Reporter) -> Result<()> {
    reporter.stage("rotate");
    let _turn = turn::take(&options.root, "slipway certs rotate")?;
    let before = directory::load(&options.asset_dir)?;
    if is_launched(options) && advances(&before, step) {
        let cluster = Cluster::connect(options, &before, reporter)?;
        finished(&cluster, &before, step)?;
    }
    let order = Order {
        step: Some(step),
        ..Order::default()
    };
    let Some(assets) = begin(options, &order, reporter)? else {
        return Ok(());
    };
    let mut cluster = Cluster::connect(options, &assets, reporter)?;
    cluster.update(reporter)?;
    cluster.await_authorities(reporter)?;
    kubelet::restart(options, &cluster.client, step == Step::Reissue, reporter)?;
    cluster.await_copies(reporter)?;
    restart_clients(&mut cluster, &assets, reporter)?;
    cluster.see_kubelet(reporter);
    for line in left_to_people(&cluster, &assets, step)? {
        reporter.line(line);
    }
    cluster.judge()?;
    reporter.line(next(step));
    Ok(())
}

/// Whether the step changes who is trusted or who signs; otherwise it is done again, or out of turn.
fn advances(before: &Assets, step: Step) -> bool {
    let has = |path| before.get(path).is_some();
    let (next, previous) = (has("tls/ca-next.crt"), has("tls/ca-previous.crt"));
    match step {
        Step::Trust => !next && !previous,
        Step::Reissue => next,
        Step::Drop => previous,
    }
}

/// Refuses unless the cluster is where the step before left it: before the first step, where the last one of
/// the rotation before did. A cluster that was never rotated is there.
fn finished(cluster: &Cluster<'_>, before: &Assets, step: Step) -> Result<()> {
    let (what, again) = match step {
        Step::Trust => ("the cluster is not as the asset directory is", "drop"),
        Step::Reissue => ("the step before is not over", "trust"),
        Step::Drop => ("the step before is not over", "reissue"),
    };
    let mut missing = cluster.outdated()?;
    let mark = clients::mark(file(before, "tls/ca.crt")?)?;
    for client in clients::of(plane::manifests(before)?) {
        missing.extend(match step {
            // Only a rotation marks them.
            Step::Trust => cluster.differs(&client, clients::TRUSTS, &mark)?,
            _ => cluster.lacks(&client, clients::TRUSTS, &mark)?,
        });
    }
    if step == Step::Trust {
        missing.extend(cluster.trusts_more()?);
    }
    let (here, elsewhere) = match step {
        Step::Reissue => Default::default(),
        _ => old_leaves(cluster, before)?,
    };
    missing.extend(here);
    judge(what, again, missing, elsewhere)
}

/// Refuses if anything is missing, on this node or on others, and says who can mend it.
fn judge(what: &str, again: &str, mut missing: Vec<String>, elsewhere: Vec<String>) -> Result<()> {
    let mut next = Vec::new();
    if !missing.is_empty() {
        next.push(format!("run `slipway certs rotate {again}` again"));
    }
    if !elsewhere.is_empty() {
        next.push(FOR_A_WORKER.to_owned());
    }
    if next.is_empty() {
        return Ok(());
    }
    missing.extend(elsewhere);
    let error = anyhow!(
        "{what}: {}\nnext step: {}, then run this again",
        missing.join("; "),
        next.join(", ")
    );
    Err(fail(Exit::Refused, error))
}

/// What no step on this node does.
const FOR_A_WORKER: &str =
    "do on each of those other nodes what docs/certificates.md tells of workers";

/// Servers that show a certificate of another authority than the one that signs: of this node (the API server and
/// the kubelet), and the kubelets of others.
fn old_leaves(cluster: &Cluster<'_>, before: &Assets) -> Result<(Vec<String>, Vec<String>)> {
    let roots = tls::authorities(file(before, &format!("{SIGNER}.crt"))?)?;
    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    if let Err(why) = shows_new(cluster.door(), &roots) {
        here.push(format!("the API server: {why}"));
    }
    for (name, address) in nodes(cluster)? {
        if let Err(why) = shows_new((address, KUBELET_PORT).into(), &roots) {
            let old = match name == cluster.options().machine.node.name {
                true => &mut here,
                false => &mut elsewhere,
            };
            old.push(format!("the kubelet of {name}: {why}"));
        }
    }
    Ok((here, elsewhere))
}

/// Whether a server's certificate is of these authorities. Who cannot be reached shows none that is wrong: a
/// node that is off must not hold up the others for ever.
fn shows_new(server: SocketAddr, roots: &[CertificateDer<'static>]) -> Result<(), String> {
    match tls::shown(server, roots) {
        Ok(_) => Ok(()),
        Err(error) => {
            let refusal = error.downcast_ref().and_then(tls::refusal);
            refusal.map_or(Ok(()), Err)
        }
    }
}

/// Every node with its first internal address.
fn nodes(cluster: &Cluster<'_>) -> Result<Vec<(String, IpAddr)>> {
    let nodes = cluster
        .client
        .list("/api/v1/nodes")
        .context("cannot list the nodes")?;
    Ok(nodes.items.iter().filter_map(internal_address).collect())
}

fn internal_address(node: &Value) -> Option<(String, IpAddr)> {
    let addresses = node["status"]["addresses"].as_array()?;
    let internal = addresses.iter().find(|one| one["type"] == "InternalIP")?;
    Some((
        plane::name(node),
        internal["address"].as_str()?.parse().ok()?,
    ))
}

/// Restarts, one after the other, what this asset directory brought and what has read the authority.
fn restart_clients(
    cluster: &mut Cluster<'_>,
    assets: &Assets,
    reporter: &mut Reporter,
) -> Result<()> {
    let mark = clients::mark(file(assets, "tls/ca.crt")?)?;
    for client in clients::of(plane::manifests(assets)?) {
        cluster.mark(&client, clients::TRUSTS, &mark, reporter)?;
    }
    Ok(())
}

/// What no command on this node can do.
fn left_to_people(cluster: &Cluster<'_>, assets: &Assets, step: Step) -> Result<Vec<String>> {
    let mut lines =
        vec!["copies of admin.kubeconfig: take /etc/kubernetes/admin.kubeconfig anew".to_owned()];
    let own = &cluster.options().machine.node.name;
    let others = nodes(cluster)?.into_iter().filter(|(name, _)| name != own);
    let others: Vec<_> = others.map(|(name, _)| name).collect();
    if !others.is_empty() {
        let what = match step {
            Step::Reissue => "new certificates for its kubelet",
            _ => "the new /etc/kubernetes/ca.crt, and a restart of its kubelet",
        };
        lines.push(format!(
            "each of the nodes {} needs {what}: docs/certificates.md tells how",
            others.join(", ")
        ));
    }
    if step != Step::Reissue {
        let pods = cluster
            .client
            .list("/api/v1/pods")
            .context("cannot list the pods")?;
        let ours = clients::of(plane::manifests(assets)?);
        let strangers = clients::strangers(&pods.items, &cluster.copies()?, &ours);
        lines.extend(strangers.into_iter().map(|name| {
            format!("{name}: restart it unless it reads its authority again by itself")
        }));
    }
    Ok(lines)
}

fn next(step: Step) -> &'static str {
    match step {
        Step::Trust => {
            "both authorities are trusted; when all that is named above is done: `slipway certs rotate reissue`"
        }
        Step::Reissue => {
            "the new authority signs; when all that is named above is done: `slipway certs rotate drop`"
        }
        Step::Drop => "only the new authority is trusted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_who_can_mend_it() {
        let text = |missing: &[&str], elsewhere: &[&str]| {
            let all = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
            let judged = judge("not over", "reissue", all(missing), all(elsewhere));
            judged.err().map(|error| error.to_string())
        };
        let again = "run `slipway certs rotate reissue` again";
        assert_eq!(text(&[], &[]), None);
        let expected = format!("not over: a; b\nnext step: {again}, then run this again");
        assert_eq!(text(&["a", "b"], &[]), Some(expected));
        let expected = format!("not over: w\nnext step: {FOR_A_WORKER}, then run this again");
        assert_eq!(text(&[], &["w"]), Some(expected));
        let both = text(&["a"], &["w"]).unwrap();
        assert!(
            both.contains(again) && both.contains(FOR_A_WORKER),
            "{both}"
        );
    }

    #[test]
    fn a_step_that_is_done_again_needs_nothing_of_the_one_before() {
        use Step::{Drop, Reissue, Trust};
        let table: [(&str, &[Step]); 3] = [
            // A rotation may begin: it is looked at how the last one ended.
            ("tls/nothing.crt", &[Trust]),
            ("tls/ca-next.crt", &[Reissue]),
            ("tls/ca-previous.crt", &[Drop]),
        ];
        for (file, expected) in table {
            let mut assets = Assets::default();
            assets.add(file, "x");
            let all = [Trust, Reissue, Drop].into_iter();
            let found: Vec<_> = all.filter(|step| advances(&assets, *step)).collect();
            assert_eq!(found, expected, "{file}");
        }
    }
}
