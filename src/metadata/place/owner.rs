//! Users and groups by name, as the target knows them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::metadata::envelope::{Entry, Id};
use crate::node::files::{below, read_if_there};

/// The target's /etc/passwd and /etc/group.
pub struct Names {
    users: String,
    groups: String,
}

impl Names {
    /// Reads them; a target without knows no names.
    pub fn read(target: &Path) -> Result<Self> {
        let text = |path| -> Result<String> {
            let bytes = read_if_there(&below(target, path))?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Self {
            users: text("/etc/passwd")?,
            groups: text("/etc/group")?,
        })
    }

    /// The numbers of an entry's user and group.
    ///
    /// # Errors
    /// If a name is unknown.
    pub fn owner(&self, entry: &Entry) -> Result<Owner> {
        Ok(Owner {
            user: number(entry.user.as_ref(), &self.users, "user")?,
            group: number(entry.group.as_ref(), &self.groups, "group")?,
        })
    }
}

fn number(id: Option<&Id>, table: &str, kind: &str) -> Result<Option<u32>> {
    match id {
        None => Ok(None),
        Some(Id::Number(number)) => Ok(Some(*number)),
        Some(Id::Name(name)) => match find(table, name) {
            Some(number) => Ok(Some(number)),
            None => bail!("the image has no {kind} {name:?}; give its number"),
        },
    }
}

/// What an entry says of its owner.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The user's number.
    pub user: Option<u32>,
    /// The group's number.
    pub group: Option<u32>,
}

impl Owner {
    /// Both numbers of a file, `None` if neither is given. The other one is the file's that is there,
    /// root's if there is none.
    pub fn with(self, there: Option<&Metadata>) -> Option<(u32, u32)> {
        let (user, group) = there.map_or((0, 0), |there| (there.uid(), there.gid()));
        let is_given = self.user.is_some() || self.group.is_some();
        is_given.then(|| (self.user.unwrap_or(user), self.group.unwrap_or(group)))
    }
}

/// The third field of the line that begins with the name (passwd(5), group(5)).
fn find(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_table() {
        let table = "root:x:0:0:root:/root:/bin/sh\nbroken:x\netcd:x:998:997::/:/bin/false\n";
        assert_eq!(find(table, "etcd"), Some(998));
        assert_eq!(find(table, "root"), Some(0));
        assert_eq!(find(table, "broken"), None);
        assert_eq!(find(table, "x"), None);
    }
}
