//! Which life of the machine this is, and when it began.
//!
//! A record from before the last power cut says nothing about now. PID 1's start tells lives apart
//! where the kernel's boot id cannot (containers and the node tier, whose lives share a kernel), and
//! it is what container start times are compared with.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::files::below;

/// This life of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Differs between any two lives.
    pub id: String,
    /// When PID 1 was started, by today's clock.
    pub started: SystemTime,
}

impl Boot {
    /// Reads it from /proc below `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let text = |path: &str| {
            fs::read_to_string(below(root, path)).with_context(|| format!("cannot read {path}"))
        };
        let id = text("/proc/sys/kernel/random/boot_id")?;
        let ticks = start_ticks(&text("/proc/1/stat")?)
            .context("cannot read PID 1's start from /proc/1/stat")?;
        let uptime = uptime(&text("/proc/uptime")?).context("no time in /proc/uptime")?;
        let age = uptime.saturating_sub(Duration::from_millis(ticks * 10));
        Ok(Self {
            id: format!("{}/{ticks}", id.trim()),
            started: SystemTime::now() - age,
        })
    }
}

/// Field 22 of proc(5)'s stat, in 1/100 s since the kernel's boot.
fn start_ticks(stat: &str) -> Option<u64> {
    // The second field is the command in parentheses and may hold spaces.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// The first field of proc(5)'s uptime: for how long the kernel has run. To the hundredth; btime of stat is of whole
/// seconds, and a machine can be back within one.
fn uptime(text: &str) -> Option<Duration> {
    let seconds = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_machine() {
        let boot = Boot::read(Path::new("/")).unwrap();
        assert!(boot.started < SystemTime::now());
    }

    #[test]
    fn the_time_since_the_kernel_booted() {
        assert_eq!(uptime("35.25 70.1\n"), Some(Duration::from_millis(35_250)));
        assert_eq!(uptime("-1 2"), None);
    }

    #[test]
    fn a_command_with_spaces() {
        let stat = "1 (my init) x) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 2";
        assert_eq!(start_ticks(stat), Some(4711));
    }
}
