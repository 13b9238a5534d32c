//! What is done with objects: list, create, apply, replace, patch, delete.

use serde_json::Value;
use ureq::http::Method;

use super::client::{Client, Request};
use super::encode;
use super::error::Error;

/// A collection at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Where a watch goes on from here.
    pub resource_version: String,
    /// The objects, without `apiVersion` and `kind`, as the server sends them.
    pub items: Vec<Value>,
}

/// What an apply did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Whether it changed anything.
    pub change: Change,
    /// The object as the server holds it now.
    pub object: Value,
}

/// What an apply did to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was there and is different now.
    Changed,
    /// It was there and is what it was.
    Unchanged,
}

impl Client {
    /// The collection at `path`, all of it.
    pub fn list(&self, path: &str) -> Result<List, Error> {
        let mut answer = self.get(path)?;
        let resource_version = resource_version(&answer).to_owned();
        match answer["items"].take() {
            Value::Array(items) => Ok(List {
                resource_version,
                items,
            }),
            Value::Null
                if answer["kind"]
                    .as_str()
                    .is_some_and(|kind| kind.ends_with("List")) =>
            {
                Ok(List {
                    resource_version,
                    items: Vec::new(),
                })
            }
            _ => Err(Error::Decode {
                request: Request::get(path).name(),
                cause: "it is no list".to_owned(),
            }),
        }
    }

    /// Server-side apply: makes the fields of `object` ours and leaves the others alone.
    ///
    /// `force` takes over fields that another manager owns; without it they are a conflict, and
    /// [`Status::causes`](super::Status::causes) names each. Idempotent, and repeated as such.
    pub fn apply(&self, object: &Value, manager: &str, force: bool) -> Result<Applied, Error> {
        let query = format!("fieldManager={}&force={force}", encode(manager));
        let (before, object) = self.send(object, &query)?;
        let change = match before {
            None => Change::Created,
            Some(before) if resource_version(&before) == resource_version(&object) => {
                Change::Unchanged
            }
            Some(_) => Change::Changed,
        };
        Ok(Applied { change, object })
    }

    /// What [`Client::apply`] without force would do, and the server's own validation of every field:
    /// the object that is there, if one is, and the one that would be. Changes nothing.
    pub fn dry_run(&self, object: &Value, manager: &str) -> Result<(Option<Value>, Value), Error> {
        let manager = encode(manager);
        let query = format!("dryRun=All&fieldManager={manager}&force=false&fieldValidation=Strict");
        self.send(object, &query)
    }

    /// As [`Client::get`]; `None` if there is none.
    pub fn find(&self, path: &str) -> Result<Option<Value>, Error> {
        match self.get(path) {
            Err(error) if error.is_not_found() => Ok(None),
            found => found.map(Some),
        }
    }

    /// Sends an apply; returns the object before and after.
    fn send(&self, object: &Value, query: &str) -> Result<(Option<Value>, Value), Error> {
        let path = self.path_of(object)?;
        let before = self.find(&path)?;
        let path = format!("{path}?{query}");
        let after = self.json(&Request {
            content_type: "application/apply-patch+yaml",
            idempotent: true,
            ..Request::new(Method::PATCH, &path).with(object)
        })?;
        Ok((before, after))
    }

    /// Creates `object`; one that exists is a conflict (409, `AlreadyExists`).
    pub fn create(&self, object: &Value) -> Result<Value, Error> {
        let (collection, _) = self.collection_of(object)?;
        self.post(&collection, object)
    }

    /// Posts `body` to `path`: a subresource or a review, or an object to its collection.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.json(&Request::new(Method::POST, path).with(body))
    }

    /// Puts `object` in place of the one at `path`. With `metadata.resourceVersion` in it, only if
    /// nobody changed that one since; otherwise 409.
    pub fn replace(&self, path: &str, object: &Value) -> Result<Value, Error> {
        self.json(&Request::new(Method::PUT, path).with(object))
    }

    /// JSON merge patch (RFC 7386) of the object at `path`.
    pub fn merge_patch(&self, path: &str, patch: &Value) -> Result<Value, Error> {
        self.json(&Request {
            content_type: "application/merge-patch+json",
            ..Request::new(Method::PATCH, path).with(patch)
        })
    }

    /// Strategic merge patch of the object at `path`: lists are merged by their keys, so that one condition of a status
    /// can be written without the others.
    pub fn strategic_patch(&self, path: &str, patch: &Value) -> Result<Value, Error> {
        self.json(&Request {
            content_type: "application/strategic-merge-patch+json",
            ..Request::new(Method::PATCH, path).with(patch)
        })
    }

    /// Deletes what is at `path`; the answer is the object or a Status. 404 if it is not there.
    pub fn delete(&self, path: &str) -> Result<Value, Error> {
        self.json(&Request::new(Method::DELETE, path))
    }
}

/// `metadata.resourceVersion`, or nothing.
pub(super) fn resource_version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
