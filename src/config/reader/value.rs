//! What a value is, in words, and what it should have been.

use serde_json::Value;

use crate::config::problem::quote;

/// More names than this are no help in a message.
const MAX_LISTED: usize = 30;
/// What a section is.
pub const A_MAPPING: &str = "a mapping of keys";

/// One of several words.
pub fn choice<T: Copy>(text: &str, of: &[(&str, T)]) -> Result<T, String> {
    let found = of.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = of.iter().map(|(word, _)| *word).collect();
        format!("{} is not one of {}", quote(text), words.join(", "))
    })
}

/// A text that passes `check`. Of a number or truth value, what is wrong with it as a text is said
/// first: quotes alone would not help.
pub fn text<T>(value: &Value, check: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    match value {
        Value::String(text) => check(text),
        Value::Number(_) | Value::Bool(_) => check(&value.to_string())
            .and_then(|_| Err(format!("{}; put it in quotes", wrong_type(value, "text")))),
        _ => Err(wrong_type(value, "text")),
    }
}

/// What is wrong with a value that is no whole number.
pub fn no_number(value: &Value) -> String {
    let quoted = value
        .as_str()
        .is_some_and(|text| text.parse::<i64>().is_ok());
    let hint = if quoted { "; remove the quotes" } else { "" };
    format!("{}{hint}", wrong_type(value, "a whole number"))
}

/// What a value is instead of what it must be.
pub fn wrong_type(value: &Value, wanted: &str) -> String {
    let is = match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => A_MAPPING,
    };
    format!("is {is}, must be {wanted}")
}

/// What is wrong with a key that is none of those known.
pub fn unknown_key(key: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|known| (distance(&key.to_lowercase(), &known.to_lowercase()), *known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min();
    match near {
        Some((_, near)) => format!("unknown key {}; did you mean {near}?", quote(key)),
        None if known.len() > MAX_LISTED => {
            format!(
                "unknown key {}; nothing of a like name is known here",
                quote(key)
            )
        }
        None => format!(
            "unknown key {}; known here: {}",
            quote(key),
            known.join(", ")
        ),
    }
}

/// How many characters must be inserted, removed or replaced to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, want) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("podcdr", "podcidr", 1),
            ("a", "xyz", 3),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn near_names_are_offered_and_far_ones_listed() {
        let known = ["podCIDR", "serviceCIDR"];
        assert!(unknown_key("podcidr", &known).ends_with("did you mean podCIDR?"));
        assert!(unknown_key("podCDIR", &known).ends_with("did you mean podCIDR?"));
        assert!(unknown_key("subnet", &known).ends_with("known here: podCIDR, serviceCIDR"));
    }
}
