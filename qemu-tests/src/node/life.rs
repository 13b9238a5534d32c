//! One life of a node: from power on to power cut.
//!
//! The process that runs here enters the holder's mount namespace, joins the node's groups, makes
//! the other namespaces and starts the node's first process inside them. It then waits for it, so
//! that its own end means that everything inside is gone. A power cut is SIGKILL to the first
//! process: the kernel kills the rest of the namespace with it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{chdir, pivot_root, sethostname};
use serde::{Deserialize, Serialize};

use super::holder::Disk;
use super::network::Place;
use super::{mounts, reexec};

/// What a life is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Life {
    /// The holder's process id.
    pub holder: u32,
    /// The holder's disk.
    pub disk: Disk,
    /// Host name.
    pub name: String,
    /// Its place in the network.
    pub place: Place,
    /// Folders and files of the host shown inside: from, to. Read-only.
    pub shown: Vec<(PathBuf, PathBuf)>,
    /// A folder of the host that becomes /var/log, so that logs outlive the node.
    pub logs: PathBuf,
}

/// Sysctls of the whole machine that the kubelet sets, with the values it wants to see. The node
/// gets private files in their place.
const SYSCTLS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Makes the namespaces, starts the first process, prints its process id, waits for its end.
/// Standard input, the socket of orders, goes to the first process.
pub fn run(life: &Life) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let holder = File::open(format!("/proc/{}/ns/mnt", life.holder)).context("no holder")?;
    setns(&holder, CloneFlags::CLONE_NEWNS).context("cannot enter the holder's namespace")?;
    life.disk.cgroups.join()?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(namespaces).context("cannot make the node's namespaces")?;
    let mut init = reexec::command(reexec::INIT, life)?.spawn()?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", init.id()).and_then(|()| out.flush())?;
    init.wait()?;
    Ok(())
}

/// Makes the node's surroundings around the calling process, which is the first in its namespaces.
pub fn enter(life: &Life) -> Result<()> {
    let root = life.disk.root();
    file_systems(life, &root)?;
    sethostname(&life.name)?;
    change_root(&root)?;
    life.place.connect()
}

fn file_systems(life: &Life, root: &Path) -> Result<()> {
    for folder in ["run", "tmp"] {
        mounts::fresh("tmpfs", &root.join(folder), mounts::PLAIN, None)?;
    }
    mounts::bind(Path::new("/dev"), &root.join("dev"))?;
    mounts::fresh("proc", &root.join("proc"), mounts::PLAIN, None)?;
    mounts::fresh("sysfs", &root.join("sys"), mounts::PLAIN, None)?;
    life.disk.cgroups.mount(&root.join("sys/fs/cgroup"))?;
    mounts::bind(&life.logs, &root.join("var/log"))?;
    for (from, to) in &life.shown {
        mounts::bind_read_only(from, &root.join(to.strip_prefix("/").unwrap_or(to)))?;
    }
    life.place.show_switch(root)?;
    // Each life is a boot of its own to whoever asks.
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    private_sysctl(root, "kernel/random/boot_id", boot_id.trim())?;
    SYSCTLS
        .iter()
        .try_for_each(|(name, value)| private_sysctl(root, name, value))
}

fn private_sysctl(root: &Path, name: &str, value: &str) -> Result<()> {
    let file = root.join("run/sysctl").join(name.replace('/', "."));
    fs::create_dir_all(root.join("run/sysctl"))?;
    fs::write(&file, format!("{value}\n"))?;
    mounts::bind(&file, &root.join("proc/sys").join(name))
}

/// Makes `root` the root of the mount namespace. Mounts have to be private for that; afterwards
/// they are shared, as systemd does it, because containers propagate mounts.
fn change_root(root: &Path) -> Result<()> {
    chdir(root)?;
    pivot_root(".", "mnt").context("cannot change the root")?;
    chdir("/")?;
    umount2("/mnt", MntFlags::MNT_DETACH).context("cannot let go of the host's root")?;
    mounts::propagate(MsFlags::MS_SHARED)?;
    if fs::symlink_metadata("/etc/mtab").is_err() {
        symlink("../proc/self/mounts", "/etc/mtab")?;
    }
    Ok(())
}
