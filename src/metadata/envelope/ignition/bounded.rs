//! Lists that end, values that are only noticed, and null as Go takes it.
//!
//! In a `Vec`, 4 MiB of `{},{},{}` become gigabytes before anything can object. A tree of JSON values
//! first would be no better.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A list of at most `MAX` items; null is an empty one.
#[derive(Debug)]
pub struct Bounded<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(List(PhantomData))
    }
}

struct List<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
    type Value = Bounded<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Bounded::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == MAX {
                return Err(A::Error::custom(format_args!(
                    "a list has more than {MAX} items"
                )));
            }
            list.push(item);
        }
        Ok(Bounded(list))
    }
}

/// Whether anything is in a section that is not read: a list with an item, a value that is not
/// null, or a mapping that leads to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noticed(pub bool);

impl<'de> Deserialize<'de> for Noticed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Notice)
    }
}

struct Notice;

impl<'de> Visitor<'de> for Notice {
    type Value = Noticed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Noticed, E> {
        Ok(Noticed(false))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Noticed, E> {
        Ok(Noticed(true))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Noticed, E> {
        Ok(Noticed(true))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Noticed, E> {
        Ok(Noticed(true))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Noticed, E> {
        Ok(Noticed(true))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Noticed, E> {
        Ok(Noticed(true))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Noticed, A::Error> {
        let mut any = false;
        while items.next_element::<serde::de::IgnoredAny>()?.is_some() {
            any = true;
        }
        Ok(Noticed(any))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Noticed, A::Error> {
        let mut any = false;
        while let Some((_, value)) = map.next_entry::<serde::de::IgnoredAny, Noticed>()? {
            any |= value.0;
        }
        Ok(Noticed(any))
    }
}

/// A value whose null is its default.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_end() {
        let read = |text| serde_json::from_str::<Bounded<u8, 2>>(text).map(|list| list.0);
        assert_eq!(read("[1, 2]").unwrap(), [1, 2]);
        assert_eq!(read("null").unwrap(), [0; 0]);
        let error = read("[1, 2, 3]").unwrap_err().to_string();
        assert!(error.contains("more than 2 items"), "{error}");
        assert!(read("{}").is_err());
    }

    #[test]
    fn what_is_noticed() {
        for (text, want) in [
            ("null", false),
            ("{}", false),
            ("[]", false),
            ("{\"users\": [], \"groups\": null, \"x\": {}}", false),
            ("{\"x\": {\"users\": [{}]}}", true),
            ("{\"httpTotal\": 0}", true),
            ("{\"httpProxy\": \"x\"}", true),
            ("[null]", true),
        ] {
            let got: Noticed = serde_json::from_str(text).unwrap();
            assert_eq!(got, Noticed(want), "{text}");
        }
    }
}
