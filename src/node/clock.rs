//! Whether the clock can be trusted with the dates of certificates.
//!
//! A machine without a battery wakes up in 1970, or on the day its firmware was made; certificates
//! dated then are refused by everybody as soon as the clock is right. So the clock has to be later
//! than the image itself, always; and where a time daemon runs, it is given a while to set the clock.
//! NTP is not spoken here: the daemon is the image's choice.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use nix::libc;

use super::files::below;
use crate::config::duration;
use crate::config::machine::Clock;
use crate::exit::{Exit, fail};

/// Seconds since 1970 as text: when the image was built. `./x install` writes it.
pub const BUILT: &str = "/usr/lib/slipway/built";
/// No slipway is older than its first release, 2026-11-20.
const EARLIEST: u64 = 1_795_132_800;
/// Folders that time daemons make while they run: systemd-timesyncd, chrony, ntpsec.
const DAEMONS: [&str; 3] = ["/run/systemd/timesync", "/run/chrony", "/run/ntpsec"];
/// How often the kernel is asked; one system call.
const POLL: Duration = Duration::from_millis(100);

/// What is known about the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it shows.
    pub now: SystemTime,
    /// When the image was built.
    pub built: SystemTime,
    /// Whether a time daemon runs.
    pub daemon: bool,
    /// Whether it has set the clock.
    pub synchronised: bool,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Fine,
    /// Look again, for as long as the document allows.
    Wait,
    /// Time is up, but it was not demanded: go on and say this.
    Warn(String),
    /// Time is up.
    Fail(String),
    /// No waiting helps.
    Refuse(String),
}

/// Judges the clock; `late` if the time for waiting is over.
pub fn judge(facts: &Facts, wanted: Clock, late: bool) -> Verdict {
    let waits = match wanted {
        Clock::Unchecked => false,
        Clock::Auto => facts.daemon,
        Clock::Synchronised => true,
    };
    let waiting = waits && !facts.synchronised;
    match (facts.now < facts.built, waiting, late) {
        (false, false, _) => Verdict::Fine,
        (_, true, false) => Verdict::Wait,
        (true, ..) => Verdict::Refuse(too_early(facts)),
        (false, true, true) if wanted == Clock::Auto => Verdict::Warn(
            "the clock is not synchronised; certificates are dated by it all the same".to_owned(),
        ),
        (false, true, true) => Verdict::Fail(
            "the clock is not synchronised, which the document demands (clock: synchronised); is \
             there a time daemon, and a server that it reaches?"
                .to_owned(),
        ),
    }
}

fn too_early(facts: &Facts) -> String {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let days = seconds(facts.built).saturating_sub(seconds(facts.now)) / 86_400;
    format!(
        "the clock is {days} days before the image was built: certificates made now would be worth \
         nothing; set the hardware clock, or let the image run a time daemon"
    )
}

/// Returns the time as soon as it can be trusted; `waiting` is told once that it is waited for.
///
/// # Errors
/// [`Exit::Refused`] if the clock is before the image's build, [`Exit::TimedOut`] if it has to be
/// synchronised and is not within `limit`.
pub fn settled(
    root: &Path,
    wanted: Clock,
    limit: Duration,
    waiting: impl FnMut(&str),
) -> Result<SystemTime> {
    watch(|| facts(root), wanted, limit, waiting)
}

fn watch(
    mut look: impl FnMut() -> Facts,
    wanted: Clock,
    limit: Duration,
    mut waiting: impl FnMut(&str),
) -> Result<SystemTime> {
    let begin = Instant::now();
    let mut told = false;
    loop {
        let facts = look();
        match judge(&facts, wanted, begin.elapsed() >= limit) {
            Verdict::Fine => return Ok(facts.now),
            Verdict::Warn(why) => {
                log::warn!("{why}");
                return Ok(facts.now);
            }
            Verdict::Fail(why) => return Err(fail(Exit::TimedOut, anyhow!(why))),
            Verdict::Refuse(why) => return Err(fail(Exit::Refused, anyhow!(why))),
            Verdict::Wait if told => {}
            Verdict::Wait => {
                let limit = duration::show(limit);
                waiting(&format!(
                    "waiting until the clock is synchronised, at most {limit}"
                ));
                told = true;
            }
        }
        thread::sleep(POLL);
    }
}

fn facts(root: &Path) -> Facts {
    let built = fs::read_to_string(below(root, BUILT)).unwrap_or_default();
    let built = built.trim().parse().unwrap_or(0).max(EARLIEST);
    Facts {
        now: SystemTime::now(),
        built: UNIX_EPOCH + Duration::from_secs(built),
        daemon: DAEMONS.iter().any(|folder| below(root, folder).is_dir()),
        synchronised: synchronised(),
    }
}

/// The kernel's own word (adjtimex(2)): daemons clear STA_UNSYNC when they have set the clock, chrony only
/// if its configuration says `rtcsync`, as distributions' do.
fn synchronised() -> bool {
    // SAFETY: timex is plain numbers, for all of which zero is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one timex to the address, which is ours; modes is 0: nothing is set.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;

    #[test]
    fn every_case() {
        use Clock::{Auto, Synchronised, Unchecked};
        // wanted, after the build, daemon, synchronised -> while there is time, when there is none
        let cases = [
            (Auto, true, false, false, "Fine", "Fine"),
            (Auto, true, true, false, "Wait", "Warn"),
            (Auto, true, true, true, "Fine", "Fine"),
            (Auto, true, false, true, "Fine", "Fine"),
            (Auto, false, false, false, "Refuse", "Refuse"),
            (Auto, false, true, false, "Wait", "Refuse"),
            (Auto, false, true, true, "Refuse", "Refuse"),
            (Synchronised, true, false, false, "Wait", "Fail"),
            (Synchronised, true, true, false, "Wait", "Fail"),
            (Synchronised, true, true, true, "Fine", "Fine"),
            (Synchronised, false, true, false, "Wait", "Refuse"),
            (Synchronised, false, true, true, "Refuse", "Refuse"),
            (Unchecked, true, true, false, "Fine", "Fine"),
            (Unchecked, false, true, false, "Refuse", "Refuse"),
            (Unchecked, false, false, true, "Refuse", "Refuse"),
        ];
        for (wanted, after, daemon, synchronised, early, late) in cases {
            let built = UNIX_EPOCH + Duration::from_secs(EARLIEST);
            let day = Duration::from_secs(86_400);
            let facts = Facts {
                now: if after { built + day } else { built - day },
                built,
                daemon,
                synchronised,
            };
            for (is_late, want) in [(false, early), (true, late)] {
                let verdict = format!("{:?}", judge(&facts, wanted, is_late));
                assert!(
                    verdict.starts_with(want),
                    "{wanted:?} {facts:?} {is_late}: {verdict}"
                );
            }
        }
    }

    #[test]
    fn the_images_date_is_read_from_the_image() {
        let root = tempfile::tempdir().unwrap();
        let path = below(root.path(), BUILT);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let settled = || settled(root.path(), Clock::Auto, Duration::ZERO, |_| {});
        fs::write(&path, "1795132800\n").unwrap();
        assert!(settled().is_ok());
        // 2100-01-01
        fs::write(&path, "4102444800\n").unwrap();
        let error = settled().unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert!(
            error.to_string().contains("before the image was built"),
            "{error}"
        );
    }

    #[test]
    fn a_daemon_is_known_by_its_folder() {
        let root = tempfile::tempdir().unwrap();
        assert!(!facts(root.path()).daemon);
        for folder in DAEMONS {
            let folder = below(root.path(), folder);
            fs::create_dir_all(&folder).unwrap();
            assert!(facts(root.path()).daemon, "{}", folder.display());
            fs::remove_dir(&folder).unwrap();
        }
    }

    #[test]
    fn a_daemon_is_waited_for_and_the_wait_is_told_once() {
        let now = SystemTime::now();
        let facts = |synchronised| Facts {
            now,
            built: UNIX_EPOCH,
            daemon: true,
            synchronised,
        };
        let (mut looks, mut told) = (0, 0);
        let third = || {
            looks += 1;
            facts(looks == 3)
        };
        let hour = Duration::from_secs(3600);
        let settled = watch(third, Clock::Synchronised, hour, |_| told += 1);
        assert_eq!((settled.unwrap(), looks, told), (now, 3, 1));

        let never = |wanted| watch(|| facts(false), wanted, Duration::ZERO, |_| {});
        assert_eq!(
            exit_of(&never(Clock::Synchronised).unwrap_err()),
            Exit::TimedOut
        );
        assert_eq!(never(Clock::Auto).unwrap(), now);
    }
}
