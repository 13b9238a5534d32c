//! Values that write themselves in JSON otherwise than their fields would.
//!
//! Sources in k8s.io/apimachinery: pkg/apis/meta/v1/{time,micro_time}*.go, pkg/api/resource/quantity_proto.go,
//! pkg/util/intstr, pkg/runtime/extension.go.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use time::OffsetDateTime;

use super::budget::Budget;
use super::json;
use super::wire::{Fields, Payload, once};

/// Whether a time has a fraction of a second: in JSON that of a Time is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fraction {
    None,
    Micro,
}

/// 1 seconds since 1970, 2 nanoseconds; no bytes are no time.
pub fn time(message: &[u8], fraction: Fraction) -> Result<Value> {
    if message.is_empty() {
        return Ok(Value::Null);
    }
    let [seconds, nanos] = numbers(message)?;
    let at = OffsetDateTime::from_unix_timestamp(seconds.cast_signed());
    let at = at.ok().filter(|at| (0..=9999).contains(&at.year()));
    let at = at.context("the time is not between the years 0 and 9999")?;
    if at.unix_timestamp() == GO_ZERO && (nanos == 0 || fraction == Fraction::None) {
        return Ok(Value::Null);
    }
    let (date, hour, minute, second) = (at.date(), at.hour(), at.minute(), at.second());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let fraction = match fraction {
        Fraction::None => String::new(),
        Fraction::Micro => {
            ensure!(
                nanos < 1_000_000_000,
                "the time has more than a second of nanoseconds"
            );
            format!(".{:06}", nanos / 1000)
        }
    };
    Ok(
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
            .into(),
    )
}

/// Go's zero time, the beginning of the year 1, in seconds since 1970; JSON has it as null.
const GO_ZERO: i64 = -62_135_596_800;

/// The fields 1 and 2, numbers.
fn numbers(message: &[u8]) -> Result<[u64; 2]> {
    let (mut first, mut second) = (None, None);
    let mut fields = Fields(message);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => once(&mut first, payload.number()?)?,
            2 => once(&mut second, payload.number()?)?,
            _ => bail!("a time has a field {number} that is not known"),
        }
    }
    Ok([first.unwrap_or_default(), second.unwrap_or_default()])
}

/// 1 the quantity as text, as it was normalised on writing.
pub fn quantity(message: &[u8]) -> Result<Value> {
    let text = alone(message)?.map(Payload::text).transpose()?;
    ensure!(text != Some(""), "a quantity is empty");
    Ok(text.unwrap_or("0").into())
}

/// 1 which it is, 2 the number, 3 the text.
pub fn int_or_string(message: &[u8]) -> Result<Value> {
    let (mut which, mut number, mut text) = (None, None, None);
    let mut fields = Fields(message);
    while let Some((field, payload)) = fields.next()? {
        match field {
            1 => once(&mut which, payload.number()?)?,
            2 => once(&mut number, int32(payload.number()?)?)?,
            3 => once(&mut text, payload.text()?)?,
            _ => bail!("a number or text has a field {field} that is not known"),
        }
    }
    match which.unwrap_or_default() {
        0 => Ok(number.unwrap_or_default().into()),
        1 => Ok(text.unwrap_or_default().into()),
        other => bail!("neither a number nor a text but a {other}"),
    }
}

/// 1 the JSON text.
pub fn embedded(message: &[u8], budget: &mut Budget) -> Result<Value> {
    match alone(message)?.map(Payload::bytes).transpose()? {
        None | Some([]) => Ok(Value::Null),
        Some(text) => json(text, budget),
    }
}

/// Field 1 of a message that has no other.
fn alone(message: &[u8]) -> Result<Option<Payload<'_>>> {
    let mut only = None;
    let mut fields = Fields(message);
    while let Some((number, payload)) = fields.next()? {
        ensure!(number == 1, "a field {number} that is not known");
        once(&mut only, payload)?;
    }
    Ok(only)
}

/// A number of 32 bits, which stands on the wire as one of 64.
pub fn int32(number: u64) -> Result<i32> {
    i32::try_from(number.cast_signed()).context("the number has more than 32 bits")
}
