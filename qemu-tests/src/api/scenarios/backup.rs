//! Backups of a real etcd: taken, verified, pruned; and every way in which taking one can go wrong leaves those
//! that are there.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use slipway::age::{self, Identity};
use slipway::backup::bundle;
use slipway::backup::{BUNDLE, SNAPSHOT};
use slipway::exit::Exit;

use crate::api::{Cluster, User, free_ports};
use crate::scenario::Context;
use crate::{prereq, process};

const MAPS: usize = 300;
/// How many backups the document keeps.
const KEEP: usize = 2;
/// How a shell limits files, in pieces of 512 bytes: fewer than a snapshot has.
const LIMITED: &str = "ulimit -f 200";

pub fn take(context: &Context) -> Result<()> {
    prereq::age()?;
    let node = Node::new(context)?;
    let cluster = Cluster::start_rendered(context, node.assets("assets").join("tls"))?;
    let admin = cluster.admin()?;
    for number in 0..MAPS {
        admin.create(&object("ConfigMap", &format!("map-{number}")))?;
    }
    admin.create(&object("Secret", "secret"))?;
    let [url] = cluster
        .etcd()?
        .urls
        .try_into()
        .ok()
        .context("not one etcd")?;
    node.flag("assets", "--etcd-servers=", &url)?;
    node.api_is(&cluster)?;
    without_a_key(&node)?;
    let key = Key::new(&context.work.join("key.txt"))?;
    node.document(std::slice::from_ref(&key.public))?;
    let name = with_a_key(context, &cluster, &node, &key)?;
    the_oldest_go(&node)?;
    ensure!(
        !node.names()?.contains(&name) || KEEP > 2,
        "{name} is still there"
    );
    what_breaks_leaves_the_others(&node)?;
    a_flipped_bit_is_found(&node, &key)?;
    secrets_that_nobody_could_read_are_noticed(&node, &key)
}

fn object(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": {"k": "dmFsdWU="}})
}

/// A machine with an asset directory, below a folder of the scenario's.
struct Node {
    slipway: PathBuf,
    root: PathBuf,
}

impl Node {
    fn new(context: &Context) -> Result<Self> {
        let node = Self {
            slipway: context.slipway.clone(),
            root: context.work.join("root"),
        };
        fs::create_dir_all(node.root.join("var/lib/slipway"))?;
        node.document(&[])?;
        let mut render = Command::new(&node.slipway);
        render.arg("render").arg("--config").arg(node.kept());
        render.arg("--asset-dir").arg(node.assets("assets"));
        process::output(&mut render)?;
        Ok(node)
    }

    fn assets(&self, name: &str) -> PathBuf {
        self.root.join("var/lib/slipway").join(name)
    }

    /// Gives the API server of an asset directory another value of a flag.
    fn flag(&self, assets: &str, flag: &str, value: &str) -> Result<()> {
        let path = self
            .assets(assets)
            .join("bootstrap-manifests/bootstrap-apiserver.yaml");
        let text = fs::read_to_string(&path)?;
        let (before, rest) = text
            .split_once(flag)
            .with_context(|| format!("no {flag}"))?;
        let (_, after) = rest.split_once('\n').context("nothing follows")?;
        Ok(fs::write(&path, format!("{before}{flag}{value}\n{after}"))?)
    }

    /// Has the node's administrator talk to the tier's API server.
    fn api_is(&self, cluster: &Cluster) -> Result<()> {
        let port = cluster.address().port().to_string();
        self.flag("assets", "--secure-port=", &port)?;
        let kubeconfig = self.assets("assets").join("auth/kubeconfig");
        fs::copy(cluster.kubeconfig(User::Admin), kubeconfig)?;
        Ok(())
    }

    /// Keeps a document that names these keys.
    fn document(&self, recipients: &[String]) -> Result<()> {
        let document = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Machine",
            "node": {"name": "node-a", "address": "192.0.2.1"},
            "cluster": {"name": "harbour"},
            "encryption": {"provider": "secretbox"},
            "backup": {"keep": KEEP, "recipients": recipients},
        });
        Ok(fs::write(self.kept(), document.to_string())?)
    }

    fn kept(&self) -> PathBuf {
        self.root.join("var/lib/slipway/machine.yaml")
    }

    fn backups(&self) -> PathBuf {
        self.root.join("var/lib/slipway/backups")
    }

    fn backup(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.slipway);
        command
            .arg("backup")
            .args(words)
            .arg("--root")
            .arg(&self.root);
        command
    }

    /// The same in a shell that says something before.
    fn backup_after(&self, before: &str, words: &[&str]) -> Command {
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(format!("{before}; exec \"$@\""))
            .arg("sh");
        let backup = self.backup(words);
        shell.arg(backup.get_program()).args(backup.get_args());
        shell
    }

    /// What `backup list` says of each.
    fn list(&self) -> Result<Vec<Value>> {
        let text = process::output(&mut self.backup(&["list", "--output=json"]))?;
        let listed: Value = serde_json::from_str(&text)?;
        Ok(listed["backups"].as_array().context("no list")?.clone())
    }

    fn names(&self) -> Result<Vec<String>> {
        let listed = self.list()?;
        let names = listed.iter().filter_map(|one| one["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// What lies in the folder, whatever it is called.
    fn entries(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.backups())? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

/// A pair of keys, made by age.
struct Key {
    file: PathBuf,
    public: String,
    identities: Vec<Identity>,
}

impl Key {
    fn new(file: &Path) -> Result<Self> {
        process::output(Command::new("age-keygen").arg("-o").arg(file))?;
        let public = process::output(Command::new("age-keygen").arg("-y").arg(file))?;
        Ok(Self {
            file: file.to_owned(),
            public: public.trim().to_owned(),
            identities: age::identities(&fs::read(file)?)?,
        })
    }
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn contains(text: &str, words: &str) -> Result<()> {
    ensure!(text.contains(words), "no {words:?} in: {text}");
    Ok(())
}

/// It ends with this code and says this.
fn ends(command: &mut Command, exit: Exit, words: &str) -> Result<String> {
    let output = command.output()?;
    let text = text(&output);
    ensure!(
        output.status.code() == Some(i32::from(exit as u8)),
        "{:?} instead of {exit:?}: {text}",
        output.status
    );
    contains(&text, words)?;
    Ok(text)
}

fn without_a_key(node: &Node) -> Result<()> {
    ends(
        &mut node.backup(&["verify"]),
        Exit::NotFound,
        "there is no backup",
    )?;
    ends(&mut node.backup(&["list"]), Exit::Done, "no backup in")?;
    ends(
        &mut node.backup(&["take"]),
        Exit::Done,
        "no bundle: backup.recipients",
    )?;
    ends(
        &mut node.backup(&["list"]),
        Exit::Done,
        "none: backup.recipients",
    )?;
    ends(&mut node.backup(&["verify"]), Exit::Done, "; no bundle: ")?;
    Ok(())
}

/// Taken with a key, it holds what etcd's tools say and what age opens.
fn with_a_key(context: &Context, cluster: &Cluster, node: &Node, key: &Key) -> Result<String> {
    ends(&mut node.backup(&["take"]), Exit::Done, "sealed to 1 key")?;
    let listed = node.list()?;
    let newest = listed.last().context("nothing is listed")?;
    let name = newest["name"].as_str().context("no name")?.to_owned();
    let folder = node.backups().join(&name);
    let mut status = cluster.etcdutl();
    status.args(["snapshot", "status", "--write-out=json"]);
    let status: Value = serde_json::from_str(&process::output(status.arg(folder.join(SNAPSHOT)))?)?;
    ensure!(
        newest["revision"] == status["revision"] && newest["keys"] == status["totalKey"],
        "{newest}, but etcdutl says {status}"
    );

    let sealed = fs::read(folder.join(BUNDLE))?;
    let opened = bundle::open(&sealed, &key.identities)?;
    let revision = Some(opened.snapshot.revision);
    ensure!(
        opened.node == "node-a" && revision == status["revision"].as_i64(),
        "{opened:?}"
    );
    ensure!(opened.etcd.members.len() == 1, "{:?}", opened.etcd);
    let kubernetes = opened.kubernetes.as_deref().unwrap_or_default();
    ensure!(kubernetes.starts_with("v1."), "Kubernetes {kubernetes:?}");
    let document = opened.machine.as_ref().context("no machine document")?;
    ensure!(
        document.expose() == fs::read(node.kept())?,
        "another document"
    );
    for path in [
        "tls/ca.key",
        "tls/front-proxy-ca.key",
        "tls/service-account.key",
        "tls/encryption.yaml",
        "auth/bootstrap-token",
    ] {
        let asset = opened
            .assets
            .get(path)
            .with_context(|| format!("no {path}"))?;
        let there = fs::read(node.assets("assets").join(path))?;
        ensure!(asset.bytes.expose() == there, "another {path}");
    }
    // A rescue system without slipway.
    let mut decrypt = Command::new("age");
    decrypt.args(["--decrypt", "--identity"]).arg(&key.file);
    let by_age: Value = serde_json::from_str(&process::output(decrypt.arg(folder.join(BUNDLE)))?)?;
    ensure!(
        by_age["kind"] == "Bundle" && by_age["node"] == "node-a",
        "age opens something else"
    );
    let theirs = context.work.join("theirs.age");
    let mut encrypt = Command::new("age");
    encrypt.args(["--encrypt", "--recipient", &key.public, "--output"]);
    process::output(encrypt.arg(&theirs).arg(node.kept()))?;
    let by_us = age::open(&fs::read(&theirs)?, &key.identities)?;
    ensure!(
        by_us.expose() == fs::read(node.kept())?,
        "slipway opens something else"
    );

    let with_key = ["verify", "--identity"];
    let file = key.file.display().to_string();
    let words = [&with_key[..], &[&file, &name]].concat();
    ends(&mut node.backup(&words), Exit::Done, "bundle opened: ")?;
    let stranger = Key::new(&context.work.join("stranger.txt"))?;
    let file = stranger.file.display().to_string();
    let words = [&with_key[..], &[&file, &name]].concat();
    ends(
        &mut node.backup(&words),
        Exit::Failed,
        "sealed to somebody else",
    )?;
    context.keep_result(&json!({
        "snapshot": status, "bundle": sealed.len(), "files": opened.assets.len(),
    }))?;
    Ok(name)
}

fn the_oldest_go(node: &Node) -> Result<()> {
    for _ in 0..KEEP {
        ends(
            &mut node.backup(&["take"]),
            Exit::Done,
            "removed: 2 are kept",
        )?;
    }
    ensure!(node.names()?.len() == KEEP, "{:?}", node.names()?);
    ensure!(node.entries()? == node.names()?, "{:?}", node.entries()?);
    ends(&mut node.backup(&["verify"]), Exit::Done, "bundle whole")?;
    Ok(())
}

fn what_breaks_leaves_the_others(node: &Node) -> Result<()> {
    let before = node.names()?;
    let same = |what: &str| {
        ensure!(
            node.entries()? == before,
            "after {what}: {:?}",
            node.entries()?
        );
        anyhow::Ok(())
    };
    // As a disk that fills up meanwhile: the write fails in the middle.
    let limited = format!("trap '' XFSZ; {LIMITED}");
    ends(
        &mut node.backup_after(&limited, &["take"]),
        Exit::Failed,
        "no new backup in",
    )?;
    same("a write that failed")?;
    // Killed in the middle, by the same limit: whatever it had no time to do is left.
    let killed = node.backup_after(LIMITED, &["take"]).output()?;
    ensure!(
        killed.status.signal().is_some(),
        "it was not killed: {}",
        text(&killed)
    );
    ensure!(
        node.names()? == before,
        "a half backup is listed: {:?}",
        node.names()?
    );
    ensure!(
        node.entries()?.len() == before.len() + 1,
        "it left nothing: {:?}",
        node.entries()?
    );
    ends(&mut node.backup(&["verify"]), Exit::Done, "is good")?;
    // A disk that is full: 1 MiB in place of the folder, which only this process sees.
    let full = format!(
        "mount -t tmpfs -o size=1m none '{}'",
        node.backups().display()
    );
    let take = node.backup_after(&full, &["take"]);
    let mut apart = Command::new("unshare");
    apart
        .arg("--mount")
        .arg(take.get_program())
        .args(take.get_args());
    ends(&mut apart, Exit::Failed, "MiB are free and")?;
    // Nobody listens where etcd should be.
    let [port] = free_ports()?;
    let elsewhere = node.assets("assets-elsewhere");
    let mut copy = Command::new("cp");
    copy.arg("--archive").arg(node.assets("assets"));
    process::output(copy.arg(&elsewhere))?;
    let nobody = format!("https://127.0.0.1:{port}");
    node.flag("assets-elsewhere", "--etcd-servers=", &nobody)?;
    let folder = elsewhere.display().to_string();
    let mut take = node.backup(&["take", "--asset-dir", &folder]);
    ends(&mut take, Exit::NotFound, "is etcd running there?")?;
    ensure!(node.names()? == before, "without etcd: {:?}", node.names()?);
    // The next one sweeps, and works.
    ends(&mut node.backup(&["take"]), Exit::Done, "is there")?;
    ensure!(
        node.entries()? == node.names()? && node.names()? != before,
        "{:?}",
        node.entries()?
    );
    Ok(())
}

fn a_flipped_bit_is_found(node: &Node, key: &Key) -> Result<()> {
    let names = node.names()?;
    let [older, newer] = names.as_slice() else {
        anyhow::bail!("{names:?}");
    };
    let snapshot = node.backups().join(older).join(SNAPSHOT);
    let mut bytes = fs::read(&snapshot)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&snapshot, bytes)?;
    let said = ends(
        &mut node.backup(&["verify"]),
        Exit::Failed,
        "is BAD: snapshot.db is not what was written",
    )?;
    contains(&said, &format!("{older} is BAD"))?;
    contains(&said, &format!("{newer} is good"))?;
    let sealed = node.backups().join(newer).join(BUNDLE);
    let mut bytes = fs::read(&sealed)?;
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    fs::write(&sealed, bytes)?;
    let file = key.file.display().to_string();
    let words = ["verify", newer, "--identity", &file];
    ends(
        &mut node.backup(&words),
        Exit::Failed,
        "bundle.age is not what was written",
    )?;
    Ok(())
}

/// The asset directory has lost what the API server encrypts with.
fn secrets_that_nobody_could_read_are_noticed(node: &Node, key: &Key) -> Result<()> {
    fs::remove_file(node.assets("assets").join("tls/encryption.yaml"))?;
    ends(&mut node.backup(&["take"]), Exit::Done, "is there")?;
    let names = node.names()?;
    let file = key.file.display().to_string();
    let words = ["verify", names.last().context("none")?, "--identity", &file];
    ends(
        &mut node.backup(&words),
        Exit::Failed,
        "is without tls/encryption.yaml",
    )
    .map(drop)
}
