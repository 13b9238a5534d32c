//! Users and groups by name, as the target knows them.

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

    /// The numbers of an entry's user and group; `None` if it names neither.
    ///
    /// # Errors
    /// If a name is unknown.
    pub fn owner(&self, entry: &Entry) -> Result<Option<(u32, u32)>> {
        if entry.user.is_none() && entry.group.is_none() {
            return Ok(None);
        }
        let user = number(entry.user.as_ref(), &self.users, "user")?;
        let group = number(entry.group.as_ref(), &self.groups, "group")?;
        Ok(Some((user, group)))
    }
}

fn number(id: Option<&Id>, table: &str, kind: &str) -> Result<u32> {
    match id {
        None => Ok(0),
        Some(Id::Number(number)) => Ok(*number),
        Some(Id::Name(name)) => match find(table, name) {
            Some(number) => Ok(number),
            None => bail!("the image has no {kind} {name:?}; give its number"),
        },
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
