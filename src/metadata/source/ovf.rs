//! The OVF environment: XML by which a hypervisor tells a guest its properties (DMTF DSP0243, §9),
//! and Azure its provisioning data (`ovf-env.xml`, MS-OVFEnv).
//!
//! It is read as a stream, because no tree of it is needed and none then takes memory. Elements are
//! known by their local names, since every vendor binds another prefix. A document type is refused:
//! entities of a document's own are how a small text becomes a large one. Properties are taken out by
//! cutting the text where they begin and end: what writes events again would also have to keep quotes,
//! spaces and empty elements of what is others'.

use anyhow::{Context as _, Result, anyhow};
use quick_xml::Reader;
use quick_xml::escape::{resolve_xml_entity, unescape};
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::MAX_BYTES;
use crate::exit::{Exit, WithExit};
use crate::metadata::base64;

/// Both environments stop at four.
const MAX_DEPTH: usize = 16;
/// Attributes of one element that are looked at.
const MAX_ATTRIBUTES: usize = 64;

/// The bytes of Azure's `CustomData`, which is base64; `None` if it is missing or empty.
///
/// # Errors
/// [`Exit::Invalid`] if it is not XML, has a document type, or holds something else than base64.
pub fn custom_data(xml: &[u8]) -> Result<Option<Vec<u8>>> {
    let text = find_custom_data(xml).exit(Exit::Invalid)?;
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    base64::lenient(text.as_bytes())
        .context("CustomData of the OVF environment is not base64")
        .exit(Exit::Invalid)
        .map(Some)
}

/// The value of the property `key` of this machine; those of its siblings (`Entity`) do not count.
/// `None` if there is no such property.
///
/// # Errors
/// [`Exit::Invalid`] if it is not XML or has a document type.
pub fn property(xml: &[u8], key: &str) -> Result<Option<String>> {
    find_property(xml, key).exit(Exit::Invalid)
}

/// The environment without all properties of these keys that [`property`] could find, `None` if there
/// are none. Nothing else changes, not even the spaces around them.
///
/// # Errors
/// As [`property`], but to the end of the environment.
pub fn without(xml: &[u8], keys: &[&str]) -> Result<Option<String>> {
    cut_properties(xml, keys).exit(Exit::Invalid)
}

fn find_custom_data(xml: &[u8]) -> Result<String> {
    let mut walk = Walk::new(xml)?;
    let (mut text, mut inside) = (String::new(), false);
    loop {
        match walk.next()? {
            Event::Eof => return Ok(text),
            Event::Start(_) if inside => {
                return Err(anyhow!("CustomData of the OVF environment holds elements"));
            }
            Event::Start(start) => inside = start.local_name().as_ref() == "CustomData",
            Event::End(_) if inside => return Ok(text),
            Event::Text(part) if inside => text.push_str(&part),
            Event::CData(part) if inside => text.push_str(&part),
            Event::GeneralRef(part) if inside => text.push_str(&resolve(&part)?),
            _ => {}
        }
    }
}

fn find_property(xml: &[u8], key: &str) -> Result<Option<String>> {
    let mut walk = Walk::new(xml)?;
    loop {
        let start = match walk.next()? {
            Event::Eof => return Ok(None),
            Event::Start(start) if walk.at_property() => start,
            _ => continue,
        };
        if attribute(&start, "key")?.as_deref() == Some(key) {
            return Ok(Some(attribute(&start, "value")?.unwrap_or_default()));
        }
    }
}

fn cut_properties(xml: &[u8], keys: &[&str]) -> Result<Option<String>> {
    let mut walk = Walk::new(xml)?;
    let (mut rest, mut copied) = (String::new(), 0);
    loop {
        let begin = walk.position();
        let start = match walk.next()? {
            Event::Eof => break,
            Event::Start(start) if walk.at_property() => start,
            _ => continue,
        };
        if attribute(&start, "key")?.is_some_and(|key| keys.contains(&&*key)) {
            walk.leave()?;
            rest.push_str(walk.between(copied, begin));
            copied = walk.position();
        }
    }
    if copied == 0 {
        return Ok(None);
    }
    rest.push_str(walk.between(copied, walk.text.len()));
    Ok(Some(rest))
}

/// A walk through a document that knows which elements it is in.
struct Walk<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// The local names of the open elements.
    path: Vec<String>,
}

impl<'a> Walk<'a> {
    fn new(xml: &'a [u8]) -> Result<Self> {
        if xml.len() as u64 > MAX_BYTES {
            let max = MAX_BYTES / 1024;
            return Err(anyhow!("the OVF environment has more than {max} KiB"));
        }
        let text = std::str::from_utf8(xml)
            .map_err(|_| anyhow!("the OVF environment is not UTF-8 text"))?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        reader.config_mut().expand_empty_elements = true;
        Ok(Self {
            text,
            reader,
            path: Vec::new(),
        })
    }

    /// The next event; an empty element has a start and an end.
    fn next(&mut self) -> Result<Event<'a>> {
        // What the reader says of an error may repeat the document.
        let event = self.reader.read_event().map_err(|_| {
            let at = self.reader.error_position();
            anyhow!("the OVF environment is not XML (byte {at})")
        })?;
        match &event {
            Event::Start(_) if self.path.len() == MAX_DEPTH => {
                return Err(anyhow!(
                    "the OVF environment is nested more than {MAX_DEPTH} levels deep"
                ));
            }
            Event::Start(start) => self.path.push(start.local_name().as_ref().to_owned()),
            Event::End(_) => drop(self.path.pop()),
            Event::DocType(_) => {
                return Err(anyhow!(
                    "the OVF environment has a document type, which is not supported"
                ));
            }
            Event::Eof if !self.path.is_empty() => {
                return Err(anyhow!("the OVF environment breaks off"));
            }
            _ => {}
        }
        Ok(event)
    }

    /// Walks to the end of the element that has just begun.
    fn leave(&mut self) -> Result<()> {
        let outside = self.path.len().saturating_sub(1);
        while self.path.len() > outside {
            self.next()?;
        }
        Ok(())
    }

    /// Bytes of the text before what the next event is about. The reader's own count leaves out the
    /// byte order mark.
    fn position(&self) -> usize {
        let left = self.reader.get_ref().len();
        self.text.len().saturating_sub(left)
    }

    /// The text between two positions.
    fn between(&self, begin: usize, end: usize) -> &'a str {
        self.text.get(begin..end).unwrap_or_default()
    }

    /// Whether the element that has just begun is a property of this machine: the environment's own
    /// section, not one inside an `Entity`.
    fn at_property(&self) -> bool {
        matches!(&*self.path, [_, section, property] if section == "PropertySection" && property == "Property")
    }
}

/// An attribute by its local name. Line breaks in it stay what they are, although XML would make them
/// spaces: some hypervisors write a document so.
fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    let mut attributes = start.attributes();
    // The check for duplicates takes time that grows with their square.
    let attributes = attributes.with_checks(false).take(MAX_ATTRIBUTES).flatten();
    for attribute in attributes {
        if attribute.key.local_name().as_ref() == name {
            let value = unescape(&attribute.value).map_err(|_| unknown_entity())?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

fn resolve(reference: &BytesRef<'_>) -> Result<String> {
    match reference.resolve_char_ref() {
        Ok(Some(c)) => Ok(c.to_string()),
        Ok(None) => resolve_xml_entity(reference)
            .map(str::to_owned)
            .ok_or_else(unknown_entity),
        Err(_) => Err(unknown_entity()),
    }
}

fn unknown_entity() -> anyhow::Error {
    anyhow!("the OVF environment has an entity that XML does not define by itself")
}

#[cfg(test)]
mod tests;
