//! Protobuf to JSON, as the table describes it.
//!
//! Go writes every plain field, zero or not; what JSON leaves out is decided by the type's tags alone. So a message
//! is first read into a value for each of its fields, and then put together field by field, also those that were not
//! on the wire: `status: {}` of a DaemonSet has numbers that must be there.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Decoded;
use super::budget::Budget;
use super::envelope::Sealed;
use super::schema::{Class, Field, Message, Omits, Schema, Shape};
use super::special::{self, Fraction};
use super::wire::{Fields, Payload, once};

/// Messages within messages at most; no kind has half as many.
const DEEPEST: usize = 32;
/// Unknown fields that are named; a newer version adds a few, damage any number.
const NAMED: usize = 64;

/// The object in an envelope.
pub fn object(sealed: &Sealed<'_>) -> Result<Decoded> {
    let schema = Schema::get()?;
    let message = schema.kind(sealed.api_version, sealed.kind)?;
    let mut decoder = Decoder {
        schema,
        budget: Budget::default(),
        path: Vec::new(),
        unknown: BTreeSet::new(),
    };
    let read = decoder.message(message, sealed.raw);
    let mut object =
        read.with_context(|| format!("the {} is damaged at {:?}", sealed.kind, decoder.here()))?;
    object.insert("apiVersion".to_owned(), sealed.api_version.into());
    object.insert("kind".to_owned(), sealed.kind.into());
    Ok(Decoded {
        object: object.into(),
        unknown: decoder.unknown.into_iter().collect(),
    })
}

struct Decoder {
    schema: &'static Schema,
    budget: Budget,
    /// Where it is; after an error, where that was.
    path: Vec<&'static str>,
    unknown: BTreeSet<String>,
}

impl Decoder {
    /// A message that is on the wire.
    fn message(&mut self, message: &Message, bytes: &[u8]) -> Result<Map<String, Value>> {
        let mut values: Vec<Option<Value>> = vec![None; message.fields.len()];
        let mut rest = Fields(bytes);
        while let Some((number, payload)) = rest.next()? {
            let known = message.fields.iter().zip(&mut values);
            match known.into_iter().find(|(field, _)| field.number == number) {
                Some((field, place)) => {
                    self.path.push(field.name);
                    self.field(field, payload, place)?;
                    self.path.pop();
                }
                None => self.not_known(number)?,
            }
        }
        self.put_together(message, values)
    }

    fn here(&self) -> String {
        let names = self.path.iter().copied().filter(|name| *name != ".");
        names.collect::<Vec<_>>().join(".")
    }

    fn not_known(&mut self, number: u32) -> Result<()> {
        self.unknown
            .insert(format!("{}: field {number}", self.here()));
        ensure!(
            self.unknown.len() <= NAMED,
            "more than {NAMED} fields that are not known"
        );
        Ok(())
    }

    /// Takes a field's payload; lists and maps come an entry at a time.
    fn field(
        &mut self,
        field: &Field,
        payload: Payload<'_>,
        place: &mut Option<Value>,
    ) -> Result<()> {
        match field.shape {
            Shape::Plain | Shape::Pointer | Shape::Inline => {
                let value = self.value(field.class, payload)?;
                once(place, value)
            }
            Shape::List => match place.get_or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(list) => self.item(field.class, payload, list),
                _ => bail!("not a list"),
            },
            Shape::Map => match place.get_or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(map) => self.entry(field.class, payload, map),
                _ => bail!("not a map"),
            },
        }
    }

    /// An item of a list, or of numbers all of them.
    fn item(&mut self, class: Class, payload: Payload<'_>, list: &mut Vec<Value>) -> Result<()> {
        if let (Class::Int32 | Class::Int64 | Class::Bool, Payload::Bytes(packed)) =
            (class, payload)
        {
            let mut numbers = Fields(packed);
            while !numbers.0.is_empty() {
                let number = Payload::Varint(numbers.varint()?);
                list.push(self.value(class, number)?);
            }
            return Ok(());
        }
        list.push(self.value(class, payload)?);
        Ok(())
    }

    /// An entry of a map: 1 the key, 2 the value.
    fn entry(
        &mut self,
        class: Class,
        payload: Payload<'_>,
        map: &mut Map<String, Value>,
    ) -> Result<()> {
        let (mut key, mut value) = (None, None);
        let mut fields = Fields(payload.bytes()?);
        while let Some((number, payload)) = fields.next()? {
            match number {
                1 => once(&mut key, payload.text()?)?,
                2 => once(&mut value, self.value(class, payload)?)?,
                _ => bail!("an entry of a map has a field {number}"),
            }
        }
        let value = match value {
            Some(value) => value,
            // An entry is there or not: its bytes are empty, not absent.
            None if class == Class::Bytes => "".into(),
            None => self.zero(class)?,
        };
        if map.is_empty() {
            self.budget.take_map()?;
        }
        let before = map.insert(key.unwrap_or_default().to_owned(), value);
        ensure!(before.is_none(), "a map has a key twice");
        Ok(())
    }

    fn value(&mut self, class: Class, payload: Payload<'_>) -> Result<Value> {
        self.budget.take_value()?;
        Ok(match class {
            Class::Text => payload.text()?.into(),
            Class::Int32 => special::int32(payload.number()?)?.into(),
            Class::Int64 => payload.number()?.cast_signed().into(),
            Class::Bool => (payload.number()? != 0).into(),
            Class::Bytes => STANDARD.encode(payload.bytes()?).into(),
            Class::Time => special::time(payload.bytes()?, Fraction::None)?,
            Class::MicroTime => special::time(payload.bytes()?, Fraction::Micro)?,
            Class::Quantity => special::quantity(payload.bytes()?)?,
            Class::IntOrString => special::int_or_string(payload.bytes()?)?,
            Class::Json => special::embedded(payload.bytes()?, &mut self.budget)?,
            Class::Message(index) => {
                ensure!(
                    self.path.len() < DEEPEST,
                    "too many messages within messages"
                );
                let message = self.schema.message(index)?;
                self.message(message, payload.bytes()?)?.into()
            }
        })
    }

    /// What Go has for a value that was not on the wire.
    fn zero(&mut self, class: Class) -> Result<Value> {
        self.budget.take_value()?;
        Ok(match class {
            Class::Text => "".into(),
            Class::Int32 | Class::Int64 | Class::IntOrString => 0.into(),
            Class::Bool => false.into(),
            Class::Quantity => "0".into(),
            Class::Bytes | Class::Time | Class::MicroTime | Class::Json => Value::Null,
            Class::Message(index) => {
                let message = self.schema.message(index)?;
                let values = vec![None; message.fields.len()];
                self.put_together(message, values)?.into()
            }
        })
    }

    /// The object of a message, without what JSON leaves out.
    fn put_together(
        &mut self,
        message: &Message,
        values: Vec<Option<Value>>,
    ) -> Result<Map<String, Value>> {
        self.budget.take_map()?;
        let mut object = Map::new();
        for (field, value) in message.fields.iter().zip(values) {
            let present = value.is_some();
            let value = match (value, field.shape) {
                (Some(value), _) => value,
                (None, Shape::Plain | Shape::Inline) => self.zero(field.class)?,
                (None, Shape::Pointer | Shape::List | Shape::Map) => Value::Null,
            };
            match value {
                Value::Object(inner) if field.shape == Shape::Inline => object.extend(inner),
                value if is_left_out(field, &value, present) => {}
                value => {
                    object.insert(field.name.to_owned(), value);
                }
            }
        }
        Ok(object)
    }
}

/// encoding/json's omitempty and omitzero.
fn is_left_out(field: &Field, value: &Value, present: bool) -> bool {
    match (field.omits, field.shape) {
        (Omits::Never, _) => false,
        (Omits::Zero, _) => value.is_null(),
        (Omits::Empty, Shape::Pointer | Shape::List | Shape::Map) => !present,
        // A struct is never empty, not even a time that is null.
        (Omits::Empty, _) => match (field.class, value) {
            (Class::Text | Class::Bytes, Value::String(text)) => text.is_empty(),
            (Class::Bytes, Value::Null) => true,
            (Class::Int32 | Class::Int64, Value::Number(number)) => number.as_i64() == Some(0),
            (Class::Bool, Value::Bool(set)) => !set,
            _ => false,
        },
    }
}
