//! What can be observed of a node and of a workload, and for how long it has been so.

use std::time::Duration;

/// Whether somebody answers at a door, and for how long it has been so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nobody asked.
    Unknown,
    /// Somebody does.
    Answers(Duration),
    /// Nobody does.
    Silent(Duration),
}

impl Door {
    /// From the last answer and its age; `None` is no question.
    pub fn of((answers, long): (Option<bool>, Duration)) -> Self {
        match answers {
            None => Self::Unknown,
            Some(true) => Self::Answers(long),
            Some(false) => Self::Silent(long),
        }
    }
}

/// What the container runtime says of the workload's own containers, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// It cannot be asked.
    Unknown,
    /// None ran since this unit began to look.
    Never(Duration),
    /// One has a process.
    Running(Duration),
    /// One had.
    Stopped(Duration),
}

/// Whether a leader holds the workload's Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It could not be read, or it has none.
    Unknown,
    /// Somebody renews it.
    Live,
    /// Nobody did for as long as it lasts, and that was so long ago.
    Dead(Duration),
}

/// Whether the cluster wants a pod of the workload on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The API server did not say.
    Unknown,
    /// It does.
    Yes,
    /// It does not, says every answer for this long.
    No(Duration),
}

/// What a workload does for the cluster; it decides when a checkpoint must stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is the API.
    Apiserver,
    /// It works while it holds a Lease.
    Leader,
    /// It does on this node what the API says, and two of it do no harm.
    Agent,
    /// None of these.
    Other,
}

/// Which form of a checkpoint is in the kubelet's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Active {
    /// None.
    No,
    /// The only one that most workloads have.
    Either,
    /// The one for as long as the node's address answers.
    Open,
    /// The one for as long as it does not.
    Closed,
    /// One of an earlier copy.
    Earlier,
}

/// What is true of the node as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Whether the launch is over.
    pub launched: bool,
    /// 127.0.0.1.
    pub api: Door,
    /// The node's address.
    pub address: Door,
    /// Whether this kubelet has read its pods from the API since it started. Before, it ends no static pod.
    pub informed: Option<bool>,
    /// How long the API must say that a workload is gone.
    pub grace: Duration,
}

/// What is true of one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it does.
    pub role: Role,
    /// Whether its checkpoint is kept, undamaged.
    pub kept: bool,
    /// What is in the kubelet's folder.
    pub active: Active,
    /// For how long a checkpoint has run that is in the kubelet's folder no longer.
    pub forgotten: Option<Duration>,
    /// Its own containers, without the checkpoint's.
    pub runs: Runs,
    /// Whether a pod of its own is Ready.
    pub ready: Option<bool>,
    /// Its Lease.
    pub lease: Lease,
    /// Whether it should be here at all.
    pub wanted: Wanted,
}
