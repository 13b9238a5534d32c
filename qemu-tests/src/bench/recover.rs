//! How long a dead control plane is away: from the start of `slipway recover`.

use anyhow::Result;

use super::reboot::{launched, named};
use super::{Figures, Results, repeated, summary};
use crate::node::backup::{Case, lost};
use crate::node::recover::{Took, recover};
use crate::scenario::Context;
use crate::scenarios::ask;
use crate::scenarios::cluster;
use crate::scenarios::destroy::{self, Assets};
use crate::scenarios::page::Judged;
use crate::scenarios::seeded::{self, Size};

/// One cluster whose etcd alone is left, five times; and one whose machine is gone, whom five others become.
pub fn recoveries(context: &Context) -> Result<Results> {
    let mut results = summary(&from_etcd(context)?);
    results.extend(summary(&on_new_machine(context)?));
    Ok(results)
}

fn from_etcd(context: &Context) -> Result<Vec<Figures>> {
    let mut node = launched(context, "recover")?;
    ask(&node, |client| seeded::seed(client, Size::FULL))?;
    repeated("recover from etcd", |_| {
        cluster::wait_until_ready(&node)?;
        destroy::control_plane(&mut node, Assets::Lost)?;
        Ok(figures("recover_etcd", recover(&node, &[])?))
    })
}

fn on_new_machine(context: &Context) -> Result<Vec<Figures>> {
    let context = Context {
        work: context.work.join("recover-on-new-machine"),
        ..context.clone()
    };
    let mut lost = lost(&context, Case::default())?;
    repeated("recover on a new machine", |number| {
        let context = Context {
            work: context.work.join(number.to_string()),
            ..context.clone()
        };
        let (_node, _, took) = lost.on_new_machine(&context, Judged::Codes)?;
        Ok(figures("recover_machine", took))
    })
}

fn figures(name: &str, took: Took) -> Figures {
    let figure = |what: &str| format!("{name}_{what}");
    named(&[
        (&figure("done_s"), took.recover_s),
        (&figure("api_s"), took.api_s),
        (&figure("handed_over_s"), took.handed_over_s),
    ])
}
