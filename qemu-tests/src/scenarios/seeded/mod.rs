//! What a cluster holds before it is destroyed, and the judgement whether it is all there again afterwards.
//!
//! A client of our own seeds it, several requests at a time: kubectl takes minutes for 5,000 objects. What is
//! noted is not only what was seeded, but every object that discovery leads to, because a recovery may lose any.

pub mod backup;
mod noted;
mod objects;
mod people;
mod seen;
mod tokens;
mod watched;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway::kube::{Client, Error};

use super::reboot::{self, Host, LEADERS};
use super::{Api, ask, cluster, until};
pub use noted::Noted;
use people::Changed;

/// Requests at a time: the API server has two cores to itself at best.
const LANES: usize = 8;
/// How long a definition may take to be served, and a leader to lead.
const SOON: Duration = Duration::from_secs(120);
/// How long pods of a node that is gone may be there: their collector waits for 40 s.
const SETTLING: Duration = Duration::from_secs(240);
/// Prints the time of the machine, as its API writes it.
pub const NOW: &str = "date --utc +%FT%TZ";
/// What a judgement shows of what differs.
const SHOWN: usize = 20;

/// How much is seeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// ConfigMaps.
    pub maps: usize,
    /// Secrets.
    pub secrets: usize,
    /// Objects of a kind that a definition adds.
    pub custom: usize,
    /// Deployments, of one pod each.
    pub deployments: usize,
}

impl Size {
    /// For machines that run natively.
    pub const FULL: Self = Self {
        maps: 5_000,
        secrets: 200,
        custom: 50,
        deployments: 3,
    };
    /// For a machine under emulation.
    pub const TENTH: Self = Self {
        maps: 500,
        secrets: 20,
        custom: 5,
        deployments: 1,
    };
}

/// A machine with a cluster: commands, kubectl and a client.
pub trait Machine: Host + Api {}

impl<T: Host + Api> Machine for T {}

/// Puts the objects into the API; nobody waits for pods.
pub fn seed(client: &Client, size: Size) -> Result<()> {
    for object in objects::first() {
        client.create(&object)?;
    }
    until_served(client)?;
    create_all(client, &objects::all(size).collect::<Vec<_>>())
}

/// Creates objects, several at a time and in no order.
pub fn create_all(client: &Client, all: &[Value]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let lane = || -> Result<(), Error> {
        while let Some(object) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            client.create(object)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().try_for_each(|lane| match lane.join() {
            Ok(seeded) => Ok(seeded?),
            Err(_) => bail!("a lane panicked"),
        })
    })
}

/// The definition's kind has its path a moment after the definition was made.
fn until_served(client: &Client) -> Result<()> {
    crate::wait::until("kind of the definition", SOON, || {
        Ok(client.list(objects::CUSTOM).map(drop)?)
    })
}

/// What is noted of a cluster before it is destroyed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Before {
    noted: Noted,
    /// Nothing where the control plane is static pods.
    changed: Option<Changed>,
}

/// What may be different afterwards.
#[derive(Clone, Copy, Debug, Default)]
pub struct After<'a> {
    /// The node that was taken out of the cluster.
    pub forgotten: Option<&'a str>,
}

/// Fills a launched cluster with everything that is judged later, and notes what it holds then.
pub fn furnish(machine: &mut dyn Machine, size: Size) -> Result<Before> {
    ask(machine, |client| seed(client, size)).context("seeding")?;
    let changed = people::change(machine)?;
    cluster::wait_until_ready(machine)?;
    let node = machine.shell("uname -n")?;
    let noted = ask(machine, |client| Noted::of(client, size, node.trim()))?;
    Ok(Before { noted, changed })
}

impl Before {
    /// What people see after the rest was noted, and after a snapshot was taken: it is lost, and its
    /// resourceVersions must not come again.
    pub fn goes_on(&mut self, machine: &dyn Machine) -> Result<()> {
        let latest = ask(machine, watched::change)?;
        self.noted.saw(latest);
        Ok(())
    }

    /// The line of shell that gives a new machine the image that people set, as a registry would.
    pub fn provision(&self) -> String {
        let changed = self.changed.as_ref();
        changed.map_or_else(|| "true".to_owned(), Changed::provision)
    }
}

/// Waits until the cluster is well, with leaders since `moment` (what [`NOW`] printed), and judges what it holds.
pub fn check(
    machine: &mut dyn Machine,
    before: &Before,
    after: After<'_>,
    moment: &str,
) -> Result<()> {
    if let Some(node) = after.forgotten {
        nobody_is_on(machine, node)?;
    }
    is_well(machine, moment, before.changed.is_none())?;
    let mut differs = ask(machine, |client| {
        before.noted.differs(client, after.forgotten)
    })?;
    if let Some(changed) = &before.changed {
        differs.extend(changed.is_undone(machine)?);
    }
    ensure!(differs.is_empty(), "{}", shown(&differs));
    ask(machine, |client| before.noted.watches_work(client))
}

/// Waits until no pod is left of a node that is gone: what the API says of them is from before.
fn nobody_is_on(machine: &dyn Machine, node: &str) -> Result<()> {
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName={node}");
    until(
        machine,
        "end of the pods of a node that is gone",
        SETTLING,
        || {
            let left = machine.list(&path)?;
            let names: Vec<_> = left.iter().map(cluster::name).collect();
            ensure!(names.is_empty(), "{names:?} are left");
            Ok(())
        },
    )
}

/// Everything is Ready, nothing stands in for anybody, and somebody leads.
fn is_well(machine: &mut dyn Machine, moment: &str, is_static: bool) -> Result<()> {
    cluster::wait_until_ready(machine)?;
    if !is_static {
        reboot::no_checkpoint_is_active(machine)?;
        cluster::no_mirror_pod_but_etcd(machine)?;
    }
    until(machine, "leaders", SOON, || {
        reboot::leads_since(machine, &LEADERS, moment.trim())
    })?;
    cluster::wait_until_ready(machine)?;
    machine.answers()
}

/// The first of them, and how many there are.
fn shown(differs: &[String]) -> String {
    let first: Vec<_> = differs.iter().take(SHOWN).map(String::as_str).collect();
    match differs.len().saturating_sub(SHOWN) {
        0 => first.join("\n"),
        more => format!("{}\nand {more} more", first[..SHOWN - 1].join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_screen_is_shown() {
        let lines: Vec<_> = (0..25).map(|number| format!("line {number}")).collect();
        assert_eq!(shown(&lines[..2]), "line 0\nline 1");
        let shown = shown(&lines);
        assert_eq!(shown.lines().count(), SHOWN);
        assert!(shown.starts_with("line 0\n") && shown.ends_with("line 18\nand 5 more"));
    }
}
