//! The newest backup as metrics: a text file that Prometheus' node exporter picks up. Backups that fail are
//! noticed by how old the last good one is.

use std::path::Path;

use anyhow::Result;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::record::Record;
use crate::node::files::{self, PUBLIC};

/// Where the file lies, below the root.
pub const FILE: &str = "/var/lib/slipway/backup.prom";

/// Writes the file anew.
pub fn write(record: &Record, path: &Path) -> Result<()> {
    files::write(path, text(record)?.as_bytes(), PUBLIC).map(drop)
}

/// The text exposition format, version 0.0.4.
fn text(record: &Record) -> Result<String> {
    let taken = OffsetDateTime::parse(&record.taken, &Rfc3339)?.unix_timestamp();
    let snapshot = &record.snapshot;
    let gauges = [
        (
            "timestamp_seconds",
            "When the newest backup was taken.",
            taken.to_string(),
        ),
        (
            "snapshot_bytes",
            "The size of its snapshot.",
            snapshot.bytes.to_string(),
        ),
        (
            "revision",
            "etcd's revision in it.",
            snapshot.revision.to_string(),
        ),
        (
            "recipients",
            "Keys that can open its bundle; 0 if there is none.",
            {
                let sealed = record.bundle.as_ref();
                sealed
                    .map_or(0, |sealed| sealed.recipients.len())
                    .to_string()
            },
        ),
    ];
    let line = |(name, help, value): &(&str, &str, String)| {
        let metric = format!("slipway_backup_{name}");
        format!("# HELP {metric} {help}\n# TYPE {metric} gauge\n{metric} {value}\n")
    };
    Ok(gauges.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::Taken;

    #[test]
    fn the_newest_backup_in_figures() {
        let snapshot = Taken {
            name: String::new(),
            sha256: String::new(),
            bytes: 20_512,
            revision: 7,
            keys: None,
        };
        let record = Record::new("a", "2026-11-30T10:15:00Z", "3.7.0", snapshot);
        let text = text(&record).unwrap();
        let values: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "slipway_backup_timestamp_seconds 1796033700",
            "slipway_backup_snapshot_bytes 20512",
            "slipway_backup_revision 7",
            "slipway_backup_recipients 0",
        ];
        assert_eq!(values, expected);
    }
}
