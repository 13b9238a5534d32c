//! OpenStack's config drive: a disk with the file-system label `config-2`, and the document in its
//! file `openstack/latest/user_data`.
//!
//! The format is nova's ("Config drives" of its user guide), version 2; others (Proxmox, Vultr,
//! VMware's tools) write it too. A drive without `latest` is read from its newest dated folder, as
//! cloud-init reads it. The metadata beside the user data is of no use here: a machine document
//! says everything.

use anyhow::Result;

use super::disk::{Disk, Files};
use super::{Answer, Context};

const DISK: Disk = Disk {
    labels: &["config-2", "CONFIG-2"],
    file_systems: &["iso9660", "vfat"],
};
const VERSIONS: &str = "openstack";
const LATEST: &str = "latest";
const USER_DATA: &str = "user_data";

/// Waits for the disk and reads its `user_data`.
pub fn read(context: &Context<'_>) -> Result<Answer> {
    DISK.ask(context, user_data)
}

/// Reads its `user_data` if the disk is there now.
///
/// # Errors
/// As [`read`].
pub fn read_if_present(context: &Context<'_>) -> Result<Option<Answer>> {
    DISK.ask_if_present(context, user_data)
}

/// Whether the disk is there now.
pub fn is_present(context: &Context<'_>) -> bool {
    DISK.present(context.root).is_some()
}

pub(super) fn user_data(disk: &Files) -> Result<Answer> {
    let mut versions = disk.names_in(VERSIONS)?;
    if versions.iter().any(|name| name == LATEST) {
        versions.retain(|name| name == LATEST);
    }
    // Dates of this form sort by their age.
    for version in versions.iter().rev().filter(|name| is_version(name)) {
        let path = format!("{VERSIONS}/{version}/{USER_DATA}");
        if let Some(bytes) = disk.read(&path)? {
            return Ok(Answer::document(bytes, "config drive"));
        }
    }
    let (device, found) = (disk.device().display(), disk.names());
    let next = "put the machine document there";
    Ok(Answer::Nothing(format!(
        "there is no {VERSIONS}/{LATEST}/{USER_DATA} on {device}; {next} (found: {found})"
    )))
}

/// Whether a folder is `latest` or is named by a date, YYYY-MM-DD.
fn is_version(name: &str) -> bool {
    let digits = |at: usize| !matches!(at, 4 | 7);
    let dated = name.len() == 10
        && name.bytes().enumerate().all(|(at, byte)| match digits(at) {
            true => byte.is_ascii_digit(),
            false => byte == b'-',
        });
    name == LATEST || dated
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::*;
    use std::time::Duration;

    #[test]
    fn no_disk_is_waited_for_only_when_asked() {
        let machine = Machine::new("quiet", Duration::from_millis(60));
        assert_eq!(read_if_present(&machine.context()).unwrap(), None);
        let Answer::Nothing(why) = read(&machine.context()).unwrap() else {
            panic!()
        };
        assert!(
            why.contains("labelled config-2 appeared within 60ms"),
            "{why}"
        );
    }
}
