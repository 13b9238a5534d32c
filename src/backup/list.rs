//! `slipway backup list`: what there is, from the records alone.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::record::Record;
use super::shelf::Shelf;
use super::take::count;
use crate::report::Output;

/// The backups in `folder`, older ones first, as text or JSON.
pub fn show(folder: &Path, output: Output) -> Result<String> {
    let shelf = Shelf::new(folder);
    let names = shelf.names()?;
    let rows: Vec<_> = names
        .iter()
        .map(|name| (name, shelf.record(name)))
        .collect();
    Ok(match output {
        Output::Json => {
            let all: Vec<_> = rows
                .iter()
                .map(|(name, record)| object(name, record))
                .collect();
            format!("{}\n", json!({ "folder": folder, "backups": all }))
        }
        Output::Text if rows.is_empty() => {
            format!(
                "no backup in {}; `slipway backup take` makes one\n",
                folder.display()
            )
        }
        Output::Text => table(&rows),
    })
}

fn object(name: &str, record: &Result<Record>) -> Value {
    match record {
        Ok(record) => json!({
            "name": name,
            "node": record.node,
            "taken": record.taken,
            "etcd": record.etcd,
            "revision": record.snapshot.revision,
            "keys": record.snapshot.keys,
            "bytes": record.snapshot.bytes,
            "bundle": record.bundle,
            "withoutBundle": record.without_bundle,
        }),
        Err(error) => json!({ "name": name, "damaged": format!("{error:#}") }),
    }
}

fn table(rows: &[(&String, Result<Record>)]) -> String {
    let head = ["NAME", "TAKEN", "REVISION", "KEYS", "SIZE", "BUNDLE"].map(str::to_owned);
    let mut lines = vec![head];
    lines.extend(rows.iter().map(|(name, record)| row(name, record)));
    let width = |column: usize| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths = [0, 1, 2, 3, 4].map(width);
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        // The last one may be long, and is not padded.
        text.push_str(line.last().map_or("", String::as_str));
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

fn row(name: &str, record: &Result<Record>) -> [String; 6] {
    let record = match record {
        Ok(record) => record,
        Err(error) => {
            let unknown = String::new;
            let why = format!("damaged: {error:#}");
            return [
                name.to_owned(),
                unknown(),
                unknown(),
                unknown(),
                unknown(),
                why,
            ];
        }
    };
    let bundle = match (&record.bundle, &record.without_bundle) {
        (Some(sealed), _) => format!("for {}", count(sealed.recipients.len(), "key")),
        (None, why) => format!("none: {}", why.as_deref().unwrap_or("nobody knows why")),
    };
    let snapshot = &record.snapshot;
    [
        name.to_owned(),
        record.taken.clone(),
        snapshot.revision.to_string(),
        snapshot
            .keys
            .map_or_else(String::new, |keys| keys.to_string()),
        size(snapshot.bytes),
        bundle,
    ]
}

/// A size as people compare it.
fn size(bytes: u64) -> String {
    match bytes {
        ..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes.div_ceil(1 << 20)),
        _ => format!("{} GiB", bytes.div_ceil(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::Taken;
    use crate::backup::record::Sealed;

    fn record(bundle: bool) -> Record {
        let snapshot = Taken {
            name: "20261130T101500Z-rev123456".to_owned(),
            sha256: "00".to_owned(),
            bytes: 20_512,
            revision: 123_456,
            keys: Some(1452),
        };
        let mut record = Record::new("a", "2026-11-30T10:15:00Z", "3.7.0", snapshot);
        let sealed = Sealed {
            sha256: "00".to_owned(),
            bytes: 7,
            recipients: vec!["age1".to_owned()],
        };
        record.bundle = bundle.then_some(sealed);
        record.without_bundle = (!bundle).then(|| "nobody to seal it to".to_owned());
        record
    }

    #[test]
    fn a_line_each_with_what_is_missing() {
        let name = "20261130T101500Z-rev123456".to_owned();
        let rows = [
            (&name, Ok(record(true))),
            (&name, Ok(record(false))),
            (&name, Err(anyhow::anyhow!("no record"))),
        ];
        let text = table(&rows);
        let expected = "\
NAME                        TAKEN                 REVISION  KEYS  SIZE    BUNDLE
20261130T101500Z-rev123456  2026-11-30T10:15:00Z  123456    1452  21 KiB  for 1 key
20261130T101500Z-rev123456  2026-11-30T10:15:00Z  123456    1452  21 KiB  none: nobody to seal it to
20261130T101500Z-rev123456                                                damaged: no record
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_record_reads_back() {
        for record in [record(true), record(false)] {
            assert_eq!(Record::read(&record.write().unwrap()).unwrap(), record);
        }
        let text = String::from_utf8(record(true).write().unwrap()).unwrap();
        for other in [
            text.replace("Backup", "Bundle"),
            text.replace("v1alpha1", "v2"),
            "{}".to_owned(),
        ] {
            assert!(Record::read(other.as_bytes()).is_err(), "{other}");
        }
    }
}
