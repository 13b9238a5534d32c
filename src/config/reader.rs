//! Values by path: what may stand in a document is whatever somebody asked for.
//!
//! Each question names a whole path (`cluster.podCIDR`). The answer is `None` if the value is bad,
//! which is then noted as a problem, so that the questions after it are still asked. Because the
//! reader remembers every question, it knows at the end which keys nobody wanted: there is no
//! second list of fields that could go stale.
//!
//! Of a list of mappings (`patches`) every item is asked the same questions: `patches[].target`
//! means the item that [`Reader::each`] is at.

use std::collections::BTreeSet;

use serde_json::Value;

pub use self::value::{choice, text, unknown_key, wrong_type};
use super::guard;
use super::problem::Problems;
use super::yaml::Tree;
use value::A_MAPPING;

mod ask;
mod value;

/// Reads one tree.
pub struct Reader<'a> {
    tree: &'a Tree,
    problems: &'a mut Problems,
    /// Paths that had a problem before; a second one about the same value would only repeat it.
    doubtful: BTreeSet<String>,
    known: Vec<&'static str>,
    /// The item that `[]` in a path means.
    item: usize,
}

impl<'a> Reader<'a> {
    /// Notes problems in `problems`.
    pub fn new(tree: &'a Tree, problems: &'a mut Problems) -> Self {
        let doubtful = problems
            .iter()
            .map(|problem| problem.path.clone())
            .collect();
        Self {
            tree,
            problems,
            doubtful,
            known: Vec::new(),
            item: 0,
        }
    }

    /// Notes a problem unless something stands at a path; `example` completes "missing; give ...".
    pub fn demand(&mut self, path: &'static str, example: &str) {
        if self.is_absent(path) {
            self.refuse(path, format!("missing; give {example}"));
        }
    }

    /// Whether the document itself says something at a path. A key without a value says nothing.
    pub fn is_given(&self, path: &str) -> bool {
        matches!(self.look(path), Found::Value(_))
    }

    /// Whether a section or anything below it says something.
    pub fn says(&self, path: &str) -> bool {
        fn says(value: &Value) -> bool {
            match value {
                Value::Null => false,
                Value::Object(entries) => entries.values().any(says),
                _ => true,
            }
        }
        matches!(self.look(path), Found::Value(value) if says(value))
    }

    /// The path of a list's item, or of what stands in place of the list.
    pub fn item_of(&self, path: &str, index: usize) -> String {
        let item = guard::item(path, index);
        match self.tree.lines.contains_key(&item) {
            true => item,
            false => path.to_owned(),
        }
    }

    /// Notes a problem, with the line of the path or of the nearest thing around it.
    pub fn refuse(&mut self, path: &str, message: impl Into<String>) {
        let place = self.place(path);
        if !self.doubtful.contains(&place) {
            self.problems.add(self.line(&place), place, message);
        }
    }

    /// Notes what is wrong, if something is.
    pub fn check<T>(&mut self, path: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.refuse(path, message)).ok()
    }

    /// Every path that was asked for.
    #[cfg(test)]
    pub fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// Notes every key that nobody asked for, and every section that is none.
    pub fn refuse_the_rest(&mut self) {
        self.section(&self.tree.root, "", "");
    }

    /// `path` is what questions call the section, `place` where it stands.
    fn section(&mut self, value: &Value, path: &str, place: &str) {
        let entries = match value {
            Value::Object(entries) => entries,
            Value::Null if !path.is_empty() => return,
            _ => {
                let subject = if path.is_empty() { "the document " } else { "" };
                let message = wrong_type(value, A_MAPPING);
                return self.refuse(place, format!("{subject}{message}"));
            }
        };
        for (key, value) in entries {
            let (inner, place) = (guard::child(path, key), guard::child(place, key));
            let items = format!("{inner}[]");
            if self.is_section(&items) {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    self.section(value, &items, &guard::item(&place, index));
                }
            } else if self.is_section(&inner) {
                self.section(value, &inner, &place);
            } else if !self.known.contains(&inner.as_str()) {
                let message = unknown_key(key, &self.keys_of(path));
                self.problems.add(self.line(&place), place, message);
            }
        }
    }

    /// Whether something below a path was asked for.
    fn is_section(&self, path: &str) -> bool {
        let below = |known: &&str| {
            known
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        self.known.iter().any(below)
    }

    /// The keys that may stand in a section.
    fn keys_of(&self, section: &str) -> Vec<&'static str> {
        let mut keys: Vec<&str> = Vec::new();
        for known in &self.known {
            let rest = match section {
                "" => Some(*known),
                _ => known
                    .strip_prefix(section)
                    .and_then(|rest| rest.strip_prefix('.')),
            };
            let key = rest.and_then(|rest| rest.split(['.', '[']).next());
            keys.extend(key.filter(|key| !keys.contains(key)));
        }
        keys
    }

    fn find(&mut self, path: &'static str) -> Found<'a> {
        if !self.known.contains(&path) {
            self.known.push(path);
        }
        self.look(path)
    }

    fn is_absent(&self, path: &str) -> bool {
        matches!(self.look(path), Found::Nothing)
    }

    fn look(&self, path: &str) -> Found<'a> {
        let mut value = &self.tree.root;
        for key in path.split('.') {
            let (key, item) = match key.strip_suffix("[]") {
                Some(list) => (list, Some(self.item)),
                None => (key, None),
            };
            let inner = match value {
                Value::Object(entries) => entries.get(key),
                Value::Null => None,
                _ => return Found::Blocked,
            };
            let inner = match item {
                Some(index) => inner.and_then(|list| list.get(index)),
                None => inner,
            };
            let Some(inner) = inner else {
                return Found::Nothing;
            };
            value = inner;
        }
        if value.is_null() {
            Found::Nothing
        } else {
            Found::Value(value)
        }
    }

    /// A path with the number of the item that it means.
    fn place(&self, path: &str) -> String {
        path.replace("[]", &format!("[{}]", self.item))
    }

    fn line(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.tree.lines.get(path) {
                return *line;
            }
            path = match path.rfind(['.', '[']) {
                Some(end) => path.get(..end).unwrap_or_default(),
                None if path.is_empty() => return 1,
                None => "",
            };
        }
    }
}

/// What stands at a path. A key without a value counts as left out, as in every Kubernetes object.
enum Found<'a> {
    Value(&'a Value),
    Nothing,
    /// Something around the path is no mapping; that is the problem to report.
    Blocked,
}
