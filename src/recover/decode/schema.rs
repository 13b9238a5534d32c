//! The table of messages: schema.txt, read once.
//!
//! Lines that begin with `=` name the kinds; a line of one word begins a message; what follows are its fields,
//! `NUMBER NAME TYPE`. The name is JSON's; `?` behind it means that an empty one is left out, `!` that a zero time is
//! left out too, a name of `.` that the message's fields stand among its neighbours. Before the type `*` means that
//! absence differs from zero, `[]` a list, `{}` a map with text as keys.
//!
//! Text is smaller than Rust's constants would be, and a person can read the diff of a new Kubernetes.

use std::collections::HashMap;
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};

const TEXT: &str = include_str!("schema.txt");

static TABLE: LazyLock<Result<Schema, String>> =
    LazyLock::new(|| Schema::parse(TEXT).map_err(|error| format!("{error:#}")));

/// All messages.
#[derive(Debug)]
pub struct Schema {
    kinds: Vec<(&'static str, &'static str)>,
    names: HashMap<&'static str, usize>,
    messages: Vec<Message>,
}

/// The fields of one message, in the order of Go's struct.
#[derive(Debug, Default)]
pub struct Message {
    pub fields: Vec<Field>,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub number: u32,
    /// In JSON.
    pub name: &'static str,
    pub omits: Omits,
    pub shape: Shape,
    pub class: Class,
}

/// When JSON has no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omits {
    Never,
    Empty,
    Zero,
}

/// How often its value can be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Always; not on the wire is zero.
    Plain,
    /// Once or not at all.
    Pointer,
    List,
    Map,
    /// Always, and its fields are its owner's.
    Inline,
}

/// What its value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Text,
    Int32,
    Int64,
    Bool,
    /// base64 in JSON.
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// JSON within protobuf.
    Json,
    /// By its number in the table.
    Message(usize),
}

impl Schema {
    /// The table of this build.
    pub fn get() -> Result<&'static Schema> {
        TABLE.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// The kinds that can be read: apiVersion and kind.
    pub fn kinds(&self) -> &[(&'static str, &'static str)] {
        &self.kinds
    }

    /// The message of a kind.
    pub fn kind(&self, api_version: &str, kind: &str) -> Result<&Message> {
        let known = self.kinds().contains(&(api_version, kind));
        ensure!(
            known,
            "its kind is {kind} of {api_version}, none of those that are read from protobuf"
        );
        let index = self.names.get(kind);
        self.message(*index.with_context(|| format!("no message {kind}"))?)
    }

    /// A message by its number.
    pub fn message(&self, index: usize) -> Result<&Message> {
        self.messages
            .get(index)
            .context("the table has no such message")
    }

    fn parse(text: &'static str) -> Result<Schema> {
        let lines = || {
            text.lines()
                .enumerate()
                .filter(|(_, line)| !line.starts_with('#'))
        };
        let heads = lines().filter(|(_, line)| !line.contains(' '));
        let names: HashMap<_, _> = heads
            .enumerate()
            .map(|(at, (_, name))| (name, at))
            .collect();
        let mut schema = Schema {
            kinds: Vec::new(),
            names,
            messages: Vec::new(),
        };
        for (number, line) in lines() {
            schema
                .line(line)
                .with_context(|| format!("schema.txt, line {}: {line}", number + 1))?;
        }
        ensure!(
            schema.names.len() == schema.messages.len(),
            "a message is there twice"
        );
        Ok(schema)
    }

    fn line(&mut self, line: &'static str) -> Result<()> {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("="), Some(api_version), Some(kind), None) => {
                self.kinds.push((api_version, kind))
            }
            (Some(number), Some(name), Some(of), None) => {
                let field = self.field(number.parse()?, name, of)?;
                let message = self.messages.last_mut().context("no message has begun")?;
                message.fields.push(field);
            }
            (Some(_), None, None, None) => self.messages.push(Message::default()),
            _ => anyhow::bail!("too few words, or too many"),
        }
        Ok(())
    }

    fn field(&self, number: u32, name: &'static str, of: &str) -> Result<Field> {
        let (name, omits) = match (name.strip_suffix('?'), name.strip_suffix('!')) {
            (Some(name), _) => (name, Omits::Empty),
            (_, Some(name)) => (name, Omits::Zero),
            _ => (name, Omits::Never),
        };
        let shapes = [
            ("*", Shape::Pointer),
            ("[]", Shape::List),
            ("{}", Shape::Map),
        ];
        let found = shapes
            .iter()
            .find_map(|(mark, shape)| Some((*shape, of.strip_prefix(mark)?)));
        let (shape, class) = match found {
            None if name == "." => (Shape::Inline, of),
            other => other.unwrap_or((Shape::Plain, of)),
        };
        let class = self.class(class)?;
        Ok(Field {
            number,
            name,
            omits,
            shape,
            class,
        })
    }

    fn class(&self, name: &str) -> Result<Class> {
        Ok(match name {
            "string" => Class::Text,
            "int32" => Class::Int32,
            "int64" => Class::Int64,
            "bool" => Class::Bool,
            "bytes" => Class::Bytes,
            "Time" => Class::Time,
            "MicroTime" => Class::MicroTime,
            "Quantity" => Class::Quantity,
            "IntOrString" => Class::IntOrString,
            "JSON" => Class::Json,
            name => Class::Message(
                *self
                    .names
                    .get(name)
                    .with_context(|| format!("no type {name}"))?,
            ),
        })
    }
}
