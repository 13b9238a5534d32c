//! Amazon EC2: the instance metadata service, version 2 (EC2 user guide, "Use IMDSv2").
//!
//! A token is taken first, by a request that no proxy and no trick of a web application passes on;
//! every further request shows it. A service without tokens is version 1, which any program of the
//! machine that can be made to fetch an address gives away: it has to be allowed by name.

use anyhow::{Result, anyhow};
use ureq::http::Method;

use super::service::{Service, usual};
use super::{Answer, Context};
use crate::exit::{Exit, fail};
use crate::metadata::deadline::Failed;

/// Tokens are given under this one only; everything else is asked in a dated version.
const TOKEN: &str = "/latest/api/token";
const USER_DATA: &str = "/2021-07-15/user-data";
/// The longest there is, 6 h: one token is enough for the whole wait.
const TOKEN_TTL: (&str, &str) = ("X-aws-ec2-metadata-token-ttl-seconds", "21600");
const TOKEN_HEADER: &str = "X-aws-ec2-metadata-token";
/// Real ones have 56 characters.
const MAX_TOKEN: usize = 1024;

/// How the service is asked.
enum Access {
    Token(String),
    /// It knows no tokens, and may be asked without.
    Open,
}

/// Takes a token and asks for user data with it; takes a new one if that has expired.
///
/// # Errors
/// [`Exit::Refused`] if the service knows no tokens and `slipway.ec2.imdsv1` is not given; else as
/// [`Service::until`].
pub fn read(context: &Context<'_>) -> Result<Answer> {
    let service = Service::new("EC2", context);
    let mut known = None;
    let found = service.until(|| {
        let access = match &known {
            Some(access) => access,
            None => known.insert(access(&service, context.settings.imds_v1)?),
        };
        let token = match access {
            Access::Token(token) => Some((TOKEN_HEADER, &**token)),
            Access::Open => None,
        };
        let reply = service.ask(Method::GET, USER_DATA, token.as_slice())?;
        if reply.code == 401 && token.is_some() {
            known = None;
            let error = anyhow!("the metadata service of EC2 no longer takes its own token");
            return Err(Failed::Again(error));
        }
        let meaning = usual(&reply);
        service.judge(reply, "user data", meaning)
    });
    found.map(|found| service.answer(found))
}

fn access(service: &Service<'_>, without: bool) -> Result<Access, Failed> {
    let reply = service.ask(Method::PUT, TOKEN, &[TOKEN_TTL])?;
    match reply.code {
        200 => token(reply.body).map(Access::Token),
        403..=405 if without => Ok(Access::Open),
        code @ 403..=405 => Err(Failed::Finally(no_tokens(code))),
        _ if reply.is_busy() => Err(service.busy(&reply, "a token")),
        _ => Err(service.refusal(&reply, "a token")),
    }
}

fn token(body: Vec<u8>) -> Result<String, Failed> {
    String::from_utf8(body)
        .ok()
        .map(|token| token.trim().to_owned())
        .filter(|token| (1..=MAX_TOKEN).contains(&token.len()))
        .filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| {
            let error = anyhow!("what the metadata service of EC2 gives as a token is none");
            Failed::Finally(error)
        })
}

fn no_tokens(code: u16) -> anyhow::Error {
    let error = anyhow!(
        "the metadata service of EC2 gives no token (it answers {code}): its version 2 is needed; \
         enable it, or allow version 1 with slipway.ec2.imdsv1 on the kernel command line"
    );
    fail(Exit::Refused, error)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::super::testing::server::{Reply, Request, Server, answer};
    use super::*;
    use crate::exit::exit_of;
    use std::time::Duration;

    const DOCUMENT: &[u8] = b"kind: Machine";

    fn ask(server: &Server, cmdline: &str, limit: Duration) -> Result<Answer> {
        let mut machine = Machine::new(cmdline, limit);
        machine.link_local = server.url("");
        read(&machine.context())
    }

    const LONG: Duration = Duration::from_secs(60);

    /// A service whose nth answer about a token is the nth of these; the last one repeats.
    fn tokens(replies: Vec<Reply>) -> Server {
        let mut replies = replies.into_iter().peekable();
        let mut last = Reply::Reset;
        Server::start(move |request| match &*request.method {
            "PUT" => {
                last = replies.next().unwrap_or(last.clone());
                last.clone()
            }
            _ => answer(200, &[], DOCUMENT),
        })
    }

    #[test]
    fn an_expired_token_is_taken_again() {
        let mut taken = 0;
        let server = Server::start(move |request: &Request| {
            if request.method == "PUT" {
                taken += 1;
                return answer(200, &[], format!("token-{taken}"));
            }
            match request.header("x-aws-ec2-metadata-token") {
                Some("token-2") => answer(200, &[], DOCUMENT),
                _ => answer(401, &[], "who?"),
            }
        });
        let got = ask(&server, "", LONG).unwrap();
        assert_eq!(got, Answer::document(DOCUMENT, "EC2 user data"));
        let (put, get) = (format!("PUT {TOKEN}"), format!("GET {USER_DATA}"));
        assert_eq!(server.seen(), [&*put, &*get, &*put, &*get]);
    }

    #[test]
    fn a_good_token_is_kept_while_the_service_is_busy() {
        let mut asked = 0;
        let server = Server::start(move |request: &Request| {
            asked += 1;
            match (&*request.method, asked) {
                ("PUT", _) => answer(200, &[], "token"),
                (_, 2) => answer(503, &[], ""),
                _ => answer(200, &[], DOCUMENT),
            }
        });
        ask(&server, "", LONG).unwrap();
        let puts = server
            .seen()
            .iter()
            .filter(|s| s.starts_with("PUT"))
            .count();
        assert_eq!(puts, 1);
    }

    #[test]
    fn version_1_is_asked_only_if_allowed() {
        for code in [403, 404, 405] {
            let server = tokens(vec![answer(code, &[], "")]);
            let error = ask(&server, "", LONG).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Refused);
            let text = format!("{error:#}");
            assert!(text.contains("slipway.ec2.imdsv1 on the kernel"), "{text}");
            assert_eq!(server.seen().len(), 1, "no data is asked for");

            let got = ask(&server, "slipway.ec2.imdsv1", LONG).unwrap();
            assert_eq!(got, Answer::document(DOCUMENT, "EC2 user data"));
            let open = server.requests().pop().unwrap();
            assert_eq!(open.header("x-aws-ec2-metadata-token"), None);
        }
    }

    #[test]
    fn a_token_that_comes_late_is_waited_for() {
        let late = vec![
            answer(503, &[], ""),
            Reply::Reset,
            answer(200, &[], "token"),
        ];
        assert!(ask(&tokens(late), "", LONG).is_ok());
        let never = tokens(vec![answer(429, &[], "")]);
        let error = ask(&never, "", Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().contains("gave up"), "{error}");
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        let long = "a".repeat(MAX_TOKEN + 1);
        for body in ["", " \n", "hunter2 hunter2", "hunter2\r\nX: y", &long] {
            let server = tokens(vec![answer(200, &[], body)]);
            let text = format!("{:#}", ask(&server, "", LONG).unwrap_err());
            assert!(text.contains("gives as a token is none"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
            assert_eq!(server.seen().len(), 1);
        }
        let page = tokens(vec![answer(400, &[], "")]);
        let text = format!("{:#}", ask(&page, "", LONG).unwrap_err());
        assert!(
            text.contains("answers 400 when asked for a token"),
            "{text}"
        );
    }
}
