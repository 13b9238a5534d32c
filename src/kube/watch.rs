//! A watch: the changes of a collection as they happen.
//!
//! The server sends one JSON line per event over one long answer and ends it after the seconds that
//! the request named; an ended iterator is therefore normal, and the caller watches again from the
//! last resourceVersion it saw. Resuming is left to the caller, which knows its deadline.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;
use ureq::BodyReader;

use super::client::{Client, Request};
use super::error::{Error, Status};
use super::objects::resource_version;
use crate::transport::Times;

/// The longest event: etcd takes objects of 1.5 MiB, and JSON of their managed fields adds to it.
const LINE_LIMIT: u64 = 8 * 1024 * 1024;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The object after it (before it, if deleted); of a bookmark, only its resourceVersion counts.
    pub object: Value,
}

/// What happened to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It is new, or it was there when the watch began.
    Added,
    /// It changed.
    Modified,
    /// It is gone.
    Deleted,
    /// Nothing happened; a watch can resume from here.
    Bookmark,
}

impl Event {
    /// Where a watch goes on after this event.
    pub fn resource_version(&self) -> &str {
        resource_version(&self.object)
    }
}

/// The events of one watch. Ends with `None` when the server ends it, and after any error; an error
/// for which [`Error::is_gone`] is true means: list again.
pub struct Watch {
    client: Client,
    path: String,
    lines: Option<BufReader<BodyReader<'static>>>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Watches the collection at `path` (which may carry selectors) from `resource_version` on;
    /// empty means: first every object that is there, as added. The server ends it after `seconds`.
    pub fn watch(&self, path: &str, resource_version: &str, seconds: u32) -> Result<Watch, Error> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!(
            "{path}{separator}watch=true&allowWatchBookmarks=true\
             &resourceVersion={resource_version}&timeoutSeconds={seconds}"
        );
        let request = Request::get(&path);
        let whole = Duration::from_secs(seconds.into()) + self.timeout();
        let mut answer = self.open(&request, Times::Stream(self.timeout(), whole))?;
        if !answer.status().is_success() {
            let body = answer
                .body_mut()
                .with_config()
                .limit(LINE_LIMIT)
                .read_to_vec();
            let body = body.map_err(|error| self.explain(error, &request))?;
            let code = answer.status().as_u16();
            return Err(Error::Status(Status::parse(&request.name(), code, &body)));
        }
        let lines = Some(BufReader::new(answer.into_body().into_reader()));
        Ok(Watch {
            client: self.clone(),
            path,
            lines,
        })
    }
}

impl Watch {
    /// The next line; empty at the end of the stream.
    fn line(&mut self) -> Result<Vec<u8>, Error> {
        let mut line = Vec::new();
        if let Some(lines) = &mut self.lines {
            let request = Request::get(&self.path);
            lines
                .take(LINE_LIMIT)
                .read_until(b'\n', &mut line)
                .map_err(|error| self.client.explain(error.into(), &request))?;
        }
        Ok(line)
    }

    fn event(&self, line: &[u8]) -> Result<Event, Error> {
        let request = Request::get(&self.path).name();
        let decode = |cause: String| Error::Decode {
            request: request.clone(),
            cause,
        };
        if line.last() != Some(&b'\n') {
            return Err(decode(format!(
                "the stream breaks off after {} bytes of a line",
                line.len()
            )));
        }
        let mut event: Value =
            serde_json::from_slice(line).map_err(|error| decode(error.to_string()))?;
        let object = event["object"].take();
        let kind = match event["type"].as_str() {
            Some("ADDED") => EventKind::Added,
            Some("MODIFIED") => EventKind::Modified,
            Some("DELETED") => EventKind::Deleted,
            Some("BOOKMARK") => EventKind::Bookmark,
            Some("ERROR") => return Err(Error::Status(Status::from_value(&request, &object))),
            other => return Err(decode(format!("an event of the unknown type {other:?}"))),
        };
        Ok(Event { kind, object })
    }
}

impl Iterator for Watch {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = match self.line() {
            Ok(line) if line.is_empty() => None,
            Ok(line) => Some(self.event(&line)),
            Err(error) => Some(Err(error)),
        };
        if !matches!(event, Some(Ok(_))) {
            self.lines = None;
        }
        event
    }
}

#[cfg(test)]
mod tests;
