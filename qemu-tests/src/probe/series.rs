//! One series of requests: the same user at the same door.

use serde::{Deserialize, Serialize};

/// Requests of one user through one door, counted from the first that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Who asks.
    pub user: String,
    /// Where, e.g. `127.0.0.1:6443`.
    pub door: String,
    /// When the first request succeeded.
    pub first_success: Option<f64>,
    /// When the last request succeeded.
    pub last_success: Option<f64>,
    /// Requests since the first success, that one and repetitions included.
    pub requests: u64,
    /// Requests that failed since the first success, without their repetitions.
    pub failures: Vec<Failure>,
    /// The longest time between two successes.
    pub longest_gap_ms: f64,
    /// When that gap ended.
    pub longest_gap_end: Option<f64>,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// When it was sent.
    pub at: f64,
    /// How long it took to fail.
    pub took_ms: f64,
    /// In which way.
    pub kind: Kind,
    /// The server's or the system's words.
    pub message: String,
    /// Whether the same request, sent again at once or when the server asked for it, succeeded.
    pub cured: bool,
}

/// In which way a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// 401 or 403.
    Forbidden,
    /// Another status than success.
    Status,
    /// The connection was closed or reset under the request.
    Closed,
    /// No answer in time.
    TimedOut,
    /// Nobody listened.
    Refused,
    /// The two do not trust each other.
    Tls,
    /// Anything else.
    Other,
}

/// How a request went: when it was sent, when it was over, and what was wrong.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it was sent.
    pub sent: f64,
    /// When the answer was complete or the failure certain.
    pub over: f64,
    /// `Err` with the way and the words.
    pub result: Result<(), (Kind, String)>,
}

impl Series {
    /// A series without requests.
    pub fn new(user: impl Into<String>, door: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            door: door.into(),
            ..Self::default()
        }
    }

    /// Notes a request. Returns whether it has to be sent again: it failed, and it counts.
    pub fn note(&mut self, request: Request) -> bool {
        match request.result {
            Ok(()) => self.succeed(request.over),
            Err(_) if self.first_success.is_none() => return false,
            Err((kind, message)) => {
                let took_ms = (request.over - request.sent) * 1e3;
                let cured = false;
                self.failures.push(Failure {
                    at: request.sent,
                    took_ms,
                    kind,
                    message,
                    cured,
                });
                self.requests += 1;
                return true;
            }
        }
        false
    }

    /// Notes the repetition of the request that failed last.
    pub fn note_repetition(&mut self, request: &Request) {
        if request.result.is_ok() {
            self.succeed(request.over);
        } else {
            self.requests += 1;
        }
        if let Some(failure) = self.failures.last_mut() {
            failure.cured = request.result.is_ok();
        }
    }

    fn succeed(&mut self, at: f64) {
        let gap = (at - self.last_success.unwrap_or(at)) * 1e3;
        if gap > self.longest_gap_ms {
            self.longest_gap_ms = gap;
            self.longest_gap_end = Some(at);
        }
        self.first_success.get_or_insert(at);
        self.last_success = Some(at);
        self.requests += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(sent: f64, result: Result<(), (Kind, String)>) -> Request {
        Request {
            sent,
            over: sent + 0.25,
            result,
        }
    }

    #[test]
    fn it_counts_from_the_first_success() {
        let mut series = Series::new("admin", "127.0.0.1:6443");
        assert!(!series.note(request(0.0, Err((Kind::Refused, String::new())))));
        assert!(!series.note(request(9.0, Ok(()))));
        assert_eq!((series.requests, series.failures.len()), (1, 0));
        assert_eq!(series.longest_gap_ms, 0.0);
        assert_eq!(series.first_success, Some(9.25));
    }

    #[test]
    fn a_failure_is_cured_by_its_repetition_and_lengthens_the_gap() {
        let mut series = Series::new("admin", "127.0.0.1:6443");
        series.note(request(1.0, Ok(())));
        assert!(series.note(request(2.0, Err((Kind::Closed, "EOF".into())))));
        series.note_repetition(&request(2.25, Ok(())));
        assert_eq!(series.requests, 3);
        assert!(series.failures[0].cured);
        assert_eq!(series.longest_gap_ms, 1250.0);
        assert_eq!(series.longest_gap_end, Some(2.5));
    }

    #[test]
    fn a_failed_repetition_cures_nothing() {
        let mut series = Series::new("admin", "127.0.0.1:6443");
        series.note(request(1.0, Ok(())));
        series.note(request(2.0, Err((Kind::Closed, "EOF".into()))));
        series.note_repetition(&request(2.25, Err((Kind::Refused, String::new()))));
        assert!(!series.failures[0].cured);
        assert_eq!((series.requests, series.failures.len()), (3, 1));
    }
}
