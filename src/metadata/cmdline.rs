//! The kernel command line.
//!
//! Words are separated by white space; double quotes keep white space inside a word and are taken
//! away, wherever in the word they stand, as the kernel's `next_arg` does. Of equal keys the last
//! wins, as with systemd and Ignition: whoever edits the line at the boot menu appends.

/// The value of `key`, or `None` if it is missing or empty.
pub fn value(cmdline: &str, key: &str) -> Option<String> {
    words(cmdline)
        .iter()
        .filter_map(|word| word.split_once('='))
        .rfind(|(name, _)| *name == key)
        .map(|(_, value)| value.to_owned())
        .filter(|value| !value.is_empty())
}

/// The words of a command line, without their quotes. A quote that is not closed holds to the end.
pub fn words(cmdline: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in cmdline.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_ascii_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values() {
        let cases = [
            ("a=1 b=2\n", Some("1")),
            ("a=1 a=2", Some("2")),
            ("a=1 a=", None),
            ("a", None),
            ("", None),
            ("aa=1 xa=2", None),
            ("a=\"1 2\" b", Some("1 2")),
            ("\"a=1 2\" b", Some("1 2")),
            ("b=\"x a=9\" a=1=2", Some("1=2")),
            ("a=\"1 b=2", Some("1 b=2")),
        ];
        for (line, want) in cases {
            assert_eq!(value(line, "a").as_deref(), want, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn a_value_appended_in_quotes_is_found(line in "[^\"]{0,40}", wanted in "[^\"]{1,20}") {
            let line = format!("{line} key=\"{wanted}\"");
            prop_assert_eq!(value(&line, "key"), Some(wanted));
        }

        #[test]
        fn never_panics(line in "\\PC{0,40}") {
            let _ = value(&line, "key");
        }
    }
}
