//! YAML events for a reader that knows what comes next.
//!
//! Anchors, aliases and tags are refused wherever they stand, also in what is skipped: a
//! reader that lets some through has to be right about which.

use std::rc::Rc;
use std::str::Chars;

use anyhow::{Error, Result};
use yaml_rust2::Event;
use yaml_rust2::parser::Parser;
use yaml_rust2::scanner::{Marker, TScalarStyle};

use super::at;
use super::meter::{Meter, Purse};
use crate::config::quote;

/// Collections within each other; cloud-init's own schema needs eight.
const MAX_DEPTH: usize = 32;
/// Longer keys are contents in the wrong place.
const MAX_KEY: usize = 128;

/// A scalar as it is written.
#[derive(Debug)]
pub struct Scalar {
    /// Its text.
    pub text: String,
    /// How it is written; plain is without quotes and not as a block.
    pub style: TScalarStyle,
}

impl Scalar {
    /// The text, unless it is null.
    pub fn text(self) -> Option<String> {
        (!is_null(&self.text, self.style)).then_some(self.text)
    }
}

/// Whether a scalar says that there is no value.
pub fn is_null(text: &str, style: TScalarStyle) -> bool {
    style == TScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Reads events one at a time.
pub struct Reader<'t> {
    parser: Parser<Meter<'t>>,
    purse: Rc<Purse>,
    /// The text from the character `index` on; follows the events' marks.
    rest: Chars<'t>,
    index: usize,
    line: usize,
    /// The open collections; true for one in brackets.
    open: Vec<bool>,
}

impl<'t> Reader<'t> {
    /// Reads `text`, to the first node.
    pub fn new(text: &'t str) -> Result<Self> {
        characters(text)?;
        let purse = Rc::new(Purse::default());
        let mut reader = Self {
            parser: Parser::new(Meter::new(text, Rc::clone(&purse))),
            purse,
            rest: text.chars(),
            index: 0,
            line: 1,
            open: Vec::new(),
        };
        reader.purse.fill();
        reader.pull()?;
        Ok(reader)
    }

    /// An error at the last event's line.
    pub fn error(&self, message: &str) -> Error {
        at(self.line, message)
    }

    /// The next event. At the end of the text it is the stream's.
    pub fn next(&mut self) -> Result<Event> {
        self.purse.fill();
        self.pull_content()
    }

    /// The next key of the open mapping, or `None` at its end.
    pub fn key(&mut self) -> Result<Option<String>> {
        self.purse.fill();
        let (event, mark) = self.pull()?;
        match event {
            Event::MappingEnd => {
                self.open.pop();
                Ok(None)
            }
            Event::Scalar(text, ..) if text.len() <= MAX_KEY => {
                self.announce(&text, &mark);
                Ok(Some(text))
            }
            _ => Err(self.error("a key must be a word, not a list, a mapping or a long text")),
        }
    }

    /// A value that must be a scalar.
    pub fn scalar(&mut self, key: &str) -> Result<Scalar> {
        match self.pull_content()? {
            Event::Scalar(text, style, ..) => Ok(Scalar { text, style }),
            _ => {
                let key = quote(key);
                Err(self.error(&format!("{key} must be text, not a list or mapping")))
            }
        }
    }

    /// Reads over one value.
    pub fn skip(&mut self) -> Result<()> {
        let depth = self.open.len();
        self.pull_content()?;
        while self.open.len() > depth {
            self.next()?;
        }
        Ok(())
    }

    /// Reads to the end, before which there must be nothing more.
    pub fn end(&mut self) -> Result<()> {
        loop {
            self.purse.fill();
            match self.pull()?.0 {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart => {
                    return Err(
                        self.error("a second document begins here; one is all there may be")
                    );
                }
                _ => {}
            }
        }
    }

    /// Lets a block scalar, which is one token however long, have what it needs. Only if the
    /// line says that nothing else can follow the key.
    fn announce(&mut self, key: &str, mark: &Marker) {
        let quotes = ['"', '\''];
        let line = self.seek(mark).lines().next().unwrap_or_default();
        let header = line
            .trim_start_matches(quotes)
            .strip_prefix(key)
            .and_then(|rest| {
                rest.trim_start_matches(quotes)
                    .trim_start()
                    .strip_prefix(':')
            })
            .map(str::trim)
            .and_then(|rest| rest.strip_prefix(['|', '>']));
        let indent = |c: char| c.is_ascii_digit() || c == '-' || c == '+';
        let block = header.is_some_and(|rest| rest.chars().all(indent));
        match block && !self.open.contains(&true) {
            true => self.purse.fill_for_scalar(),
            false => self.purse.fill(),
        }
    }

    /// The text from a mark on. Marks come in order; one that does not shows what is there anyway,
    /// which never is a key with its header.
    fn seek(&mut self, mark: &Marker) -> &'t str {
        if let Some(steps) = mark.index().checked_sub(self.index + 1) {
            self.rest.nth(steps);
            self.index = mark.index();
        }
        self.rest.as_str()
    }

    /// The next event that is not about where documents begin and end.
    fn pull_content(&mut self) -> Result<Event> {
        loop {
            let (event, mark) = self.pull()?;
            match event {
                Event::StreamStart | Event::DocumentStart | Event::DocumentEnd => {}
                Event::SequenceStart(..) | Event::MappingStart(..) => {
                    self.begin(&mark)?;
                    return Ok(event);
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    self.open.pop();
                    return Ok(event);
                }
                other => return Ok(other),
            }
        }
    }

    fn begin(&mut self, mark: &Marker) -> Result<()> {
        if self.open.len() == MAX_DEPTH {
            return Err(self.error(&format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
        let brackets = self.seek(mark).starts_with(['[', '{']);
        self.open.push(brackets);
        Ok(())
    }

    fn pull(&mut self) -> Result<(Event, Marker)> {
        let next = self.parser.next_token();
        if self.purse.was_empty() {
            let error = "too many brackets, commas and quotes in one value; write it as a block (|) \
                         or in base64 (encoding: b64)";
            return Err(self.error(error));
        }
        let (event, mark) = next.map_err(|error| {
            let line = error.marker().line();
            at(line, &format!("it is not YAML: {}", error.info()))
        })?;
        self.line = mark.line();
        self.plain(&event)?;
        Ok((event, mark))
    }

    fn plain(&self, event: &Event) -> Result<()> {
        let (anchor, tag) = match event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            Event::Alias(_) => (1, false),
            _ => return Ok(()),
        };
        if anchor != 0 {
            return Err(
                self.error("anchors and aliases are refused; write the value out each time")
            );
        }
        match tag {
            true => Err(self.error("tags are refused; for bytes, use encoding: b64 or gz+b64")),
            false => Ok(()),
        }
    }
}

/// Refuses what the parser would stop at silently, or remember without an end.
fn characters(text: &str) -> Result<()> {
    for (index, line) in text.split('\n').enumerate() {
        if line.starts_with('%') {
            return Err(at(
                index + 1,
                "YAML directives (%) are refused; leave the line out",
            ));
        }
        let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\r') || c == '\u{feff}';
        if let Some(odd) = line.chars().find(|c| odd(*c)) {
            let code = u32::from(odd);
            let next = "use encoding: b64 for such a file";
            let error = format!("the character U+{code:04X} must not stand in YAML; {next}");
            return Err(at(index + 1, &error));
        }
    }
    Ok(())
}
