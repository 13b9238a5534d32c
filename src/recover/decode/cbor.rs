//! CBOR as Kubernetes writes it for custom resources, with its gate CBORServingAndStorage.
//!
//! The same tree as JSON's, with these peculiarities (k8s.io/apimachinery, pkg/runtime/serializer/cbor/internal/modes):
//! text and keys are byte strings; bytes that JSON has as base64 bear the tag 22; a number with a fraction is as short
//! as its value allows. What its encoder never writes is refused: lengths that are not told, other tags, other simple
//! values, integers beyond 64 bits with a sign.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minicbor::data::Type;
use minicbor::decode::Decoder;
use serde_json::{Map, Number, Value};

use super::budget::Budget;

/// Maps and lists within each other at most: as many as serde_json takes.
const DEEPEST: usize = 128;
/// "Expected later encoding base64" (RFC 8949, 3.4.5.2).
const BASE64: u64 = 22;
/// What every error of the encoding means.
const BROKEN: &str = "the CBOR is cut short or damaged";

/// The one value that follows the magic tag.
pub fn value(bytes: &[u8], budget: &mut Budget) -> Result<Value> {
    let mut reader = Reader {
        decoder: Decoder::new(bytes),
        budget,
    };
    let value = reader.value(0)?;
    ensure!(
        reader.decoder.position() == bytes.len(),
        "something follows the CBOR value"
    );
    Ok(value)
}

struct Reader<'a, 'b> {
    decoder: Decoder<'a>,
    budget: &'b mut Budget,
}

impl<'a> Reader<'a, '_> {
    fn value(&mut self, depth: usize) -> Result<Value> {
        ensure!(
            depth < DEEPEST,
            "more than {DEEPEST} maps and lists are within each other"
        );
        self.budget.take_value()?;
        Ok(match self.decoder.datatype().context(BROKEN)? {
            Type::Null => {
                self.decoder.null().context(BROKEN)?;
                Value::Null
            }
            Type::Bool => self.decoder.bool().context(BROKEN)?.into(),
            Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::I8
            | Type::I16
            | Type::I32
            | Type::I64 => {
                let number = self.decoder.i64();
                number
                    .ok()
                    .context("a number has more than 64 bits with its sign")?
                    .into()
            }
            Type::F16 => number(self.half()?)?,
            Type::F32 => number(self.decoder.f32().context(BROKEN)?.into())?,
            Type::F64 => number(self.decoder.f64().context(BROKEN)?)?,
            Type::Bytes | Type::String => self.text()?.into(),
            Type::Tag => self.tagged()?,
            Type::Array => self.list(depth)?,
            Type::Map => self.map(depth)?,
            other => bail!("the CBOR has a {other}, which Kubernetes does not write"),
        })
    }

    fn text(&mut self) -> Result<&'a str> {
        match self.decoder.datatype().context(BROKEN)? {
            Type::Bytes => {
                let bytes = self.decoder.bytes().context(BROKEN)?;
                std::str::from_utf8(bytes).context("the text is not UTF-8")
            }
            Type::String => self.decoder.str().context(BROKEN),
            other => bail!("the CBOR has a {other} where a text should be"),
        }
    }

    fn tagged(&mut self) -> Result<Value> {
        let tag = self.decoder.tag().context(BROKEN)?.as_u64();
        ensure!(
            tag == BASE64,
            "the CBOR has a tag {tag}, which Kubernetes does not write"
        );
        Ok(STANDARD
            .encode(self.decoder.bytes().context(BROKEN)?)
            .into())
    }

    fn list(&mut self, depth: usize) -> Result<Value> {
        let length = self.decoder.array().context(BROKEN)?.context(BROKEN)?;
        // As many as are there: the length is only what the bytes say.
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(self.value(depth + 1)?);
        }
        Ok(list.into())
    }

    fn map(&mut self, depth: usize) -> Result<Value> {
        let length = self.decoder.map().context(BROKEN)?.context(BROKEN)?;
        self.budget.take_map()?;
        let mut map = Map::new();
        for _ in 0..length {
            let key = self.text()?;
            let value = self.value(depth + 1)?;
            let before = map.insert(key.to_owned(), value);
            ensure!(before.is_none(), "a map has a key twice");
        }
        Ok(map.into())
    }

    /// A number of 16 bits: one of sign, five of exponent, ten of fraction. The standard library has none yet.
    fn half(&mut self) -> Result<f64> {
        let at = self.decoder.position();
        let bytes = self.decoder.input().get(at..at + 3).context(BROKEN)?;
        let [_, high, low] = <[u8; 3]>::try_from(bytes).context(BROKEN)?;
        self.decoder.set_position(at + 3);
        let bits = u16::from_be_bytes([high, low]);
        let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
        let size = match exponent {
            0 => fraction * f64::powi(2.0, -24),
            31 => f64::NAN,
            _ => (1024.0 + fraction) * f64::powi(2.0, exponent - 25),
        };
        Ok(if bits >> 15 == 0 { size } else { -size })
    }
}

/// As Go writes it in JSON: a whole number has no point, whatever its type was.
fn number(number: f64) -> Result<Value> {
    let text = number.to_string();
    let whole = number.fract() == 0.0
        && number.abs() < 1e21
        && (number != 0.0 || number.is_sign_positive());
    if let (true, Ok(whole)) = (whole, text.parse::<Number>()) {
        return Ok(Value::Number(whole));
    }
    let number = Number::from_f64(number).context("a number is not finite")?;
    Ok(Value::Number(number))
}

#[cfg(test)]
mod tests;
