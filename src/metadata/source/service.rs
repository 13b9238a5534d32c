//! A metadata service on the machine's own link, asked until it answers for good.
//!
//! All clouds speak HTTP at the same address and differ in little: the path, the headers, and which
//! codes mean that the service is still starting. Only that address is asked, never a name (whose
//! resolver is anybody's), and never one that a reply points to.

use anyhow::{Result, anyhow};
use ureq::http::Method;

use super::{Answer, Context, MAX_BYTES};
use crate::exit::{Exit, WithExit};
use crate::metadata::base64;
use crate::metadata::deadline::{Failed, until};
use crate::metadata::http::{Client, Reply};

/// What a reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Its body is what was asked for.
    Found,
    /// There is no such thing.
    Absent,
    /// Ask again.
    Busy,
    /// It will never be given.
    Refusal,
}

/// A platform's service as this machine reaches it.
#[derive(Debug)]
pub struct Service<'a> {
    name: &'static str,
    context: &'a Context<'a>,
    client: Client,
}

impl<'a> Service<'a> {
    /// The service of the platform that people call `name`.
    pub fn new(name: &'static str, context: &'a Context<'a>) -> Self {
        let client = Client::plain();
        Self {
            name,
            context,
            client,
        }
    }

    /// Attempts until one succeeds, fails for good, or the deadline passes.
    ///
    /// # Errors
    /// [`Exit::NotFound`], unless the attempt chose another.
    pub fn until<T>(&self, attempt: impl FnMut() -> Result<T, Failed>) -> Result<T> {
        let what = format!("the metadata service of {}", self.name);
        until(self.context.deadline, &what, attempt).exit(Exit::NotFound)
    }

    /// Asks once, for at most [`MAX_BYTES`].
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Reply, Failed> {
        let url = format!("{}{path}", self.context.link_local);
        let left = self.context.deadline.left();
        self.client.call(method, &url, headers, MAX_BYTES, left)
    }

    /// The body of a reply, `None` if there is no such thing. `what` is what was asked for.
    ///
    /// # Errors
    /// What `meaning` says of the code.
    pub fn judge(
        &self,
        reply: Reply,
        what: &str,
        meaning: Meaning,
    ) -> Result<Option<Vec<u8>>, Failed> {
        match meaning {
            Meaning::Found => Ok(Some(reply.body)),
            Meaning::Absent => Ok(None),
            Meaning::Busy => Err(self.busy(&reply, what)),
            Meaning::Refusal => Err(self.refusal(&reply, what)),
        }
    }

    /// The failure of a reply that time may cure.
    pub fn busy(&self, reply: &Reply, what: &str) -> Failed {
        reply.busy(self.says(reply, what))
    }

    /// The failure of a reply that it will not.
    pub fn refusal(&self, reply: &Reply, what: &str) -> Failed {
        let (says, name) = (self.says(reply, what), self.name);
        let next = format!("is this machine on {name}, with its metadata service enabled?");
        Failed::Finally(anyhow!("{says}; {next}"))
    }

    fn says(&self, reply: &Reply, what: &str) -> anyhow::Error {
        let (name, code) = (self.name, reply.code);
        anyhow!("the metadata service of {name} answers {code} when asked for {what}")
    }

    /// The user data at `path`, for services without peculiarities.
    ///
    /// # Errors
    /// As [`Service::until`].
    pub fn user_data(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let found = self.until(|| {
            let reply = self.ask(Method::GET, path, headers)?;
            let meaning = usual(&reply);
            self.judge(reply, "user data", meaning)
        });
        found.map(|found| self.answer(found))
    }

    /// What was found, as a source's answer.
    pub fn answer(&self, found: Option<Vec<u8>>) -> Answer {
        let name = self.name;
        match found {
            Some(bytes) => Answer::document(bytes, format!("{name} user data")),
            None => Answer::Nothing(format!(
                "this machine has no user data on {name}; give it the machine document there"
            )),
        }
    }
}

/// What a reply means where the platform has no rule of its own.
pub fn usual(reply: &Reply) -> Meaning {
    match reply.code {
        200 => Meaning::Found,
        404 => Meaning::Absent,
        _ if reply.is_busy() => Meaning::Busy,
        _ => Meaning::Refusal,
    }
}

/// What base64 that a service gave stands for.
///
/// # Errors
/// [`Exit::Invalid`]; `what` is what messages call it.
pub fn decoded(text: &[u8], what: &str) -> Result<Vec<u8>> {
    base64::lenient(text)
        .ok_or_else(|| anyhow!("{what} is not base64, as it has to be there; encode it again"))
        .exit(Exit::Invalid)
}
