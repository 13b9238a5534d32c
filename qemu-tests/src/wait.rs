//! Waiting for a condition: no fixed sleeps, always a deadline, and the last reason in the error. And what must stay true.

use anyhow::{Context, Result};
use std::thread;
use std::time::{Duration, Instant};

/// The least time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Between two looks at what must stay as it is.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Looking costs those who are looked at: they get this many times as long to themselves.
const LEISURE: u32 = 4;

/// Calls `check` until it succeeds and returns what it found; its last error once `limit` is over. No
/// pause outlasts the limit, so the last look is at its end.
pub fn until<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        let looked = Instant::now();
        match check() {
            Ok(found) => return Ok(found),
            Err(error) if begun.elapsed() >= limit => {
                return Err(error).with_context(|| format!("no {what} after {limit:?}"));
            }
            Err(_) => {
                let left = limit.saturating_sub(begun.elapsed());
                thread::sleep(PAUSE.max(looked.elapsed() * LEISURE).min(left));
            }
        }
    }
}

/// Calls `check` again and again for as long as `long`; its first error ends that.
pub fn holds(long: Duration, mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < long {
        check()?;
        thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn it_returns_what_it_found_or_why_not() {
        let mut looks = 0;
        let found = until("third look", Duration::from_secs(60), || {
            looks += 1;
            if looks < 3 {
                bail!("look {looks}")
            } else {
                Ok(looks)
            }
        });
        assert_eq!(found.unwrap(), 3);
        let never = until::<()>("luck", Duration::ZERO, || bail!("no dice")).unwrap_err();
        assert_eq!(format!("{never:#}"), "no luck after 0ns: no dice");
    }

    #[test]
    fn what_holds_no_more_is_said_at_once() {
        let broken = holds(Duration::from_secs(60), || bail!("it fell")).unwrap_err();
        assert_eq!(broken.to_string(), "it fell");
        holds(Duration::ZERO, || bail!("nobody looks")).unwrap();
    }
}
