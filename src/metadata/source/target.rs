//! A document that the machine's image or disk holds already, in a file of the real root.

use anyhow::{Result, anyhow};

use super::disk::read_beneath;
use super::{Answer, Context};
use crate::exit::{Exit, fail};
use crate::metadata::envelope::DOCUMENT;

/// Reads the file that `slipway.config=` names, [`DOCUMENT`] unless it does.
///
/// # Errors
/// [`Exit::Usage`] if that is no absolute path; else as [`read_beneath`].
pub fn read(context: &Context<'_>) -> Result<Answer> {
    let path = context.settings.config.as_deref().unwrap_or(DOCUMENT);
    let Some(inside) = path.strip_prefix('/') else {
        let next = "give an absolute path of the real root";
        let error = anyhow!("platform file cannot use slipway.config= as it is; {next}");
        return Err(fail(Exit::Usage, error));
    };
    Ok(match read_beneath(context.target, inside, path)? {
        Some(bytes) => Answer::document(bytes, format!("file {path}")),
        None => Answer::Nothing(format!(
            "there is no {path}; put the machine document there or name another by slipway.config="
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::*;
    use crate::exit::exit_of;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    fn machine(cmdline: &str) -> Machine {
        Machine::new(cmdline, Duration::ZERO)
    }

    #[test]
    fn the_usual_file_or_another() {
        let machine = machine("");
        let Answer::Nothing(why) = read(&machine.context()).unwrap() else {
            panic!()
        };
        assert!(why.contains("no /etc/slipway/machine.yaml; put"), "{why}");
        machine.put(DOCUMENT, "kind: M");
        let want = Answer::document("kind: M", "file /etc/slipway/machine.yaml");
        assert_eq!(read(&machine.context()).unwrap(), want);

        let machine = self::machine("slipway.config=/usr/share/m.yaml");
        machine.put(DOCUMENT, "kind: M");
        machine.put("/usr/share/m.yaml", "kind: N");
        let want = Answer::document("kind: N", "file /usr/share/m.yaml");
        assert_eq!(read(&machine.context()).unwrap(), want);
    }

    #[test]
    fn nothing_outside_and_nothing_but_files() {
        let machine = machine("slipway.config=/etc/link");
        let link = machine.put("/etc/link", "");
        std::fs::remove_file(&link).unwrap();
        symlink("/etc/passwd", link).unwrap();
        let error = read(&machine.context()).unwrap_err();
        assert!(format!("{error:#}").contains("not a plain file"));
        assert_eq!(exit_of(&error), Exit::NotFound);
        for (path, exit) in [
            ("/etc/../../etc/passwd", Exit::NotFound),
            ("//etc/passwd", Exit::NotFound),
            ("/etc", Exit::NotFound),
            ("etc/m.yaml", Exit::Usage),
            ("https://a/b", Exit::Usage),
        ] {
            let machine = self::machine(&format!("slipway.config={path}"));
            machine.put("/etc/m.yaml", "kind: M");
            let error = read(&machine.context()).unwrap_err();
            assert_eq!(exit_of(&error), exit, "{path}: {error:#}");
        }
    }
}
