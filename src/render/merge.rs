//! A new rendering meets what is on disk: who changed what decides which version stays.
//!
//! A small record keeps the hash of every file as it was rendered. A file that still has it is
//! ours and is replaced; one that has not was edited by a person and is kept, unless told
//! otherwise. What a person added is never touched. Pure: the caller reads and writes.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};

use crate::assets::{Asset, Assets};
use crate::hash::sha256;

/// Where the record lies in an asset directory: JSON, path to SHA-256 in hexadecimal.
pub const RECORD: &str = ".rendered.json";

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was not there.
    Added,
    /// It was as rendered before, and is rendered differently now.
    Changed,
    /// A person had edited it; the edit is gone, as asked.
    Overwritten,
    /// Its text is as rendered, its permissions were not.
    Repaired,
    /// A person edited it; that version stays.
    KeptEdited,
    /// A person added it; it stays.
    KeptForeign,
    /// It is not rendered any more.
    Removed,
}

/// One file that is not simply as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its path in the asset directory.
    pub path: String,
    /// What happened to it.
    pub what: What,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.what {
            What::Added => write!(f, "added {path}"),
            What::Changed => write!(f, "changed {path}"),
            What::Overwritten => write!(f, "overwrote edited file {path}"),
            What::Repaired => write!(f, "put back the permissions of {path}"),
            What::KeptEdited => write!(f, "kept edited file {path}; --overwrite replaces it"),
            What::KeptForeign => write!(f, "kept {path}, which slipway did not render"),
            What::Removed => write!(f, "removed {path}"),
        }
    }
}

/// The tree to write, its record included, and how it differs from the earlier one.
pub struct Merged {
    /// All files.
    pub assets: Assets,
    /// The differences, by path.
    pub changes: Vec<Change>,
}

/// Merges a new rendering into what is there.
pub fn merge(earlier: &Assets, rendered: &Assets, overwrite: bool) -> Result<Merged> {
    let record = read_record(earlier)?;
    let mut merged = meet(earlier, rendered, &record, overwrite);
    for (path, old) in earlier
        .iter()
        .filter(|(path, _)| rendered.get(path).is_none())
    {
        match record.get(path) {
            _ if path == RECORD => {}
            None => merged.take(path, old, Some(What::KeptForeign)),
            Some(hashed) if overwrite || *hashed == hash(old) => merged.note(path, What::Removed),
            Some(_) => merged.take(path, old, Some(What::KeptEdited)),
        }
    }
    merged.finish(&hashes(rendered))
}

/// As [`merge`], where only a part could be rendered: what else is there stays as it is, but for what is
/// `over`: paths that begin like this are rendered as far as they are needed.
pub fn merge_part(
    earlier: &Assets,
    part: &Assets,
    over: &[&str],
    overwrite: bool,
) -> Result<Merged> {
    let mut record = read_record(earlier)?;
    let mut merged = meet(earlier, part, &record, overwrite);
    for (path, old) in earlier.iter().filter(|(path, _)| part.get(path).is_none()) {
        let ours = record.get(path) == Some(&hash(old));
        if ours && over.iter().any(|start| path.starts_with(start)) {
            record.remove(path);
            merged.note(path, What::Removed);
        } else {
            merged.take(path, old, None);
        }
    }
    record.extend(hashes(part));
    merged.finish(&record)
}

fn meet(
    earlier: &Assets,
    rendered: &Assets,
    record: &BTreeMap<String, String>,
    overwrite: bool,
) -> Merged {
    let mut merged = Merged {
        assets: Assets::default(),
        changes: Vec::new(),
    };
    for (path, new) in rendered.iter() {
        let (asset, what) = match earlier.get(path) {
            None => (new, Some(What::Added)),
            Some(old) if old.mode != new.mode && old.bytes == new.bytes => {
                (new, Some(What::Repaired))
            }
            // The old one, so that whoever compares the trees meets the very same bytes.
            Some(old) if old.bytes == new.bytes => (old, None),
            Some(old) if record.get(path) == Some(&hash(old)) => (new, Some(What::Changed)),
            Some(_) if overwrite => (new, Some(What::Overwritten)),
            Some(old) => (old, Some(What::KeptEdited)),
        };
        merged.take(path, asset, what);
    }
    merged
}

impl Merged {
    fn finish(mut self, record: &BTreeMap<String, String>) -> Result<Self> {
        self.changes.sort_by(|a, b| a.path.cmp(&b.path));
        self.assets.add(RECORD, write_record(record)?);
        Ok(self)
    }

    fn take(&mut self, path: &str, asset: &Asset, what: Option<What>) {
        self.assets.insert(path, asset.clone());
        if let Some(what) = what {
            self.note(path, what);
        }
    }

    fn note(&mut self, path: &str, what: What) {
        self.changes.push(Change {
            path: path.to_owned(),
            what,
        });
    }
}

fn read_record(earlier: &Assets) -> Result<BTreeMap<String, String>> {
    let Some(asset) = earlier.get(RECORD) else {
        return Ok(BTreeMap::new());
    };
    serde_json::from_slice(asset.bytes.expose())
        .with_context(|| format!("cannot read {RECORD}; restore it from a backup"))
}

fn hashes(rendered: &Assets) -> BTreeMap<String, String> {
    let hashes = rendered.iter();
    hashes
        .map(|(path, asset)| (path.to_owned(), hash(asset)))
        .collect()
}

fn write_record(record: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(record).context("cannot write the record")?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn hash(asset: &Asset) -> String {
    sha256(asset.bytes.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets(files: &[(&str, &str)]) -> Assets {
        let mut assets = Assets::default();
        for (path, text) in files {
            assets.add(*path, *text);
        }
        assets
    }

    #[test]
    fn who_changed_what_decides() {
        use What::*;
        // rendered before, on disk, rendered now, overwrite -> on disk afterwards, what
        type Row = (
            &'static str,
            &'static str,
            &'static str,
            bool,
            &'static str,
            Option<What>,
        );
        let table: [Row; 13] = [
            ("", "", "b", false, "b", Some(Added)),
            ("a", "a", "a", false, "a", None),
            ("a", "a", "b", false, "b", Some(Changed)),
            ("a", "x", "a", false, "x", Some(KeptEdited)),
            ("a", "x", "b", false, "x", Some(KeptEdited)),
            ("a", "x", "b", true, "b", Some(Overwritten)),
            ("a", "b", "b", false, "b", None),
            ("a", "", "a", false, "a", Some(Added)),
            ("a", "a", "", false, "", Some(Removed)),
            ("a", "x", "", false, "x", Some(KeptEdited)),
            ("a", "x", "", true, "", Some(Removed)),
            ("", "x", "", true, "x", Some(KeptForeign)),
            ("", "x", "b", false, "x", Some(KeptEdited)),
        ];
        for (before, disk, now, overwrite, after, what) in table {
            let file = |text: &'static str| match text {
                "" => vec![],
                text => vec![("f", text)],
            };
            let mut earlier = assets(&file(disk));
            earlier.add(
                RECORD,
                write_record(&hashes(&assets(&file(before)))).unwrap(),
            );
            let merged = merge(&earlier, &assets(&file(now)), overwrite).unwrap();
            let row = (before, disk, now, overwrite);
            let left = merged
                .assets
                .get("f")
                .map_or(&b""[..], |asset| asset.bytes.expose());
            assert_eq!(left, after.as_bytes(), "{row:?}");
            assert_eq!(
                merged.changes.first().map(|change| change.what),
                what,
                "{row:?}"
            );
        }
    }

    #[test]
    fn permissions_that_were_not_as_rendered_are_told() {
        let mut rendered = assets(&[("open", "a")]);
        rendered.add_secret("key", 0, "k");
        let mut earlier = merge(&Assets::default(), &rendered, false).unwrap().assets;
        earlier.add("key", "k");
        for merged in [
            merge(&earlier, &rendered, false).unwrap(),
            merge_part(&earlier, &rendered, &[], false).unwrap(),
        ] {
            let changes: Vec<_> = merged.changes.iter().map(ToString::to_string).collect();
            assert_eq!(changes, ["put back the permissions of key"]);
            assert_eq!(merged.assets.get("key").unwrap().mode, 0o600);
        }
    }

    #[test]
    fn a_part_leaves_the_rest_and_its_record_alone() {
        let mut earlier = assets(&[
            ("ours", "a"),
            ("edited", "x"),
            ("foreign", "y"),
            ("over/ours", "a"),
            ("over/edited", "x"),
            ("over/foreign", "y"),
        ]);
        let before = hashes(&assets(&[
            ("ours", "a"),
            ("edited", "a"),
            ("over/ours", "a"),
            ("over/edited", "a"),
        ]));
        earlier.add(RECORD, write_record(&before).unwrap());
        let part = assets(&[("ours", "b"), ("new", "n")]);
        let merged = merge_part(&earlier, &part, &["over/"], false).unwrap();
        let changes: Vec<_> = (merged.changes.iter().map(ToString::to_string)).collect();
        assert_eq!(changes, ["added new", "changed ours", "removed over/ours"]);
        let whole = assets(&[("ours", "b"), ("edited", "b"), ("new", "n")]);
        let merged = merge(&merged.assets, &whole, false).unwrap();
        let changes: Vec<_> = (merged.changes.iter().map(ToString::to_string)).collect();
        assert_eq!(
            changes,
            [
                "kept edited file edited; --overwrite replaces it",
                "kept foreign, which slipway did not render",
                "kept edited file over/edited; --overwrite replaces it",
                "kept over/foreign, which slipway did not render"
            ]
        );
    }
}
