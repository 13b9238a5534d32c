//! From a secret's reference to the secret.
//!
//! What is sealed is opened by systemd-creds: it knows TPMs and host keys, and a second program that
//! handled them would be one too many. The blob's name is the field that it is for, so that a secret
//! sealed for one field cannot be given to another.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use super::files::below;
use crate::config::sensitive::Sensitive;
use crate::exit::{Exit, WithExit, fail};
use crate::secret::Secret;

/// No secret of a document is larger.
const MAX_BYTES: u64 = 1024 * 1024;
/// Where systemd says that a unit's credentials are.
pub const VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// Where PID 1 puts those that the machine was given.
pub const SYSTEM: &str = "/run/credentials/@system";
/// Opens what is sealed.
const OPENER: &str = "systemd-creds";

/// Finds secrets of this node.
#[derive(Clone, Debug)]
pub struct Finder {
    /// Files and credentials are below it.
    pub root: PathBuf,
    /// The credentials that the service manager gave this process ([`unit_folder`]).
    pub credentials: Option<PathBuf>,
}

impl Finder {
    /// For this process.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            credentials: unit_folder(),
        }
    }

    /// The secret of the field at `path` of the document.
    ///
    /// # Errors
    /// [`Exit::NotFound`] if it is not where the reference says; [`Exit::Refused`] if what is sealed
    /// was changed, or was sealed for another machine or field.
    pub fn find(&self, path: &str, secret: &Sensitive) -> Result<Secret> {
        match secret {
            Sensitive::Inline(secret) => Ok(secret.clone()),
            Sensitive::Credential(name) => self.credential(name).exit(Exit::NotFound),
            Sensitive::File(file) => read(&below(&self.root, file))
                .and_then(|there| there.with_context(|| format!("there is no {file}")))
                .exit(Exit::NotFound),
            Sensitive::Sealed(blob) => open(OsStr::new(OPENER), path, blob),
        }
        .with_context(|| format!("cannot get the secret {path}"))
    }

    fn credential(&self, name: &str) -> Result<Secret> {
        for folder in folders(&self.root, self.credentials.clone()) {
            if let Some(secret) = read(&folder.join(name))? {
                return Ok(secret);
            }
        }
        bail!("no credential {name} was passed to this machine (systemd.system-credentials(7))")
    }
}

/// Where the service manager put this unit's credentials, if it gave it some.
pub fn unit_folder() -> Option<PathBuf> {
    env::var_os(VARIABLE).map(PathBuf::from)
}

/// Where credentials are looked for: in the unit's own folder, which is no path below `root`, because
/// there encrypted ones are readable; then in the system's.
pub fn folders(root: &Path, unit: Option<PathBuf>) -> impl Iterator<Item = PathBuf> {
    let unit = unit.filter(|folder| folder.is_absolute());
    unit.into_iter().chain([below(root, SYSTEM)])
}

fn read(path: &Path) -> Result<Option<Secret>> {
    let shown = path.display();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open {shown}")),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {shown}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("{shown} holds more than {MAX_BYTES} bytes; is it the right file?");
    }
    Ok(Some(Secret::new(bytes)))
}

fn open(program: &OsStr, field: &str, blob: &str) -> Result<Secret> {
    let mut child = Command::new(program)
        .arg("decrypt")
        .arg(format!("--name={}", sealed_name(field)))
        .args(["-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}; is it in the image?", program.display()))
        .exit(Exit::NotFound)?;
    if let Some(mut input) = child.stdin.take() {
        // A program that ends early says why on its error output.
        let _ = input.write_all(blob.as_bytes());
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("{} gave no answer", program.display()))?;
    if output.status.success() {
        return Ok(Secret::new(output.stdout));
    }
    let words = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace('\n', "; ");
    let error = anyhow!(
        "{} does not open it, so it was changed, or was sealed on another machine or under another \
         name than {}: {words}",
        program.display(),
        sealed_name(field)
    );
    Err(fail(Exit::Refused, error))
}

/// The name that a secret for a field is sealed under.
pub fn sealed_name(field: &str) -> String {
    format!("slipway.{field}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;
    use std::fs;

    const FIELD: &str = "cluster.serviceAccountKey";

    fn finder(root: &Path) -> Finder {
        Finder {
            root: root.to_owned(),
            credentials: Some(root.join("service")),
        }
    }

    #[test]
    fn credentials_of_the_service_come_before_the_systems() {
        let root = tempfile::tempdir().unwrap();
        let put = |folder: &str, text: &str| {
            let folder = below(root.path(), folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("slipway.x"), text).unwrap();
        };
        let find = || finder(root.path()).find(FIELD, &Sensitive::Credential("slipway.x".into()));
        let missing = find().unwrap_err();
        assert_eq!(exit_of(&missing), Exit::NotFound);
        assert!(
            format!("{missing:#}").contains("no credential slipway.x"),
            "{missing:#}"
        );
        put(SYSTEM, "system");
        assert_eq!(find().unwrap(), Secret::new("system"));
        put("/service", "service");
        assert_eq!(find().unwrap(), Secret::new("service"));
    }

    #[test]
    fn files_are_below_the_root_and_bounded() {
        let root = tempfile::tempdir().unwrap();
        let find = || finder(root.path()).find(FIELD, &Sensitive::File("/key".into()));
        assert_eq!(exit_of(&find().unwrap_err()), Exit::NotFound);
        fs::write(root.path().join("key"), "k").unwrap();
        assert_eq!(find().unwrap(), Secret::new("k"));
        fs::write(root.path().join("key"), vec![0; 1024 * 1024 + 1]).unwrap();
        assert!(find().is_err());
    }

    #[test]
    fn without_the_opener_nothing_sealed_is_read() {
        let error = open(OsStr::new("/nonexistent/creds"), FIELD, "aGk=").unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert!(
            format!("{error:#}").contains("is it in the image?"),
            "{error:#}"
        );
    }
}
