//! Values by path: what may stand in a document is whatever somebody asked for.
//!
//! Each question names a whole path (`cluster.podCIDR`). The answer is `None` if the value is bad,
//! which is then noted as a problem, so that the questions after it are still asked. Because the
//! reader remembers every question, it knows at the end which keys nobody wanted: there is no
//! second list of fields that could go stale.

use std::collections::BTreeSet;

use serde_json::Value;

use super::guard;
use super::problem::{Problems, quote};
use super::sensitive::{self, Sensitive};
use super::yaml::Tree;

/// Reads one tree.
pub struct Reader<'a> {
    tree: &'a Tree,
    problems: &'a mut Problems,
    /// Paths that had a problem before; a second one about the same value would only repeat it.
    doubtful: BTreeSet<String>,
    known: Vec<&'static str>,
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
        }
    }

    /// A text that must be there; `example` completes "missing; give ...".
    pub fn required<T>(
        &mut self,
        path: &'static str,
        example: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.find(path) {
            Found::Value(value) => self.check(path, text(value, check)),
            Found::Nothing => self.check(path, Err(format!("missing; give {example}"))),
            Found::Blocked => None,
        }
    }

    /// A text that may be left out.
    pub fn optional<T>(
        &mut self,
        path: &'static str,
        default: T,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.find(path) {
            Found::Value(value) => self.check(path, text(value, check)),
            Found::Nothing | Found::Blocked => Some(default),
        }
    }

    /// A whole number that may be left out.
    pub fn number<T>(
        &mut self,
        path: &'static str,
        default: T,
        check: impl FnOnce(i64) -> Result<T, String>,
    ) -> Option<T> {
        match self.find(path) {
            Found::Value(value) => {
                let number = value.as_i64().ok_or_else(|| no_number(value));
                self.check(path, number.and_then(check))
            }
            Found::Nothing | Found::Blocked => Some(default),
        }
    }

    /// A list of texts, empty if left out. `check` sees each with those before it.
    pub fn texts<T>(
        &mut self,
        path: &'static str,
        check: impl Fn(&str, &[T]) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = match self.find(path) {
            Found::Value(Value::Array(items)) => items,
            Found::Value(value) => return self.check(path, Err(wrong_type(value, "a list"))),
            Found::Nothing | Found::Blocked => return Some(Vec::new()),
        };
        let mut taken = Vec::new();
        for (index, value) in items.iter().enumerate() {
            let result = text(value, |text| check(text, &taken));
            taken.extend(self.check(&guard::item(path, index), result));
        }
        (taken.len() == items.len()).then_some(taken)
    }

    /// A secret that may be left out: a text, or a mapping that says where it is.
    pub fn sensitive(&mut self, path: &'static str) -> Option<Option<Sensitive>> {
        let value = match self.find(path) {
            Found::Value(value) => value,
            Found::Nothing | Found::Blocked => return Some(None),
        };
        match sensitive::read(value) {
            Ok(sensitive) => Some(Some(sensitive)),
            Err((below, message)) if below.is_empty() => self.check(path, Err(message)),
            Err((below, message)) => self.check(&guard::child(path, &below), Err(message)),
        }
    }

    /// Whether the document itself says something at a path.
    pub fn is_given(&self, path: &str) -> bool {
        self.tree.lines.contains_key(path)
    }

    /// Notes a problem, with the line of the path or of the nearest thing around it.
    pub fn refuse(&mut self, path: &str, message: impl Into<String>) {
        if !self.doubtful.contains(path) {
            self.problems.add(self.line(path), path, message);
        }
    }

    /// Every path that was asked for.
    #[cfg(test)]
    pub fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// Notes every key that nobody asked for, and every section that is none.
    pub fn refuse_the_rest(&mut self) {
        self.section(&self.tree.root, "");
    }

    fn section(&mut self, value: &Value, path: &str) {
        let entries = match value {
            Value::Object(entries) => entries,
            Value::Null if !path.is_empty() => return,
            _ => {
                let subject = if path.is_empty() { "the document " } else { "" };
                let message = wrong_type(value, "a mapping of keys");
                return self.refuse(path, format!("{subject}{message}"));
            }
        };
        for (key, value) in entries {
            let inner = guard::child(path, key);
            let section = format!("{inner}.");
            if self.known.contains(&inner.as_str()) {
                continue;
            }
            if self.known.iter().any(|known| known.starts_with(&section)) {
                self.section(value, &inner);
            } else {
                let message = unknown_key(key, &self.keys_of(path));
                self.problems.add(self.line(&inner), inner, message);
            }
        }
    }

    /// The keys that may stand in a section.
    fn keys_of(&self, section: &str) -> Vec<&'static str> {
        let mut keys: Vec<_> = self
            .known
            .iter()
            .filter_map(|known| match section {
                "" => Some(*known),
                _ => known.strip_prefix(section)?.strip_prefix('.'),
            })
            .filter_map(|rest| rest.split('.').next())
            .collect();
        keys.dedup();
        keys
    }

    fn check<T>(&mut self, path: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.refuse(path, message)).ok()
    }

    fn find(&mut self, path: &'static str) -> Found<'a> {
        self.known.push(path);
        let mut value = &self.tree.root;
        for key in path.split('.') {
            value = match value {
                Value::Object(entries) => match entries.get(key) {
                    Some(value) => value,
                    None => return Found::Nothing,
                },
                Value::Null => return Found::Nothing,
                _ => return Found::Blocked,
            };
        }
        if value.is_null() {
            Found::Nothing
        } else {
            Found::Value(value)
        }
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

/// A text that passes `check`. Of a number or truth value, what is wrong with it as a text is said
/// first: quotes alone would not help.
fn text<T>(value: &Value, check: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    match value {
        Value::String(text) => check(text),
        Value::Number(_) | Value::Bool(_) => check(&value.to_string())
            .and_then(|_| Err(format!("{}; put it in quotes", wrong_type(value, "text")))),
        _ => Err(wrong_type(value, "text")),
    }
}

fn no_number(value: &Value) -> String {
    let quoted = value
        .as_str()
        .is_some_and(|text| text.parse::<i64>().is_ok());
    let hint = if quoted { "; remove the quotes" } else { "" };
    format!("{}{hint}", wrong_type(value, "a whole number"))
}

fn wrong_type(value: &Value, wanted: &str) -> String {
    let is = match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping of keys",
    };
    format!("is {is}, must be {wanted}")
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|known| (distance(&key.to_lowercase(), &known.to_lowercase()), *known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min();
    match near {
        Some((_, near)) => format!("unknown key {}; did you mean {near}?", quote(key)),
        None => format!(
            "unknown key {}; known here: {}",
            quote(key),
            known.join(", ")
        ),
    }
}

/// How many characters must be inserted, removed or replaced to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, want) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("podcdr", "podcidr", 1),
            ("a", "xyz", 3),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn near_names_are_offered_and_far_ones_listed() {
        let known = ["podCIDR", "serviceCIDR"];
        assert!(unknown_key("podcidr", &known).ends_with("did you mean podCIDR?"));
        assert!(unknown_key("podCDIR", &known).ends_with("did you mean podCIDR?"));
        assert!(unknown_key("subnet", &known).ends_with("known here: podCIDR, serviceCIDR"));
    }
}
