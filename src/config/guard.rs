//! The event parser's guard: everything about a text that should be settled before a tree of it
//! is built.
//!
//! serde_yaml is frozen upstream, tells no lines, takes the last of two equal keys into a JSON
//! tree and follows aliases. So the text first runs through yaml-rust2 as a stream of events, which
//! needs no memory for what it refuses: duplicate keys, aliases, anchors, tags, merge keys, a
//! second document, scalars of two meanings, and whatever is too big or too deep. On the way it
//! notes the line of every node. Events are pulled one at a time rather than pushed, so that the
//! guard can stop; the parser's own recursive loaders are never entered.

use std::collections::BTreeMap;

use yaml_rust2::Event;
use yaml_rust2::parser::{Parser, Tag};
use yaml_rust2::scanner::{Marker, TScalarStyle};

use super::ambiguous;
use super::document::is_sensitive;
use super::problem::{Problems, quote};

/// Far above what any document needs, far below what hurts. The deepest are patches of affinities, the
/// longest keys annotations (253 characters, a slash and 63).
const MAX_NODES: usize = 4096;
const MAX_DEPTH: usize = 24;
const MAX_KEY: usize = 320;

/// The line of every node by its path; the root's path is empty.
pub type Lines = BTreeMap<String, usize>;

/// The path of a mapping's child. A key that would not read well as part of a path is quoted, so
/// that no key can pass for a path of several.
pub fn child(parent: &str, key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let key = match !key.is_empty() && key.bytes().all(plain) {
        true => key.to_owned(),
        false => quote(key),
    };
    if parent.is_empty() {
        key
    } else {
        format!("{parent}.{key}")
    }
}

/// The path of a sequence's item.
pub fn item(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

/// Reads the events of a text. Returns the lines, or `None` if no tree should be built of it;
/// problems that leave the tree's shape intact do not prevent one.
pub fn inspect(text: &str, problems: &mut Problems) -> Option<Lines> {
    let mut guard = Guard {
        problems,
        lines: Lines::new(),
        nodes: 0,
        open: Vec::new(),
        sound: true,
    };
    let mut parser = Parser::new_from_str(text);
    let mut documents = 0;
    loop {
        let (event, mark) = match parser.next_token() {
            Ok(next) => next,
            Err(error) => {
                guard.give_up(
                    error.marker(),
                    "",
                    format!("the document is not YAML: {}", error.info()),
                );
                break;
            }
        };
        match event {
            Event::StreamEnd => break,
            Event::DocumentStart => documents += 1,
            _ => {}
        }
        if documents > 1 {
            guard.give_up(
                &mark,
                "",
                "a second document begins here; one is all there may be",
            );
            break;
        }
        if !guard.take(event, &mark) {
            break;
        }
    }
    guard.sound.then_some(guard.lines)
}

struct Guard<'p> {
    problems: &'p mut Problems,
    lines: Lines,
    /// Keys and values so far, those of duplicate keys too.
    nodes: usize,
    open: Vec<Open>,
    /// Whether a tree may be built.
    sound: bool,
}

/// A collection whose end has not come yet.
struct Open {
    path: String,
    kind: Kind,
}

enum Kind {
    Sequence {
        items: usize,
    },
    /// `value` is the path of the value that the last key announced.
    Mapping {
        value: Option<String>,
    },
}

impl Guard<'_> {
    /// Takes one event; false means that going on makes no sense.
    fn take(&mut self, event: Event, mark: &Marker) -> bool {
        match event {
            Event::SequenceStart(anchor, tag) => {
                let kind = Kind::Sequence { items: 0 };
                self.collection(kind, anchor, tag.as_ref(), mark)
            }
            Event::MappingStart(anchor, tag) => {
                let kind = Kind::Mapping { value: None };
                self.collection(kind, anchor, tag.as_ref(), mark)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let path = self.scalar(&text, mark);
                self.decorations(&path, anchor, tag.as_ref(), mark);
                if style == TScalarStyle::Plain && tag.is_none() {
                    self.plain(&path, &text, mark);
                }
                self.nodes <= MAX_NODES || self.too_many(mark)
            }
            Event::Alias(_) => {
                let path = self.scalar("*", mark);
                self.give_up(
                    mark,
                    &path,
                    "aliases are not supported; write the value out",
                );
                true
            }
            Event::SequenceEnd | Event::MappingEnd => self.open.pop().is_some(),
            _ => true,
        }
    }

    fn collection(&mut self, kind: Kind, anchor: usize, tag: Option<&Tag>, mark: &Marker) -> bool {
        let Some(path) = self.value_path(mark) else {
            let path = self
                .open
                .last()
                .map_or("", |open| open.path.as_str())
                .to_owned();
            self.give_up(mark, &path, "a key must be text, not a list or mapping");
            return false;
        };
        self.decorations(&path, anchor, tag, mark);
        if self.open.len() == MAX_DEPTH {
            self.give_up(
                mark,
                &path,
                format!("is nested more than {MAX_DEPTH} levels deep"),
            );
            return false;
        }
        self.open.push(Open { path, kind });
        self.nodes <= MAX_NODES || self.too_many(mark)
    }

    fn too_many(&mut self, mark: &Marker) -> bool {
        self.give_up(
            mark,
            "",
            format!("the document has more than {MAX_NODES} values"),
        );
        false
    }

    /// The path of a scalar: of a value, or of the value that it, a key, announces.
    fn scalar(&mut self, text: &str, mark: &Marker) -> String {
        match self.value_path(mark) {
            Some(path) => path,
            None => self.key(text, mark),
        }
    }

    /// The path of the node that begins here, or `None` if the node is a key.
    fn value_path(&mut self, mark: &Marker) -> Option<String> {
        self.nodes += 1;
        let path = match self.open.last_mut() {
            None => String::new(),
            Some(Open {
                path,
                kind: Kind::Sequence { items },
            }) => {
                *items += 1;
                item(path, *items - 1)
            }
            Some(Open {
                kind: Kind::Mapping { value },
                ..
            }) => return value.take(),
        };
        self.lines.insert(path.clone(), mark.line());
        Some(path)
    }

    fn key(&mut self, text: &str, mark: &Marker) -> String {
        let Some(Open {
            path: parent,
            kind: Kind::Mapping { value },
        }) = self.open.last_mut()
        else {
            return String::new();
        };
        let path = child(parent, text);
        *value = Some(path.clone());
        if text.len() > MAX_KEY {
            self.give_up(
                mark,
                &path,
                format!("the key has more than {MAX_KEY} characters"),
            );
        }
        if let Some(first) = self.lines.insert(path.clone(), mark.line()) {
            let again = format!("duplicate key; it was given on line {first} already");
            self.problems.add(mark.line(), path.clone(), again);
        }
        path
    }

    fn plain(&mut self, path: &str, text: &str, mark: &Marker) {
        if text == "<<" {
            let message = "merge keys are not supported; write the keys out";
            self.problems.add(mark.line(), path, message);
        } else if let Some(reason) = ambiguous::reason(text) {
            let message = match is_sensitive(path) {
                true => format!("is ambiguous: {reason}; if it is text, put it in quotes"),
                false => format!(
                    "{text} is ambiguous: {reason}; if it is text, put it in quotes: {text:?}"
                ),
            };
            self.problems.add(mark.line(), path, message);
        }
    }

    fn decorations(&mut self, path: &str, anchor: usize, tag: Option<&Tag>, mark: &Marker) {
        if anchor != 0 {
            self.give_up(
                mark,
                path,
                "anchors are not supported; write the value out each time",
            );
        }
        if let Some(tag) = tag {
            let tag = quote(&format!("{}{}", tag.handle, tag.suffix));
            self.give_up(mark, path, format!("tags are not supported; remove {tag}"));
        }
    }

    /// A problem after which no tree is built.
    fn give_up(&mut self, mark: &Marker, path: &str, message: impl Into<String>) {
        self.sound = false;
        self.problems.add(mark.line(), path, message);
    }
}
