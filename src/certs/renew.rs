//! `slipway certs renew`: new leaves, on disk first and then wherever they are used.

use std::time::SystemTime;

use anyhow::Result;

use super::cluster::Cluster;
use super::{Options, kubelet, metrics};
use crate::assets::Assets;
use crate::node::files::below;
use crate::node::static_pods;
use crate::pki::{self, Action, Order};
use crate::render::directory::{self, What};
use crate::render::install::{self, MANIFESTS};
use crate::report::Reporter;
use crate::start::{MARKER, turn};

/// Renews what is due and what is ordered, installs it, and brings the cluster up to date.
pub fn renew(options: &Options<'_>, order: &Order, reporter: &mut Reporter) -> Result<()> {
    reporter.stage("renew");
    let _turn = turn::take(&options.root, "slipway certs renew")?;
    let Some(assets) = begin(options, order, reporter)? else {
        return Ok(());
    };
    let mut cluster = Cluster::connect(options, &assets, reporter)?;
    cluster.update(reporter)?;
    kubelet::revive(options, &cluster.client, reporter)?;
    cluster.judge()?;
    reporter.line("the cluster and this node use the certificates of the asset directory");
    Ok(())
}

/// Makes and installs what is ordered. The asset directory as it is then, or `None` where there is no cluster
/// to update: that is all, and said.
pub(super) fn begin(
    options: &Options<'_>,
    order: &Order,
    reporter: &mut Reporter,
) -> Result<Option<Assets>> {
    let assets = issue(options, order, reporter)?;
    install_all(options, &assets, reporter)?;
    if is_launched(options) {
        reporter.stage("cluster");
        return Ok(Some(assets));
    }
    static_pods::install(&assets, &options.root, &below(&options.root, MANIFESTS))?;
    reporter
        .line("nothing is launched here: `slipway start` brings the certificates into the cluster");
    Ok(None)
}

/// Whether there is a cluster whose objects are this asset directory's.
pub(super) fn is_launched(options: &Options<'_>) -> bool {
    options.kubeconfig.is_some() || below(&options.root, MARKER).exists()
}

/// Renders with new certificates; the asset directory as it is then.
fn issue(options: &Options<'_>, order: &Order, reporter: &mut Reporter) -> Result<Assets> {
    // What lets nodes in is renewed with what proves them.
    let order = &Order {
        token: true,
        ..order.clone()
    };
    let rendered = directory::to_directory_with(
        options.machine,
        options.given,
        &options.asset_dir,
        options.dated,
        false,
        order,
    )?;
    for issued in &rendered.issued {
        reporter.line(format!("{} is new: {}", issued.name, issued.reason));
    }
    if rendered.issued.is_empty() {
        reporter.line("no certificate has to be renewed");
    }
    (rendered.token.iter()).for_each(|news| reporter.line(news.as_str()));
    // Whoever edited a Secret's manifest has to put the new certificate there.
    let kept = (rendered.changes.iter()).filter(|change| change.what == What::KeptEdited);
    kept.for_each(|change| reporter.line(change.to_string()));
    Ok(rendered.assets)
}

/// The node's own files and the metric; names what somebody else has to sign.
fn install_all(options: &Options<'_>, assets: &Assets, reporter: &mut Reporter) -> Result<()> {
    for place in install::install_files(assets, &options.root)? {
        reporter.line(format!("{place} is new"));
    }
    let listed = pki::list(assets, SystemTime::now())?;
    for one in listed.iter().filter(|one| one.action == Action::Sign) {
        reporter.line(format!("{} waits: {}", one.name, one.reason));
    }
    metrics::write(assets, &options.root)
}
