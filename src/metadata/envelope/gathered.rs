//! What has been taken out of an envelope so far.
//!
//! One of these goes through every part and every nested config of a delivery, so that the limits
//! hold for all of them together: an envelope cannot be split to hold more.

use std::error::Error;
use std::fmt;

use anyhow::Result;

use super::{DOCUMENT, Delivery, Entry, MAX_ENTRIES, MAX_FILES_BYTES, MAX_TEXT, What, invalid};
use crate::config::names;
use crate::exit::{Exit, fail};
use crate::metadata::{HOSTNAME, room};
use crate::secret::Secret;

/// A delivery in the making.
#[derive(Debug, Default)]
pub struct Gathered {
    document: Option<Vec<u8>>,
    entries: Vec<Entry>,
    hostname: Option<String>,
    warnings: Vec<String>,
    bytes: u64,
    text: u64,
}

impl Gathered {
    /// How many more bytes may be unpacked or fetched.
    pub fn left(&self) -> u64 {
        MAX_FILES_BYTES.saturating_sub(self.bytes)
    }

    /// Counts bytes that were unpacked or fetched.
    ///
    /// # Errors
    /// If they are more than [`MAX_FILES_BYTES`] together with those before.
    pub fn spend(&mut self, bytes: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        match self.bytes > MAX_FILES_BYTES {
            true => Err(too_much()),
            false => Ok(()),
        }
    }

    /// Counts the bytes of a text that was unpacked.
    ///
    /// # Errors
    /// If they are more than [`MAX_TEXT`] together with those before.
    pub fn spend_text(&mut self, bytes: usize) -> Result<()> {
        self.text = self.text.saturating_add(bytes as u64);
        let kib = MAX_TEXT / 1024;
        match self.text > MAX_TEXT {
            true => Err(invalid(format!(
                "its texts unpack to more than {kib} KiB together; is it for one machine?"
            ))),
            false => Ok(()),
        }
    }

    /// Takes the machine document itself.
    ///
    /// # Errors
    /// If there is one already.
    pub fn document(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.spend(bytes.len())?;
        match self.document.replace(bytes) {
            None => Ok(()),
            Some(_) => Err(invalid(
                "it carries two machine documents; leave one out, a machine has one",
            )),
        }
    }

    /// Takes a file that is for slipway to read: the machine document and the host name. The bytes
    /// of any other come back, to become an entry. `append` is for a file that ends with them.
    ///
    /// # Errors
    /// As [`Gathered::document`] and [`Gathered::hostname`].
    pub fn file(&mut self, path: &str, bytes: Vec<u8>, append: bool) -> Result<Option<Vec<u8>>> {
        match path {
            DOCUMENT if !append => self.document(bytes).map(|()| None),
            DOCUMENT => {
                self.spend(bytes.len())?;
                let document = self.document.get_or_insert_default();
                room::append(document, &bytes, MAX_FILES_BYTES);
                Ok(None)
            }
            HOSTNAME => {
                self.hostname(String::from_utf8_lossy(&bytes).trim())?;
                Ok(None)
            }
            _ => {
                self.spend(bytes.len())?;
                Ok(Some(bytes))
            }
        }
    }

    /// Takes something to be written. What appends to a file of the envelope becomes part of it, and what
    /// overwrites one takes its place: in two steps, a power cut between them would leave what
    /// another fetch does not know as its own.
    ///
    /// # Errors
    /// If it is in the document's place, or one too many.
    pub fn push(&mut self, entry: Entry) -> Result<()> {
        if entry.path == DOCUMENT {
            return Err(invalid(format!(
                "{DOCUMENT} is no file there; it must be the machine document"
            )));
        }
        if let What::Append(more) = &entry.what {
            let mut before = self.entries.iter_mut().rev();
            if let Some(last) = before.find(|last| last.path == entry.path)
                && let What::File(bytes) | What::Append(bytes) = &mut last.what
            {
                room::append(bytes.expose_mut(), more.expose(), MAX_FILES_BYTES);
                last.mode = entry.mode.or(last.mode);
                last.user = entry.user.or_else(|| last.user.take());
                last.group = entry.group.or_else(|| last.group.take());
                return Ok(());
            }
        }
        if entry.overwrite && matches!(entry.what, What::File(_)) {
            let is_file = |what: &What| matches!(what, What::File(_) | What::Append(_));
            self.entries
                .retain(|earlier| earlier.path != entry.path || !is_file(&earlier.what));
        }
        if self.entries.len() == MAX_ENTRIES {
            return Err(invalid(format!(
                "it carries more than {MAX_ENTRIES} files, folders and links; put them in an archive"
            )));
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Takes the host name; the last one counts.
    ///
    /// # Errors
    /// If it is not a DNS name of at most 63 characters.
    pub fn hostname(&mut self, name: &str) -> Result<()> {
        let name = names::node(name).map_err(|why| invalid(format!("the host name: {why}")))?;
        self.hostname = Some(name);
        Ok(())
    }

    /// Takes a warning for the console.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// The delivery. `carrier` is what the envelope is, for people.
    ///
    /// # Errors
    /// [`NoDocument`] if it holds none, and then [`Exit::Invalid`].
    pub fn finish(self, carrier: &str) -> Result<Delivery> {
        let missing = || {
            let cause = format!("{carrier} carries no {DOCUMENT}");
            fail(Exit::Invalid, anyhow::Error::new(NoDocument).context(cause))
        };
        Ok(Delivery {
            document: Secret::new(self.document.ok_or_else(missing)?),
            entries: self.entries,
            hostname: self.hostname,
            warnings: self.warnings,
        })
    }
}

/// Marks the error of an envelope that is as it should be but carries no machine document: on a machine
/// that needs none it is no mistake.
#[derive(Debug)]
pub struct NoDocument;

impl fmt::Display for NoDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("add the machine document as a file of that path")
    }
}

impl Error for NoDocument {}

/// The error for an envelope that holds more than is taken.
pub fn too_much() -> anyhow::Error {
    let mib = MAX_FILES_BYTES / 1024 / 1024;
    invalid(format!(
        "it unpacks to more than {mib} MiB; let the machine fetch large files later"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::envelope::Id;

    fn folder(path: &str) -> Entry {
        Entry {
            path: path.to_owned(),
            what: What::Folder,
            mode: None,
            user: None,
            group: None,
            overwrite: false,
        }
    }

    #[test]
    fn files_that_slipway_reads_do_not_become_entries() {
        let mut gathered = Gathered::default();
        let mut file = |path, bytes: &str, append| {
            let bytes = bytes.as_bytes().to_vec();
            gathered.file(path, bytes, append).unwrap().is_none()
        };
        assert!(file(DOCUMENT, "a: b\n", false));
        assert!(file(DOCUMENT, "c: d\n", true));
        assert!(file(HOSTNAME, "first\n", false));
        assert!(file(HOSTNAME, " node-a\n", false));
        assert!(!file("/etc/motd", "x", false));
        let delivery = gathered.finish("x").unwrap();
        assert_eq!(delivery.document.expose(), b"a: b\nc: d\n");
        assert_eq!(delivery.hostname.as_deref(), Some("node-a"));
    }

    #[test]
    fn what_is_appended_to_a_file_of_the_envelope_becomes_part_of_it() {
        let mut gathered = Gathered::default();
        let mut push = |what, mode, user| {
            let entry = Entry {
                what,
                mode,
                user,
                ..folder("/etc/motd")
            };
            gathered.push(entry).unwrap();
        };
        push(What::File(Secret::new("a")), Some(0o600), None);
        push(What::Append(Secret::new("b")), None, Some(Id::Number(7)));
        push(What::Append(Secret::new("c")), Some(0o644), None);
        push(What::File(Secret::new("d")), None, None);
        push(What::Append(Secret::new("e")), None, None);
        gathered.push(folder("/etc/x")).unwrap();
        let over = |path: &str| Entry {
            what: What::File(Secret::new("f")),
            overwrite: true,
            ..folder(path)
        };
        gathered.push(over("/etc/x")).unwrap();
        let entries = gathered.entries;
        let whats: Vec<_> = entries.iter().map(|entry| &entry.what).collect();
        let file = |bytes: &str| What::File(Secret::new(bytes));
        let all = [&file("abc"), &file("de"), &What::Folder, &file("f")];
        assert_eq!(whats, all);
        let first = entries.first().unwrap();
        let both = (first.mode, first.user.clone());
        assert_eq!(both, (Some(0o644), Some(Id::Number(7))));
        // What stands in the way of a file that overwrites is for the target to judge, but for files.
        let mut gathered = Gathered {
            entries,
            ..Gathered::default()
        };
        gathered.push(over("/etc/motd")).unwrap();
        let left: Vec<_> = gathered.entries.iter().map(|entry| &entry.what).collect();
        assert_eq!(left, [&What::Folder, &file("f"), &file("f")]);
    }

    #[test]
    fn limits() {
        let mut gathered = Gathered::default();
        for n in 0..MAX_ENTRIES {
            gathered.push(folder(&format!("/etc/{n}"))).unwrap();
        }
        let error = gathered.push(folder("/etc/more")).unwrap_err();
        assert!(error.to_string().contains("1024"), "{error}");
        gathered.spend(16 * 1024 * 1024).unwrap();
        assert_eq!(gathered.left(), 0);
        let error = gathered.spend(1).unwrap_err();
        assert!(error.to_string().contains("16 MiB"), "{error}");
        gathered.spend_text(4 * 1024 * 1024).unwrap();
        let error = gathered.spend_text(1).unwrap_err();
        assert!(error.to_string().contains("4096 KiB together"), "{error}");
    }

    #[test]
    fn what_cannot_be() {
        let mut gathered = Gathered::default();
        assert!(gathered.push(folder(DOCUMENT)).is_err());
        assert!(gathered.hostname("two\nlines").is_err());
        assert!(gathered.file(HOSTNAME, vec![0xff], false).is_err());
        gathered.document(Vec::new()).unwrap();
        assert!(gathered.document(Vec::new()).is_err());
        let error = Gathered::default().finish("the box").unwrap_err();
        let want = "the box carries no /etc/slipway/machine.yaml: add the machine document";
        assert!(format!("{error:#}").starts_with(want), "{error:#}");
    }
}
