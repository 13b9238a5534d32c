//! Plain scalars that YAML 1.1 and YAML 1.2 read as different values.
//!
//! `0644`, `on`, `1:30` and their like mean one thing to a tool of the 1.1 school (most of what
//! people know from Ansible and older Kubernetes tools) and another to a 1.2 reader. Whichever we
//! chose, somebody's document would mean something else than its author thought, so they have to be
//! quoted. Sources: yaml.org/type/{bool,int,float,timestamp}.html for 1.1, YAML 1.2.2 §10.3.2.

/// Why a plain (unquoted) scalar has no single meaning, or `None` if it has one.
pub fn reason(scalar: &str) -> Option<&'static str> {
    let number = scalar.strip_prefix(['-', '+']).unwrap_or(scalar);
    let reasons: [(bool, &str); 7] = [
        (is_word(scalar), "some readers take it for true or false"),
        (is_octal(number), "some readers take it for an octal number"),
        (
            is_sexagesimal(number),
            "some readers take it for a number of base 60",
        ),
        (is_grouped(number), "some readers take it for a number"),
        (
            is_float_to_some(number),
            "some readers take it for a number",
        ),
        (is_date(scalar), "some readers take it for a date"),
        (
            is_beyond_json(scalar, number),
            "as a number it is out of range",
        ),
    ];
    reasons
        .into_iter()
        .find_map(|(applies, why)| applies.then_some(why))
}

/// The truth values that only YAML 1.1 knows, in the three ways of writing it lists.
fn is_word(scalar: &str) -> bool {
    let lower = scalar.to_ascii_lowercase();
    let capital = |c: char| c.is_ascii_uppercase();
    let tail = scalar.get(1..).unwrap_or_default();
    matches!(lower.as_str(), "y" | "n" | "yes" | "no" | "on" | "off")
        && (!tail.chars().any(capital) || scalar.chars().all(capital))
}

/// `0644` is 420 to one and text to the other; `0o644` the other way round.
fn is_octal(number: &str) -> bool {
    let digits = number.strip_prefix('0').unwrap_or_default();
    let digits = digits.strip_prefix('o').unwrap_or(digits);
    is_digits(digits)
}

/// `1:30` is 90 to YAML 1.1, `190:20:30.15` a float.
fn is_sexagesimal(number: &str) -> bool {
    let whole = number.split_once('.').map_or(number, |(whole, _)| whole);
    let mut places = whole.split(':');
    let first = places.next().unwrap_or_default();
    whole.contains(':')
        && is_digits(first)
        && places.all(|place| place.len() < 3 && is_digits(place))
}

/// `1_000` and `0b11` are numbers to YAML 1.1 only.
fn is_grouped(number: &str) -> bool {
    let starts = number.starts_with(|c: char| c.is_ascii_digit());
    let of_number = |c: char| c.is_ascii_hexdigit() || matches!(c, '_' | '.' | 'x');
    let binary = number.strip_prefix("0b").is_some_and(is_digits);
    binary || starts && number.contains('_') && number.chars().all(of_number)
}

/// `1e3` is a number to YAML 1.2 only.
fn is_float_to_some(number: &str) -> bool {
    let Some((mantissa, exponent)) = number.split_once(['e', 'E']) else {
        return false;
    };
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let mantissa = mantissa.replacen('.', "", 1);
    is_digits(&mantissa) && is_digits(exponent)
}

/// `2026-11-22`, alone or with a time after it.
fn is_date(scalar: &str) -> bool {
    let mut parts = scalar.splitn(3, '-');
    let (year, month) = (parts.next(), parts.next());
    let day = parts.next().unwrap_or_default();
    let day_digits = day.len() - day.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    year.is_some_and(|year| year.len() == 4 && is_digits(year))
        && month.is_some_and(|month| month.len() <= 2 && is_digits(month))
        && (1..=2).contains(&day_digits)
}

/// Infinity, not-a-number, and integers that do not fit 64 bits.
fn is_beyond_json(scalar: &str, number: &str) -> bool {
    matches!(number.to_ascii_lowercase().as_str(), ".inf" | ".nan")
        || is_digits(number) && scalar.parse::<i64>().is_err()
        || number.strip_prefix("0x").is_some_and(|hex| hex.len() > 15)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn refused() {
        let all = "y N yes No ON off Off 0644 00 -017 0o17 1:30 2001:10:20:30:40:50:10:1 190:20:30.15 1_000 \
            0b11 0x_1 1e3 1.5E-3 +12e03 2026-11-22 2026-1-2T10:00:00Z .inf -.INF .NaN \
            99999999999999999999 0xffffffffffffffff";
        for scalar in all.split_whitespace() {
            assert!(reason(scalar).is_some(), "{scalar}");
        }
    }

    #[test]
    fn taken() {
        let all = "a yEs nO none offline true False null ~ 0 1 -1 6443 1.37 1.37.2 0.5 0x1F 10.0.2.15 \
            10.2.0.0/16 ::1 fd00::1 fd00:0:0:1::/64 90s 1h30m node-a a:b 1: 2026-11 e5 1e _1 12-34-56 v1.37.2";
        for scalar in all.split_whitespace() {
            assert_eq!(reason(scalar), None, "{scalar}");
        }
        assert_eq!(reason(""), None);
    }
}
