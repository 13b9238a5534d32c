//! A credential of systemd: `slipway.machine`, which PID 1 took from SMBIOS, fw_cfg, vsock's host or
//! an earlier stage, and passes to the unit (systemd.system-credentials(7), `ImportCredential=`).
//!
//! It is the one hand-over that all hypervisors with systemd guests share. By hand, outside a unit,
//! it is the system's folder that holds it ([`folders`]).

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::disk::read_beneath;
use super::{Answer, Context};
use crate::metadata::settings::CREDENTIAL;
use crate::node::secrets::{SYSTEM, VARIABLE, folders, unit_folder};

/// Reads it.
pub fn read(context: &Context<'_>) -> Result<Answer> {
    match find(context.root, unit_folder())? {
        Some(bytes) => Ok(Answer::document(bytes, format!("credential {CREDENTIAL}"))),
        None => Ok(Answer::Nothing(format!(
            "systemd has no credential {CREDENTIAL} (looked in ${VARIABLE} and {SYSTEM}); \
             pass it with systemd-nspawn --load-credential, systemd-vmspawn, or SMBIOS"
        ))),
    }
}

/// Whether it is there.
pub fn is_present(context: &Context<'_>) -> bool {
    // One that cannot be read is there.
    !matches!(find(context.root, unit_folder()), Ok(None))
}

fn find(root: &Path, unit: Option<PathBuf>) -> Result<Option<Vec<u8>>> {
    for folder in folders(root, unit).filter(|folder| folder.is_dir()) {
        let name = folder.join(CREDENTIAL);
        let found = read_beneath(&folder, CREDENTIAL, &name.display().to_string())?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::*;
    use crate::exit::{Exit, exit_of};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    #[test]
    fn the_units_wins_over_the_systems() {
        let machine = Machine::new("quiet", Duration::ZERO);
        let unit = tempfile::tempdir().unwrap();
        let find = |unit: Option<&Path>| {
            let found = find(machine.root(), unit.map(Path::to_owned)).unwrap();
            found.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(find(Some(unit.path())), None);
        assert_eq!(find(Some(Path::new("/nonexistent"))), None);
        machine.put("/run/credentials/@system/slipway.machine", "system");
        assert_eq!(find(Some(unit.path())).as_deref(), Some("system"));
        assert_eq!(find(None).as_deref(), Some("system"));
        fs::write(unit.path().join(CREDENTIAL), "unit").unwrap();
        assert_eq!(find(Some(unit.path())).as_deref(), Some("unit"));
        assert_eq!(find(Some(Path::new("relative"))).as_deref(), Some("system"));
    }

    #[test]
    fn a_link_is_refused_and_its_absence_explained() {
        let machine = Machine::new("quiet", Duration::ZERO);
        let Answer::Nothing(why) = read(&machine.context()).unwrap() else {
            panic!()
        };
        assert!(why.contains("no credential slipway.machine"), "{why}");
        let there = machine.put("/run/credentials/@system/other", "x");
        symlink(&there, there.with_file_name(CREDENTIAL)).unwrap();
        let error = find(machine.root(), None).unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert!(is_present(&machine.context()));
    }
}
