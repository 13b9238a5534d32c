//! An etcd with nothing on it, for tests of what etcd itself keeps.
//!
//! Written through its JSON gateway, because an etcdctl for every one of 20,000 changes would take minutes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::child::Child;
use super::cluster::free_ports;
use crate::{process, wait};

/// How long it may take to start or to stop on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A running etcd; killed when dropped.
pub struct Etcd {
    child: Child,
    bin: PathBuf,
    folder: PathBuf,
    url: String,
    agent: ureq::Agent,
}

impl Etcd {
    /// Starts one of the programs in `bin`, with its data and its log in `work`.
    pub fn start(bin: &Path, work: &Path) -> Result<Etcd> {
        let [port, peer_port] = free_ports()?;
        let url = format!("http://127.0.0.1:{port}");
        let peer = format!("http://127.0.0.1:{peer_port}");
        let folder = work.join("etcd");
        let arguments = [
            "--name=alone".to_owned(),
            format!("--data-dir={}", folder.display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=alone={peer}"),
            // The data of a test need not survive a power cut.
            "--unsafe-no-fsync".to_owned(),
        ];
        let child = Child::start(&bin.join("etcd"), &arguments, &work.join("etcd.log"))?;
        let mut etcd = Etcd {
            child,
            bin: bin.to_owned(),
            folder,
            url,
            agent: ureq::Agent::new_with_defaults(),
        };
        wait::until("ready etcd", LIMIT, || {
            etcd.child.check_alive()?;
            etcd.call("/v3/maintenance/status", &json!({})).map(drop)
        })?;
        Ok(etcd)
    }

    /// Does all of it in one transaction, each being a [`put`] or a [`delete`]; the revision after it.
    pub fn change(&self, operations: &[Value]) -> Result<i64> {
        let answer = self.call("/v3/kv/txn", &json!({ "success": operations }))?;
        let revision = answer["header"]["revision"].as_str();
        let revision = revision.and_then(|revision| revision.parse().ok());
        revision.with_context(|| format!("no revision in {answer}"))
    }

    /// Forgets what is older than `revision`, and waits until it is gone.
    pub fn compact(&self, revision: i64) -> Result<()> {
        let asked = json!({ "revision": revision, "physical": true });
        self.call("/v3/kv/compaction", &asked).map(drop)
    }

    /// Raises an alarm, after which it takes no more changes.
    pub fn alarm(&self, kind: &str) -> Result<()> {
        let asked = json!({ "action": "ACTIVATE", "alarm": kind });
        self.call("/v3/maintenance/alarm", &asked).map(drop)
    }

    /// What etcdctl prints.
    pub fn etcdctl(&self, arguments: &[&str]) -> Result<String> {
        process::output(
            Command::new(self.bin.join("etcdctl"))
                .arg(format!("--endpoints={}", self.url))
                .args(arguments),
        )
    }

    /// What etcdutl prints.
    pub fn etcdutl(&self, arguments: &[&str]) -> Result<String> {
        process::output(Command::new(self.bin.join("etcdutl")).args(arguments))
    }

    /// Where its database is.
    pub fn database(&self) -> PathBuf {
        self.folder.join("member/snap/db")
    }

    /// Saves a snapshot.
    pub fn save(&self, path: &Path) -> Result<()> {
        let path = path.to_str().context("the path is not UTF-8")?;
        self.etcdctl(&["snapshot", "save", path]).map(drop)
    }

    /// Stops it as an operator would.
    pub fn stop(self) -> Result<()> {
        self.child.terminate(LIMIT)
    }

    fn call(&self, path: &str, asked: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.url);
        let mut answer = self
            .agent
            .post(&url)
            .header("content-type", "application/json")
            .send(asked.to_string())
            .with_context(|| format!("cannot post to {url}"))?;
        let text = answer.body_mut().read_to_string()?;
        serde_json::from_str(&text).with_context(|| format!("{url} answered {text}"))
    }
}

/// A put as the gateway takes it.
pub fn put(key: &str, value: &[u8]) -> Value {
    json!({ "requestPut": { "key": STANDARD.encode(key), "value": STANDARD.encode(value) } })
}

/// A deletion as the gateway takes it.
pub fn delete(key: &str) -> Value {
    json!({ "requestDeleteRange": { "key": STANDARD.encode(key) } })
}
