//! Repeating a request: only where it cannot do harm, only where it helps.
//!
//! A kept connection can be closed just as the next request goes out, and a listener that closes
//! takes a few accepted connections with it (measured in every handover): one repetition cures
//! both. An overloaded server says when to come back. Everything else is the caller's decision,
//! because only the caller knows what it waits for and how long.

use std::thread;
use std::time::{Duration, Instant};

use ureq::http::HeaderMap;
use ureq::http::header::RETRY_AFTER;

use super::client::{Reply, Request};
use super::error::Error;
use crate::transport::Times;

/// The shortest pause before a repetition. A process that dies takes its listener down over some
/// milliseconds, so a repetition at once can meet it again; another may hold the port by now.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Calls `attempt` until its outcome is final or `timeout` leaves no room for another.
pub(super) fn within(
    timeout: Duration,
    request: &Request<'_>,
    mut attempt: impl FnMut(Times) -> Result<Reply, Error>,
) -> Result<Reply, Error> {
    let begun = Instant::now();
    let mut times = Times::First;
    let mut was_closed = false;
    loop {
        let outcome = attempt(times);
        let left = timeout.saturating_sub(begun.elapsed());
        let pause = match &outcome {
            Err(error) if error.is_closed() && request.idempotent && !was_closed => {
                log::debug!("{}: {error}; repeating it once", request.name());
                was_closed = true;
                SHORTEST_PAUSE
            }
            Ok(reply) => match pause(reply, request) {
                Some(pause) => pause,
                None => return outcome,
            },
            Err(_) => return outcome,
        };
        if pause >= left {
            return outcome;
        }
        thread::sleep(pause);
        times = Times::Left(timeout.saturating_sub(begun.elapsed()));
    }
}

/// How long the server wants us to wait before the same request again, if repeating it is safe.
/// A 429 was never worked on; a 503 may have been, so it takes an idempotent request.
fn pause(reply: &Reply, request: &Request<'_>) -> Option<Duration> {
    let safe = reply.code == 429 || (reply.code == 503 && request.idempotent);
    reply
        .retry_after
        .filter(|_| safe)
        .map(|pause| pause.max(SHORTEST_PAUSE))
}

/// `Retry-After` in seconds; the API server never sends its other form, a date.
pub(super) fn after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}
