//! What is in an envelope: the machine document, and what came with it. Both may hold secrets.

use crate::secret::Secret;

/// Where an envelope that holds files carries the machine document.
pub const DOCUMENT: &str = "/etc/slipway/machine.yaml";
/// All files of an envelope together, unpacked.
pub const MAX_FILES_BYTES: u64 = 16 * 1024 * 1024;
/// Entries of an envelope; each takes memory even if it holds nothing.
pub const MAX_ENTRIES: usize = 1024;

/// An opened envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The text of the machine document.
    pub document: Secret,
    /// What is to be written below the target, in this order.
    pub entries: Vec<Entry>,
    /// The host name, if the envelope has an opinion.
    pub hostname: Option<String>,
    /// What was left out, and what that means; for the console.
    pub warnings: Vec<String>,
}

impl Delivery {
    /// A document that came alone.
    pub fn of(document: impl Into<Vec<u8>>) -> Self {
        Self {
            document: Secret::new(document),
            entries: Vec::new(),
            hostname: None,
            warnings: Vec::new(),
        }
    }
}

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Absolute, as the envelope has it; whoever writes it judges it.
    pub path: String,
    /// What it becomes.
    pub what: What,
    /// Permission bits; default 0644 for files and 0755 for folders.
    pub mode: Option<u32>,
    /// Default root for a file that is written. What is appended to, a folder that is there, and a file of which
    /// only the group is given keep their user.
    pub user: Option<Id>,
    /// As `user`.
    pub group: Option<Id>,
    /// Whether it may take the place of something else.
    pub overwrite: bool,
}

/// The kinds of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file that holds this.
    File(Secret),
    /// A file that ends with this.
    Append(Secret),
    /// A folder.
    Folder,
    /// A link; `hard` to another file, else symbolic.
    Link {
        /// Where it leads.
        target: String,
        /// Whether both become one file.
        hard: bool,
    },
}

/// A user or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// By number.
    Number(u32),
    /// By name, as the target's /etc/passwd or /etc/group has it.
    Name(String),
}
