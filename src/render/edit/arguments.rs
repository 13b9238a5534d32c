//! A component's further arguments: flags set, replaced and taken away in a container's list.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::config::machine::Arguments;

/// A flag with all words that give it, e.g. `--v=4`, or `-conf` and the file after it.
struct Flag {
    name: String,
    words: Vec<String>,
}

/// Changes the list; returns the names of the flags that were taken away.
pub fn apply<'a>(container: &mut Value, wanted: &'a Arguments) -> BTreeSet<&'a str> {
    let mut flags = split(&words(container));
    let mut gone = BTreeSet::new();
    for (name, values) in wanted {
        let before = flags.len();
        flags.retain(|flag| flag.name != *name);
        match values {
            None if flags.len() < before => drop(gone.insert(name.as_str())),
            None => {}
            Some(values) => flags.push(Flag {
                name: name.clone(),
                words: values
                    .iter()
                    .map(|value| format!("--{name}={value}"))
                    .collect(),
            }),
        }
    }
    // As whole words would be sorted; equal names keep their order. What is no flag stays in front.
    flags.sort_by_cached_key(|flag| match flag.name.as_str() {
        "" => String::new(),
        name => format!("{name}="),
    });
    let words: Vec<_> = flags.into_iter().flat_map(|flag| flag.words).collect();
    container["args"] = json!(words);
    gone
}

/// All values of a flag in a container's arguments; a switch without one has the empty value.
pub fn values(container: &Value, name: &str) -> Vec<String> {
    let flags = split(&words(container)).into_iter();
    flags
        .filter(|flag| flag.name == name)
        .filter_map(|flag| match flag.words.last() {
            Some(word) if word.starts_with('-') => Some(
                word.split_once('=')
                    .map_or("", |(_, value)| value)
                    .to_owned(),
            ),
            word => word.cloned(),
        })
        .collect()
}

/// The names of all flags in a container's arguments.
pub fn names(container: &Value) -> BTreeSet<String> {
    let flags = split(&words(container)).into_iter();
    flags.map(|flag| flag.name).collect()
}

fn words(container: &Value) -> Vec<String> {
    let words = container["args"].as_array().into_iter().flatten();
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn split(words: &[String]) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    for word in words {
        let name = word.trim_start_matches('-');
        let is_flag = name.len() < word.len();
        match flags.last_mut() {
            Some(flag) if !is_flag && flag.words.len() == 1 && is_open(&flag.words[0]) => {
                flag.words.push(word.clone());
            }
            _ => flags.push(Flag {
                name: match is_flag {
                    true => name.split('=').next().unwrap_or_default().to_owned(),
                    false => String::new(),
                },
                words: vec![word.clone()],
            }),
        }
    }
    flags
}

/// Whether the next word may be this one's value.
fn is_open(word: &str) -> bool {
    word.starts_with('-') && !word.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a=1 b= c!`: set, set empty, take away; a name given twice has both values.
    fn wanted(line: &str) -> Arguments {
        let mut wanted = Arguments::new();
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => {
                    let values = wanted.entry(name.to_owned()).or_insert(Some(Vec::new()));
                    values.as_mut().unwrap().push(value.to_owned());
                }
                None => drop(wanted.insert(word.trim_end_matches('!').to_owned(), None)),
            }
        }
        wanted
    }

    #[test]
    fn flags_are_set_replaced_and_taken_away() {
        let table = [
            ("--b=1 --c=2", "a=0", "--a=0 --b=1 --c=2"),
            ("--b=1 --c=2", "b=3 d=", "--b=3 --c=2 --d="),
            ("--b=1 --b=2 --c=2", "b!", "--c=2"),
            ("--b=1", "b=z b=a", "--b=z --b=a"),
            ("--a=1 --a-b=2", "c=1", "--a-b=2 --a=1 --c=1"),
            (
                "-conf /etc/Corefile",
                "dns.port=1053",
                "-conf /etc/Corefile --dns.port=1053",
            ),
            ("-conf /etc/Corefile", "conf=/x", "--conf=/x"),
            (
                "run --ip-masq --iface=x",
                "v=1",
                "run --iface=x --ip-masq --v=1",
            ),
            ("run --ip-masq", "ip-masq!", "run"),
            ("", "v=1", "--v=1"),
        ];
        for (before, change, after) in table {
            let mut container = json!({"args": before.split_whitespace().collect::<Vec<_>>()});
            apply(&mut container, &wanted(change));
            assert_eq!(words(&container).join(" "), after, "{before} with {change}");
        }
    }

    #[test]
    fn what_was_taken_away_is_told() {
        let mut container = json!({"args": ["--b=1"]});
        let wanted = wanted("a! b!");
        assert_eq!(apply(&mut container, &wanted), BTreeSet::from(["b"]));
    }

    #[test]
    fn values_of_a_flag() {
        let container = json!({"args": ["-conf", "/x", "--a=1", "--a=2=3", "--switch"]});
        for (name, expected) in [
            ("conf", &["/x"][..]),
            ("a", &["1", "2=3"]),
            ("switch", &[""]),
            ("b", &[]),
        ] {
            assert_eq!(values(&container, name), expected, "{name}");
        }
    }
}
