//! Renewal and rotation killed again and again: the same command does what is left.
//!
//! A renewal makes everything new each time, so each one that is killed is followed by one that is not. The
//! step of a rotation is there once: every run of it but the last is killed, each at a later point than the one
//! before. One cluster suffers all of it, while somebody keeps asking it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::authority::{keep, refused, step, the_old_one_is_refused};
use super::renew::{differ, second_renewal_changes_nothing};
use super::{launched, log, shown_everywhere, slipway, under_the_prober, unnoticed, was_killed};
use crate::node::launch::{self, ASSETS};
use crate::node::native::Node;
use crate::scenario::Context;
use crate::scenarios::cluster;

/// Where a command is killed.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// When it has printed a line that contains this, and has done nothing since.
    Says(&'static str),
    /// Soon after: what the line announces is asked for, and has not come about.
    SoonAfter(&'static str),
    /// When some of the node's files are new and some are not.
    HalfInstalled,
}

/// From the line to the answer to what is asked for; each system call stops a command twice.
const SOON: usize = 200;

const RENEW: [Point; 4] = [
    // The asset directory is new, and nothing else.
    Point::Says("tls/apiserver is new"),
    Point::HalfInstalled,
    // The API server has not been told, and then: it has not read it yet.
    Point::Says("Secret kube-system/kube-apiserver changed"),
    Point::SoonAfter("Secret kube-system/kube-apiserver changed"),
];

const TRUST: [Point; 5] = [
    Point::Says("tls/ca-next is new"),
    Point::Says("Secret kube-system/kube-apiserver changed"),
    Point::SoonAfter("kube-controller-manager restarts"),
    Point::SoonAfter("the kubelet restarts"),
    Point::SoonAfter("Deployment kube-system/coredns restarts"),
];

const REISSUE: [Point; 4] = [
    Point::Says("tls/ca is new"),
    Point::Says("Secret kube-system/kube-controller-manager changed"),
    // The kubelet has lost its certificates and goes on with those in its memory.
    Point::Says("the kubelet restarts"),
    Point::SoonAfter("the kubelet restarts"),
];

const DROP: [Point; 4] = [
    Point::Says("is new"),
    Point::Says("kube-controller-manager restarts"),
    Point::Says("the kubelet restarts"),
    Point::SoonAfter("DaemonSet kube-system/kube-proxy restarts"),
];

pub fn killed(context: &Context) -> Result<()> {
    let node = launched(context)?;
    let report = under_the_prober(&node, |node| {
        for point in RENEW {
            renew(node, point)?;
        }
        keep(node)?;
        rotate(node, "trust", &TRUST, Some("reissue"))?;
        rotate(node, "reissue", &REISSUE, Some("drop"))?;
        rotate(node, "drop", &DROP, None)
    })?;
    unnoticed(&report)?;
    the_old_one_is_refused(&node, &[])?;
    second_renewal_changes_nothing(&node)?;
    cluster::wait_until_ready(&node)
}

fn renew(node: &Node, point: Point) -> Result<()> {
    let renew = ["certs", "renew", "--all"];
    let before = shown_everywhere(node)?;
    kill_at(node, &renew, point)?;
    slipway(node, &renew)?.success()?;
    differ(&before, &shown_everywhere(node)?)
}

/// A step of a rotation; as long as it is half done, the next one is refused. It may be done soon after the line
/// that announces the last thing to do.
fn rotate(node: &Node, name: &str, points: &[Point], next: Option<&str>) -> Result<()> {
    for point in points {
        kill_at(node, &["certs", "rotate", name], *point)?;
        if let (Some(next), Point::Says(_)) = (next, point) {
            refused(node, next, &format!("`slipway certs rotate {name}` again"))?;
        }
    }
    step(node, name).map(drop)
}

/// Kills `slipway` with these arguments at a point of its way.
fn kill_at(node: &Node, arguments: &[&str], point: Point) -> Result<()> {
    let log = log(arguments);
    let path = node.logs().join(format!("{log}.log"));
    let before = length(&path);
    let program = launch::held(&[&["slipway"], arguments].concat());
    let command = node.start(&program.log(&log))?;
    let (mut read, mut stops) = (before, None);
    let mut has_said = |line| {
        let grown = length(&path);
        if stops.is_none() && std::mem::replace(&mut read, grown) != grown {
            stops = said_since(&path, before, line).then_some(0);
        }
        stops = stops.map(|stops| stops + 1);
        stops
    };
    node.kill_when(&command, || match point {
        Point::Says(line) => has_said(line).is_some(),
        Point::SoonAfter(line) => has_said(line).is_some_and(|stops| stops > SOON),
        Point::HalfInstalled => is_half_installed(node),
    })
    .with_context(|| format!("cannot kill {arguments:?} at {point:?}"))?;
    was_killed(&command.wait()?)
}

/// Whether the first of the files that a renewal installs is that of the asset directory, and the last is not.
fn is_half_installed(node: &Node) -> bool {
    let is_new = |asset: &str, place: &str| {
        let read = |path: &Path| fs::read(node.path(path)).ok();
        read(&Path::new(ASSETS).join(asset)) == read(Path::new(place))
    };
    is_new("auth/kubeconfig", launch::ADMIN)
        && !is_new("tls/etcd/peer.crt", "/etc/kubernetes/etcd/peer.crt")
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Whether the part of a log after its first `before` bytes has a line that contains a text.
fn said_since(path: &Path, before: u64, line: &str) -> bool {
    let text = fs::read(path).unwrap_or_default();
    let new = usize::try_from(before).ok().and_then(|at| text.get(at..));
    let new = String::from_utf8_lossy(new.unwrap_or_default());
    new.contains(line)
}
