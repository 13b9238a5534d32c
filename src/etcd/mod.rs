//! etcd's v3 API, as far as backing up and recovering need it: reading.
//!
//! Spoken is the JSON gateway that etcd serves on its client port, with the transport of the API
//! client: HTTP/1.1 and JSON are linked anyway. The road not taken is gRPC, which slipway speaks with
//! the container runtime: over TLS it would bring a second TLS stack of tokio's. The price is base64,
//! a third more bytes on the wire. Nothing here writes to etcd.
//!
//! Formats: `api/etcdserverpb/rpc.proto` of etcd 3.7; the gateway writes proto names, 64-bit numbers as
//! strings, bytes as base64, and leaves out what is zero or empty.

mod client;
mod range;
mod snapshot;
#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

use crate::secret::Secret;

pub use client::Client;
pub use range::{Ranged, Values};
pub use snapshot::Saved;

/// Where etcd is, and how to be let in.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// Client URLs, `https://HOST:PORT`; tried in turn until one answers.
    pub urls: Vec<String>,
    /// The PEM bundle of those who may have signed etcd's certificate.
    pub ca_pem: Vec<u8>,
    /// Our certificate chain and its key, both PEM.
    pub certificate: Option<(Vec<u8>, Secret)>,
    /// The longest that one URL may take to answer a call, and for each piece of a snapshot.
    pub timeout: Duration,
}

/// A key as etcd holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// E.g. `/registry/configmaps/default/a`.
    pub key: Vec<u8>,
    /// What was put, perhaps encrypted; empty if only keys were asked for.
    pub value: Secret,
    /// The revision that made it.
    pub create_revision: i64,
    /// The revision that changed it last: the object's resourceVersion.
    pub mod_revision: i64,
    /// How many changes it has seen since it was made, from 1 on.
    pub version: i64,
    /// The lease that it ends with, or 0.
    pub lease: i64,
}

/// What one member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The cluster's id.
    pub cluster_id: u64,
    /// The member that answered.
    pub member_id: u64,
    /// The newest revision.
    pub revision: i64,
    /// etcd's version, e.g. `3.7.0`.
    pub version: String,
    /// The database's size on the disk, in bytes.
    pub db_size: u64,
    /// The leader's member id; 0 if there is none.
    pub leader: u64,
    /// Alarms and the like, in etcd's words.
    pub errors: Vec<String>,
}

/// A member of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Member {
    /// Its id.
    #[serde(rename = "ID", deserialize_with = "client::number")]
    pub id: u64,
    /// Its name; empty until it has started.
    pub name: String,
    /// Where the other members find it.
    #[serde(rename = "peerURLs")]
    pub peer_urls: Vec<String>,
    /// Where clients find it; empty until it has started.
    #[serde(rename = "clientURLs")]
    pub client_urls: Vec<String>,
    /// Whether it follows without a vote.
    #[serde(rename = "isLearner")]
    pub learner: bool,
}

/// What every answer begins with.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Header {
    #[serde(deserialize_with = "client::number")]
    cluster_id: u64,
    #[serde(deserialize_with = "client::number")]
    member_id: u64,
    #[serde(deserialize_with = "client::number")]
    revision: i64,
}

impl Client {
    /// What the first member that answers says of itself.
    ///
    /// # Errors
    /// If none answers.
    pub fn status(&self) -> Result<Status> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            header: Header,
            version: String,
            #[serde(rename = "dbSize", deserialize_with = "client::number")]
            db_size: u64,
            #[serde(deserialize_with = "client::number")]
            leader: u64,
            errors: Vec<String>,
        }
        let answer: Answer = self.call("/v3/maintenance/status", &json!({}))?;
        Ok(Status {
            cluster_id: answer.header.cluster_id,
            member_id: answer.header.member_id,
            revision: answer.header.revision,
            version: answer.version,
            db_size: answer.db_size,
            leader: answer.leader,
            errors: answer.errors,
        })
    }

    /// The cluster's members, in etcd's order.
    ///
    /// # Errors
    /// If nobody answers.
    pub fn members(&self) -> Result<Vec<Member>> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            members: Vec<Member>,
        }
        let answer: Answer = self.call("/v3/cluster/member/list", &json!({}))?;
        Ok(answer.members)
    }
}
