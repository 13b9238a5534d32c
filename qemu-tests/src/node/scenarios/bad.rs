//! Bad input and bad surroundings: each ends within its deadline, with a message that names the
//! cause and the next step, with the right exit code, and with nothing half-written.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::node::launch::{self, ASSETS, MANIFESTS};
use crate::node::native::{Node, NodeSpec};
use crate::node::process::{Finished, Program};
use crate::scenario::Context;
use crate::scenarios::Kubectl as _;
use crate::scenarios::cluster::{self, Inside};

/// For waits that must fail: long enough for what comes before them on a busy machine.
const SHORT: &str = "timeouts:\n  api: 40s\n";
/// When a program that should have given up long ago is killed.
const OVERDUE: Duration = Duration::from_secs(180);

const EXIT_FAILED: i32 = 1;
const EXIT_NOT_FOUND: i32 = 4;
const EXIT_TIMED_OUT: i32 = 5;

pub fn no_metadata(context: &Context) -> Result<()> {
    let node = new_node(context)?;
    // The host's kernel command line and devices shine through: the platform is named instead, and
    // the machine's devices are looked for where none are.
    let fetch = |platform: &str| {
        let platform = format!("--platform={platform}");
        run(
            &node,
            &[
                "slipway",
                "fetch",
                "--root=/run/nowhere",
                "--target=/",
                &platform,
            ],
        )
    };
    let unknown = fetch("abacus")?;
    expect(
        &unknown,
        EXIT_NOT_FOUND,
        &["\"abacus\"", "qemu, ", "nocloud, "],
    )?;
    let qemu = fetch("qemu")?;
    expect(
        &qemu,
        EXIT_NOT_FOUND,
        &["qemu_fw_cfg is missing", "not loaded"],
    )?;
    ensure!(
        !node.path("/var/lib/slipway").exists(),
        "something was written"
    );
    let render = run(&node, &["slipway", "render"])?;
    expect(&render, EXIT_NOT_FOUND, &["machine.yaml", "slipway fetch"])?;
    ensure!(!node.path(ASSETS).exists(), "something was rendered");
    Ok(())
}

pub fn unreachable_etcd(context: &Context) -> Result<()> {
    let node = new_node(context)?;
    launch::up_to_start(&node, &launch::document(node.spec(), SHORT))?;
    let apiserver = "bootstrap-manifests/bootstrap-apiserver.yaml";
    edit(
        &node,
        apiserver,
        "https://127.0.0.1:2379",
        "https://127.0.0.1:2378",
    )?;
    let start = start(&node, &[])?;
    expect(
        &start,
        EXIT_TIMED_OUT,
        &["https://127.0.0.1:2378", "refused", "--etcd-servers"],
    )?;
    not_launched(&node, &["etcd.yaml"])
}

pub fn apiserver_never_answers(context: &Context) -> Result<()> {
    let node = new_node(context)?;
    launch::up_to_start(&node, &launch::document(node.spec(), SHORT))?;
    let apiserver = "bootstrap-manifests/bootstrap-apiserver.yaml";
    edit(&node, apiserver, "--profiling=false", "--no-such-flag")?;
    let start = start(&node, &[])?;
    // The container's own last words are the cause.
    expect(
        &start,
        EXIT_TIMED_OUT,
        &["/readyz", "unknown flag: --no-such-flag", "/var/log/pods"],
    )?;
    not_launched(&node, &["bootstrap-apiserver.yaml", "etcd.yaml"])
}

pub fn manifest_refused(context: &Context) -> Result<()> {
    let node = new_node(context)?;
    launch::up_to_start(&node, &launch::document(node.spec(), ""))?;
    fs::write(node.path(ASSETS).join("manifests/refused.yaml"), REFUSED)?;
    let strict = start(&node, &["--strict"])?;
    expect(
        &strict,
        EXIT_FAILED,
        &["refused.yaml", "spec.replicas", "slipway start"],
    )?;
    let bootstrap = ["apiserver", "controller-manager", "scheduler"]
        .map(|component| format!("bootstrap-{component}.yaml"));
    not_launched(
        &node,
        &[&bootstrap[0], &bootstrap[1], &bootstrap[2], "etcd.yaml"],
    )?;
    // The temporary control plane stays, and the launch goes on once the cause is gone.
    Inside(&node)
        .kubectl(&["get", "namespaces"], "")
        .context("the temporary control plane is gone")?;
    fs::remove_file(node.path(ASSETS).join("manifests/refused.yaml"))?;
    launch::start_to_the_end(&node)?;
    cluster::wait_until_ready(&node)
}

/// Well-formed, and no server takes it.
const REFUSED: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: refused
  namespace: kube-system
spec:
  replicas: -1
  selector:
    matchLabels: {k8s-app: refused}
  template:
    metadata:
      labels: {k8s-app: refused}
    spec:
      containers:
      - name: refused
        image: registry.k8s.io/pause:3.10.1
";

pub fn full_disk(context: &Context) -> Result<()> {
    let node = new_node(context)?;
    let document = launch::document(node.spec(), "");
    // Room for the document and not for what is rendered from it.
    let small = "mkdir -p /var/lib/slipway && mount -t tmpfs -o size=64k tmpfs /var/lib/slipway";
    run(&node, &["sh", "-c", small])?.success()?;
    let render = launch::prepare(&node, &document)?;
    expect(
        &render,
        EXIT_FAILED,
        &["No space left on device", "free space"],
    )?;
    nothing_rendered(&node)
}

pub fn read_only_target(context: &Context) -> Result<()> {
    let node = new_node(context)?;
    let document = launch::document(node.spec(), "");
    launch::fetch(&node, &document)?;
    let read_only = "mount --bind /var/lib/slipway /var/lib/slipway \
        && mount -o remount,bind,ro /var/lib/slipway";
    run(&node, &["sh", "-c", read_only])?.success()?;
    let render = run(&node, &["slipway", "render"])?;
    expect(
        &render,
        EXIT_FAILED,
        &["Read-only file system", "mount it writable"],
    )?;
    nothing_rendered(&node)
}

fn new_node(context: &Context) -> Result<Node> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    Ok(node)
}

fn run(node: &Node, argv: &[&str]) -> Result<Finished> {
    node.start(&Program::new(argv.iter().copied()))?
        .wait_within(OVERDUE)
}

fn start(node: &Node, options: &[&str]) -> Result<Finished> {
    run(node, &[&["slipway", "start"], options].concat())
}

/// Replaces a text in a file of the asset directory, as a person would.
fn edit(node: &Node, file: &str, from: &str, to: &str) -> Result<()> {
    let path = node.path(ASSETS).join(file);
    let text = fs::read_to_string(&path)?;
    ensure!(text.contains(from), "{file} does not hold {from}");
    Ok(fs::write(&path, text.replace(from, to))?)
}

/// The program said all of `words` and ended with this exit code.
fn expect(finished: &Finished, code: i32, words: &[&str]) -> Result<()> {
    let said = &finished.stderr;
    ensure!(
        finished.ended.code() == Some(code),
        "`{}` ended with {:?} where {code} was due: {said}",
        finished.name,
        finished.ended.code()
    );
    let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
    ensure!(
        missing.is_empty(),
        "`{}` does not say {missing:?}: {said}",
        finished.name
    );
    Ok(())
}

/// There is no done-marker, and the manifest folder holds these files only, each of them whole.
fn not_launched(node: &Node, files: &[&str]) -> Result<()> {
    ensure!(
        !node.path(launch::HANDED_OVER).exists(),
        "it says that it handed over"
    );
    let mut there = names(node, MANIFESTS)?;
    there.sort_unstable();
    ensure!(
        there == files,
        "the manifest folder holds {there:?}, not {files:?}"
    );
    Ok(())
}

/// The document is kept; neither assets nor a part of them, and nothing for the kubelet.
fn nothing_rendered(node: &Node) -> Result<()> {
    let kept = names(node, "/var/lib/slipway")?;
    ensure!(
        kept == ["machine.yaml"],
        "left in /var/lib/slipway: {kept:?}"
    );
    ensure!(
        !node.path("/etc/kubernetes").exists(),
        "/etc/kubernetes was written to"
    );
    Ok(())
}

fn names(node: &Node, folder: &str) -> Result<Vec<String>> {
    let entries = fs::read_dir(node.path(folder))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}
