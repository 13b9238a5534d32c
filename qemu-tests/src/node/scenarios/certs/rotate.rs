//! Another authority, in three steps.

use anyhow::{Result, ensure};

use super::authority::{keep, refused, step, the_old_one_is_refused};
use super::{launched, shown_everywhere, under_the_prober, unnoticed};
use crate::scenario::Context;
use crate::scenarios::cluster;

pub fn rotate(context: &Context) -> Result<()> {
    let node = launched(context)?;
    keep(&node)?;
    refused(&node, "reissue", "certs rotate trust")?;
    let report = under_the_prober(&node, |node| {
        let trusted = step(node, "trust")?;
        ensure!(
            trusted.contains("Deployment probe/prober"),
            "it does not name the pod that somebody else has to restart: {trusted}"
        );
        step(node, "reissue")?;
        // Again: there is nothing left to do but to look.
        step(node, "reissue")?;
        step(node, "drop").map(drop)
    })?;
    unnoticed(&report)?;
    shown_everywhere(&node)?;
    the_old_one_is_refused(&node, &[])?;
    cluster::wait_until_ready(&node)
}
