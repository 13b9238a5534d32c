//! Durations as people write them: `90s`, `2m`, `1h30m`, `500ms`, `365d`.
//!
//! Go's notation, because every Kubernetes document uses it, cut to what has one spelling: whole
//! numbers, each unit at most once, larger units first. Days are 24 hours and none of Go's, but nobody
//! thinks of a certificate's life in hours.

use std::time::Duration;

const DAY: u64 = 24 * 3_600_000;
/// Units from large to small, with their milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", DAY),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
/// No wait of a launch is longer; it also keeps every deadline within the clock's range.
const MAX: Duration = Duration::from_secs(24 * 3600);

/// Reads a duration above zero and of at most 24 hours.
///
/// # Errors
/// What is wrong with the text, without the text itself.
pub fn parse(text: &str) -> Result<Duration, String> {
    let millis = millis(text).ok_or("is not a duration; write it like 90s, 2m or 1h30m")?;
    match Duration::from_millis(millis) {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        duration if duration > MAX => Err("must be at most 24h".to_owned()),
        duration => Ok(duration),
    }
}

/// Reads how long something is valid.
///
/// # Errors
/// What is wrong with the text, without the text itself.
pub fn lifetime(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let millis = millis(text).ok_or("is not a duration; write it like 365d, 36h or 90m")?;
    match Duration::from_millis(millis) {
        duration if duration < least => Err(format!("must be at least {}", show(least))),
        duration if duration > most => Err(format!("must be at most {}", show(most))),
        duration => Ok(duration),
    }
}

fn millis(text: &str) -> Option<u64> {
    let (mut rest, mut total, mut units) = (text, 0_u64, UNITS.iter());
    // At least once, so that an empty text is none.
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, factor) = units.by_ref().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = after;
        if rest.is_empty() {
            return Some(total);
        }
    }
}

/// The shortest notation that [`parse`] reads back: `1h30m`, `2m`, `1s500ms`; `0s` for none, whole days
/// above one as `30d`. What is below a millisecond is left out.
pub fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut shown = String::new();
    let whole_days = rest % DAY == 0 && rest > DAY;
    for (name, factor) in UNITS.into_iter().skip(usize::from(!whole_days)) {
        if rest >= factor {
            shown.push_str(&format!("{}{name}", rest / factor));
            rest %= factor;
        }
    }
    if shown.is_empty() {
        "0s".to_owned()
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads() {
        let cases = [
            ("90s", 90_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1s500ms", 1_500),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses() {
        let bad = "|90|s|2d|1d1h|1.5h|30m1h|1m1m|-1s|1 s|25h|0s|0h0m|99999999999999999999h|1h99999999999999999m|²s";
        for text in bad.split('|') {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn lifetimes() {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        for (text, want) in [
            ("30d", Ok(days(30))),
            ("1d12h", Ok(days(1) + days(1) / 2)),
            ("24h", Ok(days(1))),
            ("23h", Err("must be at least 24h")),
            ("31d", Err("must be at most 30d")),
            (
                "a year",
                Err("is not a duration; write it like 365d, 36h or 90m"),
            ),
        ] {
            let got = lifetime(text, days(1), days(30));
            assert_eq!(got, want.map_err(str::to_owned), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(millis in 1_u64..86_400_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&show(duration)), Ok(duration));
        }

        #[test]
        fn never_panics(text in "[0-9hms .]{0,12}|\\PC{0,8}") {
            let _ = parse(&text);
        }
    }
}
