//! The ways a service may behave, and what each source makes of them.

use std::sync::LazyLock;

use super::super::testing::server::{Reply, Request, Server, answer};
use super::SECRET;
use super::clouds::EC2_TOKEN;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Document,
    Nothing,
    /// Asked again until the deadline.
    GaveUp,
    /// Asked once, and that is final.
    Refused,
}
use Outcome::{GaveUp, Nothing, Refused};

/// What a service does when it is asked for the nth time, from 0; `None` is what a healthy one does.
#[derive(Clone, Copy)]
pub struct Behaviour {
    pub name: &'static str,
    pub act: fn(usize) -> Option<Reply>,
    pub outcome: Outcome,
    /// By the names of columns.
    pub except: &'static [(&'static str, Outcome)],
    /// The requests that it is about.
    pub to: fn(&Request) -> bool,
    /// How many tokens EC2 is asked for on the way to an outcome.
    pub tokens: usize,
}

impl Behaviour {
    pub fn outcome_of(&self, column: &str) -> Outcome {
        let mut except = self.except.iter();
        let except = except.find(|(name, _)| *name == column);
        except.map_or(self.outcome, |(_, outcome)| *outcome)
    }
}

const fn row(name: &'static str, outcome: Outcome, act: fn(usize) -> Option<Reply>) -> Behaviour {
    Behaviour {
        name,
        act,
        outcome,
        except: &[],
        to: |_| true,
        tokens: 1,
    }
}

const fn but(except: &'static [(&'static str, Outcome)], row: Behaviour) -> Behaviour {
    Behaviour { except, ..row }
}

pub const BEHAVIOURS: [Behaviour; 34] = [
    row("healthy", Outcome::Document, |_| None),
    // An empty document has another hash; on Azure the CD is looked at, which is none here.
    but(
        &[("url", Refused), ("azure", Refused), (EC2_TOKEN, Refused)],
        row("empty", Nothing, |_| Some(answer(200, &GOOGLE, ""))),
    ),
    but(
        &[("azure", GaveUp), ("url", Refused), (EC2_TOKEN, Refused)],
        row("404", Nothing, |_| code(404)),
    ),
    row("408 at first", Outcome::Document, |n| first(n, 408)),
    row("425 at first", Outcome::Document, |n| first(n, 425)),
    row("429 at first", Outcome::Document, |n| first(n, 429)),
    row("500 at first", Outcome::Document, |n| first(n, 500)),
    row("503 at first", Outcome::Document, |n| first(n, 503)),
    row("wants time", Outcome::Document, |n| {
        (n == 0).then(|| answer(503, &[("Retry-After", "0")], SECRET))
    }),
    row("wants an hour", GaveUp, |_| {
        Some(answer(503, &[("Retry-After", "3600")], SECRET))
    }),
    row("503", GaveUp, |_| code(503)),
    row("204", Refused, |_| code(204)),
    row("400", Refused, |_| code(400)),
    // An expired token is the one thing to which EC2 answers so.
    but(&[("ec2", GaveUp)], row("401", Refused, |_| code(401))),
    Behaviour {
        tokens: 2,
        ..but(
            &[("ec2", Outcome::Document)],
            row("401 at first", Refused, |n| first(n, 401)),
        )
    },
    Behaviour {
        to: |request| request.header("x-aws-ec2-metadata-token").is_none(),
        ..but(
            &[("ec2", Outcome::Document)],
            row("401 without a token", Refused, |_| code(401)),
        )
    },
    row("403", Refused, |_| code(403)),
    row("405", Refused, |_| code(405)),
    but(&[("azure", GaveUp)], row("410", Refused, |_| code(410))),
    row("302", Refused, |_| redirect(302)),
    row("307", Refused, |_| redirect(307)),
    row("a web page", Refused, |_| {
        let html = [("Content-Type", "text/html; charset=utf-8"), GOOGLE[0]];
        Some(answer(200, &html, "<p>hunter2"))
    }),
    row("no end", Refused, |_| {
        Some(Reply::Endless(vec![b'a'; 256 * 1024]))
    }),
    row("more than can be", Refused, |_| {
        Some(answer(200, &GOOGLE, vec![b'a'; 4 * 1024 * 1024 + 1]))
    }),
    row("a reset at first", Outcome::Document, |n| {
        (n == 0).then_some(Reply::Reset)
    }),
    row("resets", GaveUp, |_| Some(Reply::Reset)),
    row("no HTTP at first", Outcome::Document, |n| {
        (n == 0).then(|| bytes("hunter2\r\n\r\n"))
    }),
    row("no HTTP", GaveUp, |_| Some(bytes("SSH-2.0-hunter2\r\n"))),
    row("half an answer at first", Outcome::Document, |n| {
        (n == 0).then(|| bytes("HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\nhunter2"))
    }),
    row("half a head at first", Outcome::Document, |n| {
        (n == 0).then(|| bytes("HTTP/1.1 200 X\r\nContent-Len"))
    }),
    row("silence", GaveUp, |_| Some(Reply::Stall(Vec::new()))),
    row("silence in the body", GaveUp, |_| {
        Some(Reply::Stall(b"HTTP/1.1 200 X\r\n\r\nhunter2".to_vec()))
    }),
    row("a slow head", GaveUp, |_| {
        Some(Reply::Drip(
            b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ))
    }),
    row("a slow body", GaveUp, |_| {
        Some(Reply::Drip(b"HTTP/1.1 200 X\r\n\r\n".repeat(4)))
    }),
];

/// Google's own refusals carry it, and it disturbs no other.
const GOOGLE: [(&str, &str); 1] = [("Metadata-Flavor", "Google")];

fn bytes(text: &str) -> Reply {
    Reply::Bytes(text.as_bytes().to_vec())
}

fn code(code: u16) -> Option<Reply> {
    Some(answer(code, &GOOGLE, if code == 204 { "" } else { SECRET }))
}

fn first(n: usize, with: u16) -> Option<Reply> {
    (n == 0).then(|| code(with)).flatten()
}

/// Where redirects lead; nobody may go there.
pub static ELSEWHERE: LazyLock<Server> =
    LazyLock::new(|| Server::start(|_| answer(200, &[], SECRET)));

fn redirect(code: u16) -> Option<Reply> {
    let to = ELSEWHERE.url("/?token=hunter2");
    Some(answer(code, &[("Location", &to), GOOGLE[0]], SECRET))
}
