//! A logger to the kernel's ring buffer, which outlives every service and reaches a serial console
//! before anything else does.
//!
//! A record is one write(2) of at most 1024 bytes with a `<level>` prefix; longer ones are split
//! (the kernel answers EINVAL to 1025). Without /dev/kmsg, and for a person at a terminal, records
//! go to standard error instead. The ready-made crates either panic without /dev/kmsg or want a
//! journal socket that the initrd does not have.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;

use log::{Level, LevelFilter, Log, Metadata, Record};

/// The largest record the kernel takes, prefix included.
const LARGEST: usize = 1024;

#[derive(Debug)]
struct Kmsg {
    device: Option<File>,
}

static LOGGER: OnceLock<Kmsg> = OnceLock::new();

/// Installs the logger. The kernel's buffer is used under a service manager only (it sets
/// INVOCATION_ID): a command typed by a person must not write there. `debug` shows attempts too.
pub fn install(debug: bool) {
    let under_manager = std::env::var_os("INVOCATION_ID").is_some();
    let device = under_manager
        .then(|| OpenOptions::new().write(true).open("/dev/kmsg").ok())
        .flatten();
    let logger = LOGGER.get_or_init(|| Kmsg { device });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(if debug {
            LevelFilter::Debug
        } else {
            LevelFilter::Info
        });
    }
}

impl Log for Kmsg {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("slipway")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        if let Some(device) = &self.device {
            self.to_kernel(device, record.level(), &text);
        }
        // Changes are on standard output already, and `main` prints the error that ends it all. A warning
        // is worth both places: of its buffer, the kernel shows a console only what is worse than its
        // own loglevel, which is often 4.
        let asked_for = self.device.is_none() && log::max_level() >= Level::Debug;
        if record.level() == Level::Warn || asked_for {
            eprintln!("slipway: {text}");
        }
    }

    fn flush(&self) {}
}

impl Kmsg {
    fn to_kernel(&self, mut device: &File, level: Level, text: &str) {
        for piece in pieces(level, text) {
            // There is nowhere left to report a failed report.
            let _ = device.write_all(piece.as_bytes());
        }
    }
}

/// Syslog severities.
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// `text` as kernel records, cut between characters.
fn pieces(level: Level, text: &str) -> Vec<String> {
    let prefix = format!("<{}>slipway: ", severity(level));
    let room = LARGEST - prefix.len();
    let mut rest = text;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let cut = (0..=room.min(rest.len()))
            .rev()
            .find(|at| rest.is_char_boundary(*at));
        let (piece, more) = rest.split_at(cut.unwrap_or(rest.len()));
        out.push(format!("{prefix}{piece}"));
        rest = more;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_fits_and_nothing_is_lost() {
        let text = "ä".repeat(1500);
        let pieces = pieces(Level::Warn, &text);
        assert!(pieces.iter().all(|piece| piece.len() <= LARGEST));
        let joined: String = pieces
            .iter()
            .map(|p| p.trim_start_matches("<4>slipway: "))
            .collect();
        assert_eq!(joined, text);
    }
}
