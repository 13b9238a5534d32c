//! What can go wrong with a request, so that a caller can decide: wait, retry, report.
//!
//! The server's own words are worth more than any code: whatever it said in its Status body is in
//! the text of the error.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::transport::Failure;
pub use crate::transport::How;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Nobody answered, or the answer broke off.
    Unreachable {
        /// The server, and the door if it is another address.
        server: String,
        /// In which way.
        how: How,
        /// The system's or the library's reason.
        cause: String,
    },
    /// The other side is not who the kubeconfig says, or it does not accept our certificate.
    Tls {
        /// The server, and the door if it is another address.
        server: String,
        /// The reason of the TLS library.
        cause: String,
    },
    /// The server answered with something other than success.
    Status(Status),
    /// The answer is not what the API promises, or it is larger than the client takes.
    Decode {
        /// The request, e.g. `GET /api/v1/pods`.
        request: String,
        /// What is wrong with its answer.
        cause: String,
    },
    /// The server serves no such kind; it may do so once a CustomResourceDefinition is established.
    UnknownKind {
        /// E.g. `apps/v1`.
        api_version: String,
        /// E.g. `Deployment`.
        kind: String,
    },
    /// The request could not even be made: a bad object, path or credential.
    Request(String),
}

/// The Status body of a refused request, or what stands in for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The request, e.g. `PATCH /api/v1/namespaces/a`.
    pub request: String,
    /// The HTTP status, or the `code` of a watch's ERROR event.
    pub code: u16,
    /// One CamelCase word, e.g. `NotFound`; empty if the body is no Status.
    pub reason: String,
    /// The server's sentence; the start of the body if it is no Status.
    pub message: String,
    /// `details.causes`, e.g. one for every field in conflict.
    pub causes: Vec<Cause>,
    /// How long the server wants to be left alone, if it says (`Retry-After`).
    pub retry_after: Option<Duration>,
}

/// One of `details.causes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// One CamelCase word, e.g. `FieldManagerConflict`.
    pub reason: String,
    /// The server's sentence.
    pub message: String,
    /// The path of the field, e.g. `.spec.replicas`.
    pub field: String,
}

/// How the server begins its refusal of an applied object with a field that its schema lacks; it
/// says so with a plain 500 (seen with 1.37), though no repetition will change it.
const UNTYPED: &str = "failed to create typed patch object";

/// How much of a body that is no Status goes into a message.
const EXCERPT: usize = 300;

impl Status {
    /// From an answer's body, whatever it is.
    pub(super) fn parse(request: &str, code: u16, body: &[u8]) -> Self {
        let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
        if value["kind"] == "Status" {
            return Self {
                code,
                ..Self::from_value(request, &value)
            };
        }
        let text = String::from_utf8_lossy(body);
        let message = text.trim().chars().take(EXCERPT).collect();
        Self {
            request: request.to_owned(),
            code,
            message,
            ..Self::default()
        }
    }

    /// From a Status object, which a watch also carries as an event.
    pub(super) fn from_value(request: &str, value: &Value) -> Self {
        let causes = value["details"]["causes"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        Self {
            request: request.to_owned(),
            code: value["code"]
                .as_u64()
                .and_then(|code| code.try_into().ok())
                .unwrap_or_default(),
            reason: text(&value["reason"]),
            message: text(&value["message"]),
            causes: causes.iter().map(Cause::from_value).collect(),
            retry_after: None,
        }
    }
}

impl Cause {
    fn from_value(value: &Value) -> Self {
        Self {
            reason: text(&value["reason"]),
            message: text(&value["message"]),
            field: text(&value["field"]),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Error {
    /// What a failed exchange means for `request` to `server`.
    pub(super) fn of(failure: Failure, server: &str, request: &str) -> Self {
        let decode = |cause| Self::Decode {
            request: request.to_owned(),
            cause,
        };
        let server = server.to_owned();
        match failure {
            Failure::Unreachable(how, cause) => Self::Unreachable { server, how, cause },
            Failure::Tls(cause) => Self::Tls { server, cause },
            Failure::TooLarge(limit) => decode(format!("it is larger than {limit} bytes")),
            Failure::Answer(cause) => decode(cause),
            Failure::Request(cause) => Self::Request(format!("{request}: {cause}")),
        }
    }

    /// The HTTP status, if the server answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.code),
            _ => None,
        }
    }

    /// 404: the object is not there. A kind that is not there is [`Error::UnknownKind`].
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// 409: another manager owns a field, or the object changed since it was read.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// 410: the resourceVersion is too old; list again.
    pub fn is_gone(&self) -> bool {
        self.code() == Some(410)
    }

    /// 401 or 403: the server knows us not, or allows us not.
    pub fn is_forbidden(&self) -> bool {
        matches!(self.code(), Some(401 | 403))
    }

    /// Whether the same request may succeed later without anybody changing it: the server was not
    /// reached, is overloaded or failed inside. A refusal is not, and neither is a TLS error.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status(status) if status.message.starts_with(UNTYPED) => false,
            Self::Status(status) => status.code == 429 || status.code >= 500,
            _ => false,
        }
    }

    /// Whether the connection was closed under the request.
    pub(super) fn is_closed(&self) -> bool {
        matches!(
            self,
            Self::Unreachable {
                how: How::Closed,
                ..
            }
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { server, cause, .. } => write!(f, "{server} not reached: {cause}"),
            Self::Tls { server, cause } => write!(f, "no trust between us and {server}: {cause}"),
            Self::Status(status) => status.fmt(f),
            Self::Decode { request, cause } => write!(f, "{request}: unusable answer: {cause}"),
            Self::UnknownKind { api_version, kind } => {
                write!(
                    f,
                    "the server has no kind {kind} in {api_version}; is its CRD established?"
                )
            }
            Self::Request(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.reason.is_empty() { "" } else { " " };
        write!(
            f,
            "{}: {}{separator}{}",
            self.request, self.code, self.reason
        )?;
        if self.message.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.message)
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFLICT: &str = r#"{"kind":"Status","code":409,"reason":"Conflict",
        "message":"Apply failed with 1 conflict: conflict with \"kubectl\": .data.a",
        "details":{"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"kubectl\"","field":".data.a"}]}}"#;

    #[test]
    fn the_servers_words_are_in_the_text() {
        let error = Error::Status(Status::parse("PATCH /x", 409, CONFLICT.as_bytes()));
        assert_eq!(
            error.to_string(),
            "PATCH /x: 409 Conflict: Apply failed with 1 conflict: conflict with \"kubectl\": .data.a"
        );
        let Error::Status(status) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(status.causes[0].field, ".data.a");
        assert!(error.is_conflict() && !error.is_retryable() && !error.is_not_found());
    }

    #[test]
    fn a_body_that_is_no_status_is_shown_in_part() {
        let body = format!("[-]etcd failed\n{}", "x".repeat(2000));
        let status = Status::parse("GET /readyz", 500, body.as_bytes());
        assert!(status.message.starts_with("[-]etcd failed") && status.message.len() == EXCERPT);
        assert!(Error::Status(status).is_retryable());
        let empty = Status::parse("GET /x", 404, b"");
        assert_eq!(empty.to_string(), "GET /x: 404");
    }

    #[test]
    fn what_may_be_retried() {
        for (code, retryable) in [
            (400, false),
            (403, false),
            (404, false),
            (422, false),
            (429, true),
            (503, true),
        ] {
            let error = Error::Status(Status {
                code,
                ..Status::default()
            });
            assert_eq!(error.is_retryable(), retryable, "{code}");
        }
        let message = format!("{UNTYPED} (/a; /v1, Kind=Pod): .spec.x: field not declared");
        let untyped = Error::Status(Status {
            code: 500,
            message,
            ..Status::default()
        });
        assert!(!untyped.is_retryable());
        let tls = Error::Tls {
            server: String::new(),
            cause: String::new(),
        };
        assert!(!tls.is_retryable());
    }
}
