//! The node's own control groups.
//!
//! The kubelet needs every controller and believes that it owns the tree from its root. Each node
//! gets a group of its own per hierarchy, and a cgroup namespace makes that group its root. Both
//! layouts are served: version 1 (one hierarchy a controller, the groups lie below the harness's
//! own) and version 2 (one hierarchy; the group lies at the top, because a group that holds
//! processes may not hand controllers on, and the harness's own group holds the harness).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::mount::MsFlags;
use serde::{Deserialize, Serialize};

use super::mounts;

/// What every node group's name starts with; the process id of its harness follows.
const PREFIX: &str = "slipway-node-";

/// How long a killed process may take to leave its group.
const EMPTYING: Duration = Duration::from_secs(20);

/// One mounted hierarchy and the node's group in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hierarchy {
    /// Version 1: the controllers as the mount option lists them, e.g. `cpu,cpuacct`; empty for
    /// version 2.
    controllers: String,
    /// Where the groups that a harness may make lie.
    parent: PathBuf,
}

/// The node's group in every hierarchy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cgroups {
    hierarchies: Vec<Hierarchy>,
    name: String,
}

impl Cgroups {
    /// Makes the groups, after removing those that a dead harness left behind. A number tells nodes of
    /// one harness apart that have the same name: those of scenarios that run side by side.
    pub fn create(name: &str) -> Result<Self> {
        static CREATED: AtomicU32 = AtomicU32::new(0);

        let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let hierarchies = discover(&mountinfo, &own);
        if hierarchies.is_empty() {
            bail!("no cgroup hierarchy is mounted; mount cgroup2 on /sys/fs/cgroup");
        }
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{name}", std::process::id());
        let groups = Self { hierarchies, name };
        groups.remove_orphans();
        for hierarchy in &groups.hierarchies {
            prepare(hierarchy, &groups.name)?;
        }
        Ok(groups)
    }

    /// Moves the calling process into the groups.
    pub fn join(&self) -> Result<()> {
        let pid = std::process::id().to_string();
        self.groups()
            .try_for_each(|group| write(&group.join("cgroup.procs"), &pid))
    }

    /// Mounts the hierarchies on `folder`, seen from inside the cgroup namespace.
    pub fn mount(&self, folder: &Path) -> Result<()> {
        let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        if self
            .hierarchies
            .iter()
            .any(|hierarchy| hierarchy.controllers.is_empty())
        {
            mounts::fresh("cgroup2", folder, quiet, None)?;
            return step_aside(folder);
        }
        mounts::fresh("tmpfs", folder, quiet, Some("mode=755"))?;
        self.hierarchies.iter().try_for_each(|hierarchy| {
            let target = folder.join(&hierarchy.controllers);
            mounts::fresh("cgroup", &target, quiet, Some(&hierarchy.controllers))
        })
    }

    /// Removes the groups below the node's own once nobody lives there. A group that survives a
    /// "reboot" costs the next kubelet three seconds each (cAdvisor).
    pub fn remove_below(&self) -> Result<()> {
        self.emptied(remove_children)
    }

    /// Removes the groups themselves.
    pub fn remove(&self) -> Result<()> {
        self.emptied(remove_tree)
    }

    fn groups(&self) -> impl Iterator<Item = PathBuf> {
        self.hierarchies
            .iter()
            .map(|hierarchy| hierarchy.parent.join(&self.name))
    }

    fn emptied(&self, remove: impl Fn(&Path) -> std::io::Result<()>) -> Result<()> {
        let deadline = Instant::now() + EMPTYING;
        for group in self.groups() {
            while let Err(error) = remove(&group) {
                if Instant::now() > deadline {
                    return Err(error).with_context(|| {
                        format!("{} is still in use; see its cgroup.procs", group.display())
                    });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// Best effort: what cannot be removed belongs to somebody who is still alive.
    fn remove_orphans(&self) {
        for hierarchy in &self.hierarchies {
            for name in folders(&hierarchy.parent).unwrap_or_default() {
                if name
                    .file_name()
                    .is_some_and(|name| is_orphan(&name.to_string_lossy()))
                {
                    let _ = remove_tree(&name);
                }
            }
        }
    }
}

/// Whether a folder is the group of a harness that is gone.
fn is_orphan(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').next())
        .and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

/// Finds the hierarchies to use in `/proc/self/mountinfo` and `/proc/self/cgroup`. Left out are
/// hierarchies without controllers: systemd's own, and version 2 beside version 1 (hybrid).
fn discover(mountinfo: &str, own: &str) -> Vec<Hierarchy> {
    let version_1: Vec<_> = mounted(mountinfo, "cgroup")
        .filter_map(|(folder, options)| {
            let controllers = options.strip_prefix("rw,")?.to_owned();
            (!controllers.starts_with("name=")).then_some(())?;
            let below = own_group(own, &controllers)?;
            let parent = PathBuf::from(folder).join(below.trim_start_matches('/'));
            Some(Hierarchy {
                controllers,
                parent,
            })
        })
        .collect();
    if !version_1.is_empty() {
        return version_1;
    }
    mounted(mountinfo, "cgroup2")
        .take(1)
        .map(|(folder, _)| Hierarchy {
            controllers: String::new(),
            parent: folder.into(),
        })
        .collect()
}

/// Mount points and super block options of one file system type (proc(5), mountinfo).
fn mounted<'a>(mountinfo: &'a str, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    mountinfo.lines().filter_map(move |line| {
        let (mount, device) = line.split_once(" - ")?;
        let mut device = device.split(' ');
        (device.next()? == kind).then_some(())?;
        Some((mount.split(' ').nth(4)?, device.nth(1)?))
    })
}

/// The path of the caller's group in the hierarchy of `controllers`.
fn own_group<'a>(own: &'a str, controllers: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (names, path) = line.split_once(':')?;
        (names == controllers).then_some(path)
    })
}

fn prepare(hierarchy: &Hierarchy, name: &str) -> Result<()> {
    let group = hierarchy.parent.join(name);
    if hierarchy.controllers.is_empty() {
        hand_on_controllers(&hierarchy.parent)?;
    }
    fs::create_dir_all(&group).with_context(|| format!("cannot make {}", group.display()))?;
    // A new cpuset group of version 1 is empty and takes no process before it is filled.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if hierarchy
            .controllers
            .split(',')
            .any(|name| name == "cpuset")
        {
            write(
                &group.join(file),
                fs::read_to_string(hierarchy.parent.join(file))?.trim(),
            )?;
        }
    }
    Ok(())
}

/// Version 2: lets the groups below `folder` use every controller that it has.
fn hand_on_controllers(folder: &Path) -> Result<()> {
    let there = fs::read_to_string(folder.join("cgroup.controllers"))?;
    let wanted: Vec<_> = there
        .split_whitespace()
        .map(|name| format!("+{name}"))
        .collect();
    write(&folder.join("cgroup.subtree_control"), &wanted.join(" "))
}

/// Version 2: a group that holds processes cannot hand controllers on, so the node's first process
/// moves from the root into a group of its own before the kubelet comes.
fn step_aside(folder: &Path) -> Result<()> {
    let group = folder.join("init");
    fs::create_dir_all(&group)?;
    write(&group.join("cgroup.procs"), "0")?;
    hand_on_controllers(folder)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {text:?} to {}", path.display()))
}

fn folders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    Ok(entries
        .iter()
        .map(fs::DirEntry::path)
        .filter(|path| path.is_dir())
        .collect())
}

fn remove_children(group: &Path) -> std::io::Result<()> {
    folders(group)?
        .iter()
        .try_for_each(|child| remove_tree(child))
}

fn remove_tree(group: &Path) -> std::io::Result<()> {
    let removed = remove_children(group).and_then(|()| fs::remove_dir(group));
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 20 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
31 20 0:26 / /sys/fs/cgroup/memory rw,relatime shared:3 - cgroup cgroup rw,memory
32 20 0:27 / /sys/fs/cgroup/systemd rw,relatime - cgroup systemd rw,name=systemd
33 20 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 none rw
";

    #[test]
    fn version_1_lies_below_the_callers_own_group() {
        let own = "3:cpu,cpuacct:/\n2:memory:/session/7\n1:name=systemd:/\n0::/\n";
        let found = discover(HYBRID, own);
        let parents: Vec<_> = found.iter().map(|one| one.parent.as_path()).collect();
        let memory = Path::new("/sys/fs/cgroup/memory/session/7");
        assert_eq!(parents, [Path::new("/sys/fs/cgroup/cpu,cpuacct"), memory]);
        assert_eq!(found[1].controllers, "memory");
    }

    #[test]
    fn version_2_alone_is_used_from_its_top() {
        let line = "30 20 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = discover(line, "0::/user.slice/session-1.scope\n");
        assert_eq!(
            found,
            [Hierarchy {
                controllers: String::new(),
                parent: "/sys/fs/cgroup".into()
            }]
        );
    }

    #[test]
    fn only_groups_of_dead_harnesses_are_orphans() {
        assert!(is_orphan("slipway-node-4294967295-a"));
        assert!(!is_orphan(&format!(
            "slipway-node-{}-a",
            std::process::id()
        )));
        assert!(!is_orphan("user.slice"));
    }
}
