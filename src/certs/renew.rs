//! `slipway certs renew`: new leaves, on disk first and then wherever they are used.

use anyhow::{Result, anyhow};

use super::cluster::Cluster;
use super::{Options, kubelet, metrics};
use crate::assets::Assets;
use crate::config::machine::Lifetimes;
use crate::exit::{Exit, fail};
use crate::node::files::below;
use crate::pki;
use crate::render::directory::{self, What};
use crate::render::install;
use crate::report::Reporter;
use crate::start::MARKER;

/// Which leaves are renewed, besides those that have to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// None.
    Due,
    /// All.
    All,
    /// Those of these names, e.g. `tls/apiserver`.
    Named(Vec<String>),
}

impl Which {
    fn chooses(&self, name: &str) -> bool {
        match self {
            Self::Due => false,
            Self::All => true,
            Self::Named(names) => names.iter().any(|one| one == name),
        }
    }
}

/// Renews, installs, and brings the cluster up to date.
pub fn renew(options: &Options<'_>, which: &Which, reporter: &mut Reporter) -> Result<()> {
    reporter.stage("renew");
    known(which, &directory::load(&options.asset_dir)?)?;
    issue(options, which, reporter)?;
    let assets = directory::load(&options.asset_dir)?;
    install_all(options, &assets, reporter)?;
    if !is_launched(options) {
        reporter.line(
            "nothing is launched here: `slipway start` brings the certificates into the cluster",
        );
        return Ok(());
    }
    reporter.stage("cluster");
    let mut cluster = Cluster::connect(options, &assets, reporter)?;
    cluster.update(reporter)?;
    kubelet::revive(options, &cluster.client, reporter)?;
    cluster.judge()?;
    reporter.line("the cluster and this node use the certificates of the asset directory");
    Ok(())
}

/// Whether there is a cluster whose objects are this asset directory's.
fn is_launched(options: &Options<'_>) -> bool {
    options.kubeconfig.is_some() || below(&options.root, MARKER).exists()
}

/// Refuses names of no leaf: a renewal that silently leaves one out would be trusted.
fn known(which: &Which, assets: &Assets) -> Result<()> {
    let Which::Named(names) = which else {
        return Ok(());
    };
    let listed = pki::list(assets, Lifetimes::default(), std::time::SystemTime::now())?;
    let leaves: Vec<_> = listed
        .iter()
        .filter(|one| one.issuer != one.name)
        .map(|one| one.name.as_str())
        .collect();
    match names.iter().find(|name| !leaves.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(fail(
            Exit::Usage,
            anyhow!(
                "{name} is no certificate that can be renewed; there are {}",
                leaves.join(", ")
            ),
        )),
    }
}

fn issue(options: &Options<'_>, which: &Which, reporter: &mut Reporter) -> Result<()> {
    let chosen = |name: &str| which.chooses(name);
    let chosen: Option<pki::Chosen<'_>> = (*which != Which::Due).then_some(&chosen);
    let rendered = directory::renew(
        options.machine,
        options.given,
        &options.asset_dir,
        options.dated,
        false,
        chosen,
    )?;
    for issued in &rendered.issued {
        reporter.line(format!("{} is new: {}", issued.name, issued.reason));
    }
    if rendered.issued.is_empty() {
        reporter.line("no certificate has to be renewed");
    }
    // Whoever edited a Secret's manifest has to put the new certificate there.
    let kept = (rendered.changes.iter()).filter(|change| change.what == What::KeptEdited);
    kept.for_each(|change| reporter.line(change.to_string()));
    Ok(())
}

/// The node's own files and the metric.
fn install_all(options: &Options<'_>, assets: &Assets, reporter: &mut Reporter) -> Result<()> {
    for place in install::install(assets, &options.root)? {
        reporter.line(format!("{place} is new"));
    }
    metrics::write(assets, &options.root)
}
