//! Etcd alone is left: of the control plane, its files and its checkpoints there is nothing more.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};

use super::launched;
use crate::node::native::Node;
use crate::node::recover::{Took, follow, recover, take};
use crate::node::secrets;
use crate::scenario::Context;
use crate::scenarios::Kubectl as _;
use crate::scenarios::destroy::{self, Assets};
use crate::scenarios::page::{self, Judged};
use crate::scenarios::reboot::Host as _;
use crate::scenarios::seeded::{self, After, Before, Size};

/// Without its asset directory, and then once more with it. What is judged has to be able to fail, so in the end
/// somebody tampers with the cluster.
pub fn run(context: &Context) -> Result<()> {
    let mut node = launched(context)?;
    let mut before = seeded::furnish(&mut node, Size::FULL)?;
    let mut figures = Map::new();
    for (name, assets) in [("lost", Assets::Lost), ("kept", Assets::Kept)] {
        before.goes_on(&node)?;
        destroy::control_plane(&mut node, assets).context(name)?;
        let moment = node.shell(seeded::NOW)?;
        let took = match assets {
            Assets::Lost => by_the_page(&node),
            Assets::Kept => recover(&node, &[]),
        };
        let took = took.context(name)?;
        figures.insert(name.into(), serde_json::to_value(took)?);
        context.keep_result(&Value::Object(figures.clone()))?;
        seeded::check(&mut node, &before, After::default(), &moment).context(name)?;
    }
    secrets::none_in_logs(&node, &["a secret of seeded-17"])?;
    tampering_is_noticed(&mut node, &before)
}

/// Which says what comes where the asset directory is lost too.
fn by_the_page(node: &Node) -> Result<Took> {
    for look in page::section("0.", Judged::Answers)? {
        take(node, &look)?;
    }
    follow(node, &page::section("2.", Judged::Answers)?)
}

fn tampering_is_noticed(node: &mut Node, before: &Before) -> Result<()> {
    let namespace = "--namespace=seeded";
    for change in [
        &["delete", "configmap", namespace, "map-00017"][..],
        &["annotate", "secret", namespace, "secret-0017", "who=me"],
        &["delete", "clusterrole", "view"],
    ] {
        node.kubectl(change, "")?;
    }
    let noticed = seeded::check(node, before, After::default(), "");
    let noticed = noticed.err().context("nobody noticed")?.to_string();
    for line in [
        "configmaps seeded/map-00017 is gone",
        "secrets seeded/secret-0017 holds something else",
        "clusterroles.rbac.authorization.k8s.io /view is gone",
    ] {
        ensure!(noticed.contains(line), "{line:?} is not in {noticed}");
    }
    Ok(())
}
