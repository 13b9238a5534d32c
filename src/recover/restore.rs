//! Etcd's data from a snapshot, by etcd's own tool.
//!
//! `etcdutl snapshot restore` makes a new cluster of one member: another cluster id, this machine's peer address, and
//! revisions that begin far above the old ones, so that whoever watches from before is told to look anew instead of
//! waiting for numbers to come again. It runs as a static pod, because that is where this machine has etcd's programs. It
//! writes beside the data; one rename puts the whole of it in place. The road not taken is to write etcd's files here:
//! a consensus log is nobody's business but etcd's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::prepare::{Options, Prepared, Task};
use super::put::await_end;
use crate::assets::Assets;
use crate::config::yaml;
use crate::exit::{Exit, fail};
use crate::node::cri::{CONTAINERD, Runtime, Sandbox};
use crate::node::files::{self, below};
use crate::node::podlog;
use crate::report::Reporter;
use crate::start::new_uid;
use crate::start::wait::{Look, Wait, until};

/// Etcd's data, below the root.
const DATA: &str = "/var/lib/etcd";
/// In it: where the tool writes.
const BESIDE: &str = ".slipway-restore";
/// In it: which snapshot `member` was made of.
const STAMP: &str = ".slipway-restored";
/// What makes data of etcd's.
const MEMBER: &str = "member";
/// What the pod's name begins with. Each try has another: to a kubelet that has not read the API since it started, a
/// static pod of the same name is the old one.
const POD: &str = "etcd-restore-";
const FILE: &str = "etcd-restore.yaml";
/// More revisions than a cluster writes between two snapshots (k3s and Talos add as many).
const BUMP: u64 = 1_000_000_000;

/// Where its parts lie.
struct Places {
    data: PathBuf,
    beside: PathBuf,
    stamp: PathBuf,
    member: PathBuf,
}

impl Places {
    fn new(root: &Path) -> Self {
        let data = below(root, DATA);
        Self {
            beside: data.join(BESIDE),
            stamp: data.join(STAMP),
            member: data.join(MEMBER),
            data,
        }
    }

    /// Whether etcd's data was made of this snapshot.
    fn is_done(&self, snapshot: &str) -> Result<bool> {
        let stamp = files::read_if_there(&self.stamp)?;
        Ok(self.member.exists() && stamp.is_some_and(|stamp| stamp == snapshot.as_bytes()))
    }
}

/// Refuses to write over data that is not what this recovery restored.
pub fn refuse_other_data(root: &Path, prepared: &Prepared) -> Result<()> {
    let places = Places::new(root);
    if !places.member.exists() || places.is_done(hash(prepared)?)? {
        return Ok(());
    }
    let member = places.member.display();
    Err(fail(
        Exit::Refused,
        anyhow!(
            "{member} holds the data of an etcd, which a restore would replace\nnext step: if it is lost or of no \
             use, end the etcd and move {member} away; if it is good, recover without --snapshot"
        ),
    ))
}

fn hash(prepared: &Prepared) -> Result<&str> {
    let facts = prepared.found.facts.as_ref();
    let hash = facts.and_then(|facts| facts.sha256.as_deref());
    hash.context("the snapshot has no hash")
}

/// Restores the snapshot at `path`, unless that is done.
pub fn run(
    options: &Options,
    task: &Task<'_>,
    prepared: &Prepared,
    assets: &Assets,
    path: &Path,
    reporter: &mut Reporter,
) -> Result<()> {
    let places = Places::new(&options.root);
    let hash = hash(prepared)?;
    if places.is_done(hash)? {
        reporter.line("etcd's data is restored already");
        return Ok(());
    }
    let manifest = options.pod_manifest_path.join(FILE);
    // What a run that was killed has left.
    files::remove(&manifest)?;
    await_end(options, POD, task, reporter)?;
    remove_folder(&places.beside)?;
    files::make_folder(&places.data, 0o700)?;
    let uid = new_uid()?;
    let pod = pod(&etcd(assets)?, path, &uid)?;
    files::write(&manifest, &serde_json::to_vec_pretty(&pod)?, files::PRIVATE)?;
    let begun = Instant::now();
    await_success(options, task, &uid, reporter)?;
    files::remove(&manifest)?;
    files::write(&places.stamp, hash.as_bytes(), files::PRIVATE)?;
    place(&places)?;
    reporter.line(format!(
        "etcd's data restored in {:.1} s: revision {}, and {BUMP} above it for what comes",
        begun.elapsed().as_secs_f64(),
        prepared.found.revision
    ));
    Ok(())
}

fn place(places: &Places) -> Result<()> {
    let from = places.beside.join(MEMBER);
    fs::rename(&from, &places.member)
        .and_then(|()| fs::remove_dir_all(&places.beside))
        .with_context(|| format!("cannot put {} in its place", from.display()))?;
    files::sync_folder(&places.data)
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.with_context(|| format!("cannot remove {}", folder.display())),
    }
}

/// The pod of the etcd that is to run.
fn etcd(assets: &Assets) -> Result<Value> {
    let asset = assets
        .get("etcd/etcd.yaml")
        .context("the asset directory has no etcd")?;
    let text = std::str::from_utf8(asset.bytes.expose()).context("etcd/etcd.yaml is not UTF-8")?;
    let mut documents = yaml::documents(text)?;
    documents.pop().context("etcd/etcd.yaml is empty")
}

/// The pod that restores: etcd's image, its tool, the member that etcd is told to be.
fn pod(etcd: &Value, snapshot: &Path, uid: &str) -> Result<Value> {
    let container = &etcd["spec"]["containers"][0];
    let argument = |flag: &str| {
        let found = crate::start::plane::argument(etcd, flag);
        found.with_context(|| format!("etcd/etcd.yaml has no {flag}"))
    };
    let program = container["command"][0]
        .as_str()
        .unwrap_or("/usr/local/bin/etcd");
    let tool = Path::new(program).with_file_name("etcdutl");
    let snapshot = std::path::absolute(snapshot).context("cannot find the snapshot")?;
    let folder = argument("--data-dir")?;
    let mut arguments = vec![
        "snapshot".to_owned(),
        "restore".to_owned(),
        "/snapshot".to_owned(),
        format!("--data-dir={folder}/{BESIDE}"),
        format!("--bump-revision={BUMP}"),
        "--mark-compacted".to_owned(),
        format!("--initial-cluster-token={uid}"),
    ];
    for flag in [
        "--name",
        "--initial-cluster",
        "--initial-advertise-peer-urls",
    ] {
        arguments.push(format!("{flag}={}", argument(flag)?));
    }
    let host = |name: &str, path: &str, kind: &str| json!({ "name": name, "hostPath": { "path": path, "type": kind } });
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name(uid), "namespace": etcd["metadata"]["namespace"], "uid": uid },
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "etcd-restore",
                "image": container["image"],
                "imagePullPolicy": container["imagePullPolicy"],
                "command": [tool],
                "args": arguments,
                "securityContext": container["securityContext"],
                "volumeMounts": [
                    { "name": "data", "mountPath": folder },
                    { "name": "snapshot", "mountPath": "/snapshot", "readOnly": true },
                ],
            }],
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "restartPolicy": "Never",
            "securityContext": etcd["spec"]["securityContext"],
            "tolerations": [{ "operator": "Exists" }],
            "volumes": [
                host("data", DATA, "Directory"),
                host("snapshot", &snapshot.to_string_lossy(), "File"),
            ],
        },
    }))
}

fn await_success(
    options: &Options,
    task: &Task<'_>,
    uid: &str,
    reporter: &mut Reporter,
) -> Result<()> {
    let mut runtime = Runtime::new(&below(&options.root, CONTAINERD));
    reporter.line("etcdutl restores the snapshot");
    let wait = Wait {
        what: "etcdutl has restored the snapshot",
        deadline: Instant::now() + task.machine.timeouts.api,
        every: Duration::from_millis(200),
        changes: None,
        next_step: "see whether the kubelet runs (journalctl -u kubelet) and what the pod writes to /var/log/pods; \
                    then run this again",
    };
    let mut end = || -> Result<Option<i32>> {
        let sandboxes = runtime.sandboxes()?;
        let container = sandboxes.iter().filter(|one| one.uid == uid).find_map(last);
        container.map_or(Ok(None), |id| runtime.exit_code(&id))
    };
    let root = &options.root;
    until(reporter, wait, |_| match end() {
        Ok(Some(0)) => Ok(Look::There(())),
        Ok(Some(code)) => bail!("etcdutl ended with {code}: {}", words(root, uid)),
        Ok(None) => Ok(Look::NotYet("it has not ended".to_owned())),
        Err(error) => Ok(Look::NotYet(format!("{error:#}"))),
    })
}

fn last(sandbox: &Sandbox) -> Option<String> {
    sandbox
        .containers
        .last()
        .map(|container| container.id.clone())
}

fn name(uid: &str) -> String {
    format!("{POD}{}", uid.get(..8).unwrap_or(uid))
}

fn words(root: &Path, uid: &str) -> String {
    let folder = podlog::folder(root, super::objects::NAMESPACE, &name(uid));
    let words = folder.and_then(|folder| podlog::last_words(&folder));
    words.unwrap_or_else(|| "it said nothing".to_owned())
}
