//! The questions: one for each shape that a value may have.

use serde_json::{Map, Value};

use super::value::{A_MAPPING, no_number, text, unknown_key, wrong_type};
use super::{Found, Reader};
use crate::config::guard;
use crate::config::sensitive::{self, Sensitive};

impl<'a> Reader<'a> {
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
        match self.list(path) {
            Some(items) => self.texts_of(&self.place(path), items, check),
            None => self.is_absent(path).then(Vec::new),
        }
    }

    /// A text or a list of at least one; empty if left out.
    pub fn one_or_more<T>(
        &mut self,
        path: &'static str,
        check: impl Fn(&str, &[T]) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        match self.find(path) {
            Found::Value(Value::Array(items)) if items.is_empty() => self.check(
                path,
                Err(wrong_type(&Value::Null, "text or a list of texts")),
            ),
            Found::Value(Value::Array(items)) => self.texts_of(path, items, check),
            Found::Value(value) => {
                let result = text(value, |text| check(text, &[]));
                self.check(path, result).map(|only| vec![only])
            }
            Found::Nothing | Found::Blocked => Some(Vec::new()),
        }
    }

    /// The texts of a list that stands at `place`.
    pub fn texts_of<T>(
        &mut self,
        place: &str,
        items: &[Value],
        check: impl Fn(&str, &[T]) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let mut taken = Vec::new();
        for (index, value) in items.iter().enumerate() {
            let result = text(value, |text| check(text, &taken));
            taken.extend(self.check(&guard::item(place, index), result));
        }
        (taken.len() == items.len()).then_some(taken)
    }

    /// What `read` makes of each mapping of a list; it is told which one it is.
    pub fn each<T>(
        &mut self,
        path: &'static str,
        mut read: impl FnMut(&mut Self, usize) -> Option<T>,
    ) -> Vec<T> {
        let count = self.list(path).map_or(0, Vec::len);
        let mut taken = Vec::new();
        for index in 0..count {
            self.item = index;
            taken.extend(read(self, index));
        }
        taken
    }

    /// A list of anything.
    pub fn list(&mut self, path: &'static str) -> Option<&'a Vec<Value>> {
        match self.find(path) {
            Found::Value(Value::Array(items)) => Some(items),
            Found::Value(value) => self.check(path, Err(wrong_type(value, "a list"))),
            Found::Nothing | Found::Blocked => None,
        }
    }

    /// A mapping of anything.
    pub fn mapping(&mut self, path: &'static str) -> Option<&'a Map<String, Value>> {
        match self.find(path) {
            Found::Value(Value::Object(entries)) => Some(entries),
            Found::Value(value) => self.check(path, Err(wrong_type(value, A_MAPPING))),
            Found::Nothing | Found::Blocked => None,
        }
    }

    /// The entries of a mapping whose keys are among `names`, without those that hold nothing.
    pub fn entries(&mut self, path: &'static str, names: &[&str]) -> Vec<(&'a String, &'a Value)> {
        let mut taken = Vec::new();
        for (key, value) in self.mapping(path).into_iter().flatten() {
            if !names.contains(&key.as_str()) {
                self.refuse(&guard::child(path, key), unknown_key(key, names));
            } else if !value.is_null() {
                taken.push((key, value));
            }
        }
        taken
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
}
