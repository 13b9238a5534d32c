//! Objects with every field that the table has, as no person would write them.
//!
//! They are put into etcd past the API server, which reads them without validating: so its answer judges every
//! number, name and rule of the table. Written by the harness's own reading of the table and its own encoder.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

/// The table, as lines of words.
pub struct Table<'a> {
    pub kinds: Vec<(&'a str, &'a str)>,
    messages: BTreeMap<&'a str, Vec<(u64, &'a str, &'a str)>>,
}

/// Fields that an API server makes agree with others, so that what it stores has always that value.
const AGREE: [(&str, &str); 3] = [
    ("serviceAccount", "serviceAccountName"),
    ("podCIDRs", "podCIDR"),
    ("podIP", "ip"),
];

/// What a field is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// A value of its own.
    Values,
    /// Zero, on the wire all the same, as Go writes it; lists have one of it.
    Zeros,
    /// Nothing.
    Nothing,
}

impl<'a> Table<'a> {
    pub fn read(text: &'a str) -> Result<Table<'a>> {
        let (mut kinds, mut messages) = (Vec::new(), BTreeMap::new());
        let mut last = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match *line.split(' ').collect::<Vec<_>>() {
                ["=", api_version, kind] => kinds.push((api_version, kind)),
                [number, name, of] => {
                    let fields: &mut Vec<_> = messages.entry(last).or_default();
                    fields.push((number.parse()?, name.trim_end_matches(['?', '!']), of));
                }
                [message] => last = message,
                _ => anyhow::bail!("{line}?"),
            }
        }
        Ok(Table { kinds, messages })
    }

    /// An object as it is stored, of that name and namespace.
    pub fn object(&self, kind: (&str, &str), meta: (&str, &str), fill: Fill) -> Result<Vec<u8>> {
        let mut raw = Vec::new();
        for (number, name, of) in self.fields(kind.1)? {
            if *name == "metadata" {
                let mut named = [bytes(1, meta.0.as_bytes()), bytes(3, meta.1.as_bytes())].concat();
                for (number, name, of) in self.fields("ObjectMeta")? {
                    // What the API server sets itself, and the names.
                    if !matches!(*name, "name" | "namespace" | "resourceVersion") {
                        named.extend(self.field(*number, name, of, fill)?);
                    }
                }
                raw.extend(bytes(*number, &named));
            } else {
                raw.extend(self.field(*number, name, of, fill)?);
            }
        }
        let types = [bytes(1, kind.0.as_bytes()), bytes(2, kind.1.as_bytes())].concat();
        let envelope = [
            bytes(1, &types),
            bytes(2, &raw),
            bytes(3, b""),
            bytes(4, b""),
        ];
        Ok([b"k8s\0".as_slice(), &envelope.concat()].concat())
    }

    fn fields(&self, message: &str) -> Result<&[(u64, &'a str, &'a str)]> {
        let fields = self.messages.get(message);
        fields
            .map(Vec::as_slice)
            .with_context(|| format!("no message {message}"))
    }

    fn message(&self, message: &str, fill: Fill) -> Result<Vec<u8>> {
        let fields = self
            .fields(message)
            .or_else(|_| Ok::<_, anyhow::Error>(&[]))?
            .iter();
        let fields = fields.map(|(number, name, of)| self.field(*number, name, of, fill));
        Ok(fields.collect::<Result<Vec<_>>>()?.concat())
    }

    fn field(&self, number: u64, name: &str, of: &str, fill: Fill) -> Result<Vec<u8>> {
        // Nobody stores stringData: it is part of `data` by then.
        if fill == Fill::Nothing || name == "stringData" {
            return Ok(Vec::new());
        }
        if let Some(of) = of.strip_prefix("{}") {
            let entry = [bytes(1, b"key"), self.value(2, name, of, fill)?].concat();
            // One key for all maps: the API server adds to a container's requests what only its limits have.
            let empty = [bytes(1, b""), self.value(2, "", of, Fill::Zeros)?].concat();
            return Ok([bytes(number, &entry), bytes(number, &empty)].concat());
        }
        if let Some(of) = of.strip_prefix("[]") {
            let one = self.value(number, name, of, fill)?;
            return Ok(if fill == Fill::Values {
                [one.clone(), one].concat()
            } else {
                one
            });
        }
        self.value(number, name, of.trim_start_matches('*'), fill)
    }

    fn value(&self, number: u64, name: &str, of: &str, fill: Fill) -> Result<Vec<u8>> {
        let full = fill == Fill::Values;
        let n = if full { number + 1 } else { 0 };
        Ok(match of {
            "string" => {
                let agreed = AGREE.iter().find(|(this, _)| *this == name);
                let text = agreed.map_or(name, |(_, other)| other);
                bytes(number, if full { text.as_bytes() } else { b"" })
            }
            "bytes" => bytes(number, if full { b"\x00\xff\x01" } else { b"" }),
            "int32" | "int64" => varint(number, 1000 * n),
            "bool" => varint(number, u64::from(full)),
            "Time" if full => bytes(
                number,
                &[varint(1, 1_000_000_000 + n), varint(2, 0)].concat(),
            ),
            "MicroTime" if full => bytes(
                number,
                &[varint(1, 1_000_000_000 + n), varint(2, 5_000)].concat(),
            ),
            "Time" | "MicroTime" => bytes(number, b""),
            "Quantity" => bytes(number, &bytes(1, n.to_string().as_bytes())),
            "IntOrString" => {
                let text = if full { b"25%".as_slice() } else { b"" };
                let which = u64::from(full && number % 2 == 1);
                bytes(
                    number,
                    &[varint(1, which), varint(2, n), bytes(3, text)].concat(),
                )
            }
            "JSON" if full => bytes(number, &bytes(1, br#"{"f:spec":{"x":[1,"<"]}}"#)),
            "JSON" => bytes(number, b""),
            message => bytes(number, &self.message(message, fill)?),
        })
    }
}

fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    put(&mut field, number << 3 | 2);
    put(&mut field, content.len() as u64);
    field.extend(content);
    field
}

fn varint(number: u64, value: u64) -> Vec<u8> {
    let mut field = Vec::new();
    put(&mut field, number << 3);
    put(&mut field, value);
    field
}

fn put(field: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        field.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    field.push(value as u8);
}
