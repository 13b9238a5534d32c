//! What to do about one workload's checkpoint: a pure function of what was observed and for how long.
//!
//! It is level-triggered: it looks at what is there, never at what it said before, so whatever failed or was
//! undone is said again at the next look. What is not known is no reason to act: whatever is done would be done for every value that the
//! unknown could have. docs/checkpoints.md holds the state table, and the tests read it there. The road not taken is the original's machine of seven states, which remembered; one bad answer of the API
//! server led it into a state that it never left.

mod observed;

use std::fmt;
use std::time::Duration;

pub use observed::{Active, Door, Lease, Node, Role, Runs, Seen, Wanted};

/// The API server restarts in its container within this time when it ends by itself; no checkpoint is quicker.
const SILENT: Duration = Duration::from_secs(5);
/// A process that runs and is not heard for this long will not be heard any more.
const MUTE: Duration = Duration::from_secs(60);
/// A leader that is well renews its Lease long before.
const LEADERLESS: Duration = Duration::from_secs(20);
/// One that is Ready and does not lead for this long never will.
const HUNG: Duration = Duration::from_secs(60);
/// What any process may take until it works.
const STARTING: Duration = Duration::from_secs(10);
/// Without its own word of Ready, a workload has been away, or shut out, long enough.
const AWAY: Duration = Duration::from_secs(30);
/// An answer at the node's address that was no last gasp.
const STEADY: Duration = Duration::from_secs(3);
/// The node's address will not be closed or open in a moment.
const SETTLED: Duration = Duration::from_secs(30);
/// Longer than any process of the control plane drains; what runs then was forgotten by its kubelet.
const ENDING: Duration = Duration::from_secs(90);
/// Why a checkpoint goes for good.
const UNWANTED: &str = "the API has no such workload for this node";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The form for an open or a closed address goes into the kubelet's folder.
    Activate(Form),
    /// What is there is taken out.
    Deactivate,
    /// What runs is ended by the container runtime.
    End,
    /// The checkpoint and its data are deleted.
    Remove,
}

/// Which form of a checkpoint is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// [`Active::Open`]
    Open,
    /// [`Active::Closed`]
    Closed,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Activate(Form::Open) => "activate",
            Self::Activate(Form::Closed) => "activate closed",
            Self::Deactivate => "deactivate",
            Self::End => "end",
            Self::Remove => "remove",
        })
    }
}

/// What to do, and why.
pub fn decide(node: &Node, seen: &Seen) -> Option<(Action, &'static str)> {
    if !node.launched {
        return None;
    }
    match seen.active {
        Active::No => without_manifest(node, seen),
        // A kubelet that has not read the API ends no static pod: to take the file away would only hide it.
        _ if node.informed != Some(true) => None,
        _ => may_go(node, seen)
            .or_else(|| let_go(node, seen))
            .map(|why| (Action::Deactivate, why)),
    }
}

/// A workload of which nothing is in the kubelet's folder.
fn without_manifest(node: &Node, seen: &Seen) -> Option<(Action, &'static str)> {
    if let Some(why) = must_stand_in(node, seen).filter(|_| seen.kept) {
        let form = match (seen.role, node.address) {
            (Role::Leader, Door::Silent(_)) => Form::Closed,
            _ => Form::Open,
        };
        return Some((Action::Activate(form), why));
    }
    match seen.forgotten {
        // Where the runtime cannot be asked, nobody knows what is left.
        Some(since) if since >= ENDING && seen.runs != Runs::Unknown => {
            Some((Action::End, "its kubelet does not end it"))
        }
        Some(_) => None,
        None => (seen.kept && is_unwanted(node, seen)).then_some((Action::Remove, UNWANTED)),
    }
}

/// Whether the cluster does not want a workload here any more.
fn is_unwanted(node: &Node, seen: &Seen) -> bool {
    let is_long = matches!(seen.wanted, Wanted::No(since) if since >= node.grace);
    is_long && is_answering(node.api, Duration::ZERO)
}

/// Why an active checkpoint of a workload that is not wanted goes, if it does.
fn let_go(node: &Node, seen: &Seen) -> Option<&'static str> {
    // It is the API that said so, and must not end itself.
    let is_all_there_is =
        seen.role == Role::Apiserver && !is_answering(node.address, Duration::ZERO);
    (is_unwanted(node, seen) && !is_all_there_is).then_some(UNWANTED)
}

/// Why a checkpoint is needed, if it is.
fn must_stand_in(node: &Node, seen: &Seen) -> Option<&'static str> {
    match (seen.role, node.api) {
        (Role::Apiserver, Door::Silent(silent)) => match seen.runs {
            Runs::Never(_) => Some("no API server answers, and none has run since the start"),
            Runs::Stopped(stopped) if silent >= SILENT && stopped >= SILENT => {
                Some("no API server answers, and none runs")
            }
            // One that answers at the node's address is well; it is this unit that does not reach loopback.
            Runs::Running(_) if silent >= MUTE && matches!(node.address, Door::Silent(_)) => {
                Some("an API server runs but does not answer")
            }
            _ => None,
        },
        (Role::Leader, Door::Answers(answering)) => {
            let is_time = answering >= LEADERLESS && is_leaderless(node, seen);
            (is_time && seen.wanted == Wanted::Yes).then_some("nobody holds its Lease")
        }
        (Role::Agent, Door::Answers(_)) if is_shut_out(node, seen) => {
            Some("its own pod does not reach the API")
        }
        // Nobody can say then what is wanted here, or Ready.
        (Role::Agent | Role::Other, Door::Silent(_)) => is_away(seen).then_some("it does not run"),
        (Role::Agent | Role::Other, Door::Answers(_)) => {
            let is_missed = seen.ready == Some(false) && seen.wanted == Wanted::Yes;
            (is_missed && is_away(seen)).then_some("it does not run")
        }
        _ => None,
    }
}

/// Whether nobody has led for so long that nobody will. The node's address must be known, since it tells which form is to lead.
fn is_leaderless(node: &Node, seen: &Seen) -> bool {
    let limit = match (node.address, seen.ready) {
        (Door::Unknown, _) => return false,
        (Door::Silent(_), _) | (_, Some(false)) => LEADERLESS,
        // One that is Ready may still be waiting for its caches: it is the one to lead, unless it hangs.
        (Door::Answers(_), _) => HUNG,
    };
    let may_lead = match seen.runs {
        Runs::Unknown => true,
        Runs::Running(since) => since < STARTING,
        Runs::Never(_) | Runs::Stopped(_) => false,
    };
    matches!(seen.lease, Lease::Dead(dead) if dead >= limit) && !may_lead
}

/// Whether an agent's own pod waits for an API that answers on loopback only: it may run and wait, or end and come again.
fn is_shut_out(node: &Node, seen: &Seen) -> bool {
    let is_shut = matches!(node.address, Door::Silent(since) if since >= AWAY);
    let is_missed = seen.ready == Some(false) && seen.wanted == Wanted::Yes;
    is_shut && is_missed && seen.runs != Runs::Unknown
}

fn is_away(seen: &Seen) -> bool {
    matches!(seen.runs, Runs::Never(away) | Runs::Stopped(away) if away >= AWAY)
}

/// Why an active checkpoint is not needed any more, if it is not.
fn may_go(node: &Node, seen: &Seen) -> Option<&'static str> {
    let is_open = is_answering(node.address, STEADY);
    let runs = matches!(seen.runs, Runs::Running(_));
    match seen.role {
        Role::Apiserver => (is_open && runs).then_some("its own pod answers at the node's address"),
        Role::Leader if is_open && has_successor(seen) => Some("its own pod is Ready"),
        // None goes for its form where the other one may not follow.
        Role::Leader if seen.wanted == Wanted::Yes => changed_form(node, seen),
        Role::Leader => None,
        Role::Agent => (is_open && runs).then_some("its own pod runs and reaches the API"),
        Role::Other => runs.then_some("its own pod runs"),
    }
}

/// Whether there is one to lead after a checkpoint, which has been of use: where nobody leads at all, two help more than one.
fn has_successor(seen: &Seen) -> bool {
    seen.ready == Some(true) && seen.lease == Lease::Live
}

/// Whether a leader's checkpoint is of the wrong form. The right one follows once it is gone.
fn changed_form(node: &Node, seen: &Seen) -> Option<&'static str> {
    let is_shut = matches!(node.address, Door::Silent(since) if since >= STARTING);
    match seen.active {
        Active::Closed if is_answering(node.address, SETTLED) => {
            Some("the node's address answers: the other form follows")
        }
        Active::Open if is_shut => {
            Some("the node's address does not answer: the other form follows")
        }
        _ => None,
    }
}

fn is_answering(door: Door, long: Duration) -> bool {
    matches!(door, Door::Answers(since) if since >= long)
}

#[cfg(test)]
mod tests;
