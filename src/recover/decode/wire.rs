//! Protobuf's wire: numbered fields one after the other, and nothing that says what they mean.

use anyhow::{Context, Result, bail, ensure};
use prost::encoding::{self, DecodeContext, WireType};

/// The fields that are left of a message.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

/// What stands behind a field's number.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// A number or a bool.
    Varint(u64),
    /// Text, bytes, a message, or a packed list.
    Bytes(&'a [u8]),
    /// Nothing that Kubernetes writes; its length is known, so it can be passed over.
    Other,
}

impl<'a> Fields<'a> {
    /// The next field; `None` at the message's end.
    pub fn next(&mut self) -> Result<Option<(u32, Payload<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = encoding::decode_key(&mut self.0).context(BROKEN)?;
        let payload = match wire_type {
            WireType::Varint => Payload::Varint(self.varint()?),
            WireType::LengthDelimited => Payload::Bytes(self.bytes()?),
            other => {
                let context = DecodeContext::default();
                encoding::skip_field(other, number, &mut self.0, context).context(BROKEN)?;
                Payload::Other
            }
        };
        Ok(Some((number, payload)))
    }

    /// A number by itself, as in a packed list.
    pub fn varint(&mut self) -> Result<u64> {
        encoding::decode_varint(&mut self.0).context(BROKEN)
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.varint()?).context(BROKEN)?;
        let (bytes, rest) = self.0.split_at_checked(length).context(BROKEN)?;
        self.0 = rest;
        Ok(bytes)
    }
}

/// What every error of the wire means.
const BROKEN: &str = "the protobuf message is cut short or damaged";

impl<'a> Payload<'a> {
    /// Of a field that is a number.
    pub fn number(self) -> Result<u64> {
        match self {
            Payload::Varint(number) => Ok(number),
            _ => bail!("not a number on the wire"),
        }
    }

    /// Of a field that is not.
    pub fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Payload::Bytes(bytes) => Ok(bytes),
            _ => bail!("a number where text or a message should be"),
        }
    }

    /// Of a field that is text.
    pub fn text(self) -> Result<&'a str> {
        // The error's own words tell where, not what.
        std::str::from_utf8(self.bytes()?).context("the text is not UTF-8")
    }
}

/// Keeps a field that comes once. A second one would be another word on the same matter; no API server writes it.
pub fn once<T>(place: &mut Option<T>, value: T) -> Result<()> {
    ensure!(place.is_none(), "the field is there twice");
    *place = Some(value);
    Ok(())
}
