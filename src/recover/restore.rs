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

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use super::prepare::{Options, Task};
use super::trust;
use crate::assets::Assets;
use crate::exit::{Exit, fail};
use crate::node::cri::{CONTAINERD, Runtime, Sandbox};
use crate::node::files::{self, below};
use crate::node::{disk, podlog};
use crate::recovery::{RESTORING, STAMP};
use crate::report::Reporter;
use crate::start::new_uid;
use crate::start::plane::{self, etcd_pod};
use crate::start::wait::{Look, Wait, until};

/// Etcd's data, below the root.
const DATA: &str = "/var/lib/etcd";
/// What makes it data of etcd's.
const MEMBER: &str = "member";
/// What has to be free beside the data: room for etcd to go on.
const RESERVE: u64 = 64 << 20;
/// In it: where the tool writes, a folder a try.
const BESIDE: &str = ".slipway-restore-";
/// What the pod's name begins with. Each try has another: to a kubelet that has not read the API since it started, a
/// static pod of the same name is the old one.
const POD: &str = "etcd-restore-";
const FILE: &str = "etcd-restore.yaml";
/// More revisions than a cluster writes between two snapshots (k3s and Talos add as many).
const BUMP: u64 = 1_000_000_000;
/// Longer than any restore takes: while the tool works, nobody ends it.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// A restore of one snapshot.
pub struct Restore<'a> {
    options: &'a Options,
    task: &'a Task<'a>,
    assets: &'a Assets,
    hash: &'a str,
    data: PathBuf,
}

impl<'a> Restore<'a> {
    /// Of the snapshot with this hash, for the etcd of `assets`.
    pub fn new(
        options: &'a Options,
        task: &'a Task<'a>,
        assets: &'a Assets,
        hash: &'a str,
    ) -> Self {
        Self {
            options,
            task,
            assets,
            hash,
            data: below(&options.root, DATA),
        }
    }

    /// Whether etcd's data is this snapshot's, and no launch has ended since.
    fn is_done(&self) -> Result<bool> {
        let stamp = files::read_if_there(&below(&self.options.root, STAMP))?;
        Ok(stamp.is_some_and(|stamp| stamp == self.hash.as_bytes()))
    }

    /// Refuses to write over data that is not what this recovery restored, and to restore where nothing runs.
    pub fn refuse(&self) -> Result<()> {
        if self.options.root != Path::new("/") {
            let next = "run it there, or name --recovery-dir DIR";
            let error = anyhow!("etcd's data is restored on the machine itself: {next}");
            return Err(fail(Exit::Refused, error));
        }
        let member = self.data.join(MEMBER);
        if !member.exists() || self.is_done()? {
            return Ok(());
        }
        let (member, pods) = (member.display(), self.options.pod_manifest_path.display());
        let mark = below(&self.options.root, RESTORING);
        let mark = mark.display();
        Err(fail(
            Exit::Refused,
            anyhow!(
                "{member} holds the data of an etcd, which a restore would replace\nnext step: if it is good, recover without \
                 --snapshot; if it is lost or of no use: touch {mark}; rm -f {pods}/etcd.yaml; systemctl restart kubelet; \
                 mv {member} {member}.before; then run this again"
            ),
        ))
    }

    /// Restores the snapshot at `path`, unless that is done.
    pub fn run(&self, path: &Path, revision: u64, reporter: &mut Reporter) -> Result<()> {
        let mark = below(&self.options.root, RESTORING);
        if self.is_done()? {
            reporter.line("etcd's data is restored already");
            return files::remove(&mark).map(drop);
        }
        let folder = &self.options.pod_manifest_path;
        files::make_folder(&self.data, 0o700)?;
        self.sweep()?;
        self.has_room(path)?;
        // An etcd that comes and goes would make data of its own meanwhile, also after a power cut.
        files::write(&mark, b"", files::PRIVATE)?;
        files::remove(&folder.join("etcd.yaml"))?;
        trust::end(&self.options.root, &self.task.machine.node.name)?;
        let (uid, begun) = (new_uid()?, Instant::now());
        let etcd = etcd_pod(self.assets)?.context("the asset directory has no etcd")?;
        let pod = pod(&etcd.pod, path, &uid)?;
        let manifest = folder.join(FILE);
        files::write(&manifest, &serde_json::to_vec_pretty(&pod)?, files::PRIVATE)?;
        let restored = self.await_success(&uid, reporter);
        files::remove(&manifest)?;
        if let Err(error) = restored {
            // What is half there may be what fills the disk; if it cannot go, why it is there is still what counts.
            let _ = self.sweep();
            return Err(error);
        }
        self.place(&uid)?;
        files::remove(&mark)?;
        reporter.line(format!(
            "etcd's data restored in {:.1} s: revision {revision}, and {BUMP} above it for what comes",
            begun.elapsed().as_secs_f64(),
        ));
        Ok(())
    }

    /// Whether the disk has room, said before it is filled.
    fn has_room(&self, snapshot: &Path) -> Result<()> {
        let size = fs::metadata(snapshot)
            .with_context(|| format!("cannot look at {}", snapshot.display()))?
            .len();
        let (free, needed) = (disk::free(&self.data)?, size + RESERVE);
        ensure!(
            free >= needed,
            "{} MiB are free in {} and {} are needed\nnext step: free space there, then run this again",
            free >> 20,
            self.data.display(),
            needed.div_ceil(1 << 20)
        );
        Ok(())
    }

    /// Removes what earlier tries have left.
    fn sweep(&self) -> Result<()> {
        let cannot = || format!("cannot look into {}", self.data.display());
        for entry in fs::read_dir(&self.data).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(BESIDE) {
                fs::remove_dir_all(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Puts the data in its place, with its stamp, by one rename.
    fn place(&self, uid: &str) -> Result<()> {
        let beside = self.data.join(format!("{BESIDE}{}", short(uid)));
        let (from, to) = (beside.join(MEMBER), self.data.join(MEMBER));
        let stamp = Path::new(STAMP).file_name().unwrap_or_default();
        files::write(&from.join(stamp), self.hash.as_bytes(), files::PRIVATE)?;
        fs::rename(&from, &to)
            .with_context(|| format!("cannot put {} in its place", from.display()))?;
        files::sync_folder(&self.data)?;
        fs::remove_dir_all(&beside).with_context(|| format!("cannot remove {}", beside.display()))
    }

    fn await_success(&self, uid: &str, reporter: &mut Reporter) -> Result<()> {
        let root = &self.options.root;
        let mut runtime = Runtime::new(&below(root, CONTAINERD));
        reporter.line("etcdutl restores the snapshot");
        let next_step = "see whether the kubelet runs (journalctl -u kubelet), what the pod writes to /var/log/pods and \
                         whether the disk is full; then run this again";
        let begins = Wait {
            what: "etcdutl begins to restore the snapshot",
            deadline: Instant::now() + self.task.machine.timeouts.api,
            every: Duration::from_millis(200),
            changes: None,
            next_step,
        };
        let container = until(reporter, begins, |_| {
            Ok(match runtime.sandboxes() {
                Err(error) => Look::NotYet(format!("{error:#}")),
                Ok(all) => match all.iter().filter(|one| one.uid == uid).find_map(last) {
                    Some(container) => Look::There(container),
                    None => Look::NotYet("the kubelet has not started it".to_owned()),
                },
            })
        })?;
        let ends = Wait {
            what: "etcdutl has restored the snapshot",
            deadline: Instant::now() + LONG,
            ..begins
        };
        until(reporter, ends, |_| match runtime.exit_code(&container) {
            Ok(Some(0)) => Ok(Look::There(())),
            Ok(Some(code)) => bail!(
                "etcdutl ended with {code}: {}\nnext step: {next_step}",
                words(root, uid)
            ),
            Ok(None) => Ok(Look::NotYet("it works".to_owned())),
            Err(error) => Ok(Look::NotYet(format!("{error:#}"))),
        })
    }
}

/// The pod that restores: etcd's image, its tool, the member that etcd is told to be.
fn pod(etcd: &Value, snapshot: &Path, uid: &str) -> Result<Value> {
    let container = &etcd["spec"]["containers"][0];
    let argument = |flag: &str| {
        let found = plane::argument(etcd, flag);
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
        format!("--data-dir={folder}/{BESIDE}{}", short(uid)),
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
    let mut security = container["securityContext"].clone();
    // The snapshot may be somebody else's, and nobody's to read but theirs.
    security["capabilities"]["add"] = json!(["DAC_READ_SEARCH"]);
    let host = |name: &str, path: &str, kind: &str| json!({ "name": name, "hostPath": { "path": path, "type": kind } });
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": format!("{POD}{}", short(uid)), "namespace": etcd["metadata"]["namespace"], "uid": uid },
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "etcd-restore",
                "image": container["image"],
                "imagePullPolicy": container["imagePullPolicy"],
                "command": [tool],
                "args": arguments,
                "securityContext": security,
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

fn last(sandbox: &Sandbox) -> Option<String> {
    sandbox
        .containers
        .last()
        .map(|container| container.id.clone())
}

fn short(uid: &str) -> &str {
    uid.get(..8).unwrap_or(uid)
}

fn words(root: &Path, uid: &str) -> String {
    let pod = format!("{POD}{}", short(uid));
    let folder = podlog::folder(root, super::objects::NAMESPACE, &pod);
    let words = folder.and_then(|folder| podlog::last_words(&folder));
    words.unwrap_or_else(|| "it said nothing".to_owned())
}
