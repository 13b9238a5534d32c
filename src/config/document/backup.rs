//! `backup:`: where backups of this node's etcd lie, how many, and to whom their bundles are sealed.
//!
//! When they are taken is the timer's, slipway-backup.timer: systemd has the words for it, catches up what a
//! machine that was off has missed, and lets a person change it without slipway.

use super::cluster::once;
use super::manifests::absolute;
use crate::age::Recipient;
use crate::config::machine::Backup;
use crate::config::reader::Reader;

const KEEP: &str = "backup.keep";
/// Each is as large as etcd's database, on the same disk.
const MOST: i64 = 1000;
const TAKEN: [&str; 4] = [
    "/var/lib/slipway/assets",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/etc/kubernetes",
];

pub fn backup(reader: &mut Reader) -> Option<Backup> {
    let default = Backup::default();
    let keep = reader.number(KEEP, default.keep, |number| match number {
        1..=MOST => usize::try_from(number).map_err(|error| error.to_string()),
        _ => Err(format!("{number} is no number of backups; use 1 to {MOST}")),
    });
    let folder = reader.optional("backup.folder", default.folder, folder);
    let recipients = reader.texts("backup.recipients", |text, earlier: &[Recipient]| {
        // Not quoted: it may be the secret key.
        let recipient = text.parse().map_err(|error| format!("{error:#}"))?;
        once(text, recipient, earlier)
    });
    Some(Backup {
        keep: keep?,
        folder: folder?,
        recipients: recipients?,
    })
}

/// Not where somebody else makes the folder what it should be, and a backup is no part of that.
fn folder(text: &str) -> Result<String, String> {
    let is_below = |taken: &&str| {
        let rest = text.strip_prefix(taken);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match TAKEN.iter().find(|taken| is_below(taken)) {
        Some(taken) => Err(format!("{taken} is not for backups; use another folder")),
        None => absolute(text).map(str::to_owned),
    }
}
