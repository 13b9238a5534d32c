//! What this machine says: the control plane's processes and static pods' files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qemu_tests::probe::{Manifest, Process, Report, now};

use crate::Notes;

/// The programs that are watched.
const PROGRAMS: [&str; 3] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

/// After how many looks at what is known everything is looked at.
const FULL_LOOK: u32 = 10;

/// Starts watching the manifest folder and the processes, a look every `pause`.
pub fn start(folder: PathBuf, pause: Duration, notes: &Notes) {
    let notes = notes.clone();
    std::thread::spawn(move || {
        for look in 0_u32.. {
            let new = if look % FULL_LOOK == 0 {
                find_processes(&notes.lock())
            } else {
                Vec::new()
            };
            let files = files(&folder);
            let mut report = notes.lock();
            report.processes.extend(new);
            see_ends(&mut report);
            see_files(&mut report, &files);
            drop(report);
            std::thread::sleep(pause);
        }
    });
}

fn see_ends(report: &mut Report) {
    let Report {
        processes, leases, ..
    } = report;
    for process in processes
        .iter_mut()
        .filter(|process| process.ended.is_none())
    {
        if arguments(process.pid).is_none_or(|arguments| program(&arguments) != process.name) {
            let at = now();
            process.ended = Some(at);
            if let Some(lease) = leases.iter_mut().find(|lease| lease.name == process.name) {
                lease.process_ended(process.seen, at);
            }
        }
    }
}

fn see_files(report: &mut Report, files: &BTreeSet<String>) {
    let manifests = &mut report.manifests;
    for manifest in manifests
        .iter_mut()
        .filter(|manifest| manifest.removed.is_none())
    {
        if !files.contains(&manifest.name) {
            manifest.removed = Some(now());
        }
    }
    for name in files {
        if !manifests
            .iter()
            .any(|there| there.name == *name && there.removed.is_none())
        {
            manifests.push(Manifest {
                name: name.clone(),
                seen: now(),
                removed: None,
            });
        }
    }
}

/// Files of the folder that the kubelet looks at.
fn files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

fn find_processes(report: &Report) -> Vec<Process> {
    let alive = |pid| {
        report
            .processes
            .iter()
            .any(|one| one.pid == pid && one.ended.is_none())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| !alive(pid))
        .filter_map(process)
        .collect()
}

fn process(pid: i32) -> Option<Process> {
    let arguments = arguments(pid)?;
    let name = program(&arguments);
    PROGRAMS.contains(&name).then(|| Process {
        name: name.to_owned(),
        pid,
        bind_address: arguments
            .iter()
            .find_map(|argument| argument.strip_prefix("--bind-address="))
            .map(str::to_owned),
        seen: now(),
        ended: None,
    })
}

/// A process's command line; empty for one that has ended and was not waited for.
fn arguments(pid: i32) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(
        bytes
            .split(|&byte| byte == 0)
            .map(|one| String::from_utf8_lossy(one).into())
            .collect(),
    )
}

fn program(arguments: &[String]) -> &str {
    let path = arguments.first().map_or("", String::as_str);
    path.rsplit('/').next().unwrap_or(path)
}
