//! Moments as the API writes them.

/// Seconds since 1970 of a MicroTime, e.g. `2026-11-23T06:48:22.014442Z` (RFC 3339, always UTC).
pub fn seconds(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, separator| {
        text.split(separator)
            .map(str::parse::<f64>)
            .collect::<Result<Vec<_>, _>>()
            .ok()
    };
    let [year, month, day] = <[f64; 3]>::try_from(numbers(date, '-')?).ok()?;
    let [hour, minute, second] = <[f64; 3]>::try_from(numbers(time, ':')?).ok()?;
    Some(
        days(year as i64, month as i64, day as i64) as f64 * 86400.0
            + hour * 3600.0
            + minute * 60.0
            + second,
    )
}

/// Days since 1970 of a date of the Gregorian calendar, counting years from March (H. Hinnant).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seconds_of_a_micro_time() {
        assert_eq!(seconds("1970-01-01T00:00:00.500000Z"), Some(0.5));
        assert_eq!(seconds("2026-11-23T06:48:22.25Z"), Some(1_795_416_502.25));
        assert_eq!(seconds("2024-02-29T00:00:00Z"), Some(1_709_164_800.0));
        assert_eq!(seconds("yesterday"), None);
    }
}
