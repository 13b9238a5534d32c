//! Loading the real control plane into the API: server-side apply, in an order that works.
//!
//! Namespaces, then CustomResourceDefinitions until they are established, then the rest. What cannot be
//! applied yet is tried again until the deadline; what the server refuses for good is reported with
//! its reason and does not hold up the rest, unless `--strict`. Before the first handover slipway
//! owns every field it writes; after it, what another manager changed is left and named.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::plane::{Manifest, name};
use super::wait::{Look, Wait, until};
use crate::exit::{Exit, fail};
use crate::kube::{Change, Client, Error, name_of};
use crate::report::Reporter;

/// The field manager of everything that slipway applies.
pub const MANAGER: &str = "slipway";

/// How to apply.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Stop at the first refusal.
    pub strict: bool,
    /// Take over fields that another manager owns.
    pub force: bool,
    /// When to give up on what cannot be applied yet.
    pub deadline: Instant,
}

/// What became of the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Objects that did not exist.
    pub created: usize,
    /// Objects that changed.
    pub changed: usize,
    /// Objects that were right already.
    pub unchanged: usize,
    /// Objects left alone because another manager changed them, with the fields in conflict.
    pub left: Vec<String>,
    /// What the server refused for good, with its reason.
    pub refused: Vec<Refusal>,
}

/// An object that the server does not want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its name, without namespace and kind.
    pub name: String,
    /// Which object of which file, and the server's reason.
    pub text: String,
}

impl Summary {
    fn count(&self) -> usize {
        self.created + self.changed + self.unchanged + self.left.len() + self.refused.len()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} objects", self.count())?;
        let counts = [
            (self.created, "created"),
            (self.changed, "changed"),
            (self.unchanged, "unchanged"),
            (self.left.len(), "left as another manager has them"),
            (self.refused.len(), "refused"),
        ];
        let mut separator = ": ";
        for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {what}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// The pause before what could not be applied is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Applies all manifests.
pub fn run(
    client: &Client,
    manifests: &[&Manifest],
    policy: Policy,
    reporter: &mut Reporter,
) -> Result<Summary> {
    let mut summary = Summary::default();
    let (namespaces, rest): (Vec<&Manifest>, Vec<&Manifest>) = manifests
        .iter()
        .partition(|m| m.object["kind"] == "Namespace");
    let (definitions, rest): (Vec<_>, Vec<_>) = rest
        .into_iter()
        .partition(|m| m.object["kind"] == "CustomResourceDefinition");
    apply_all(client, namespaces, policy, reporter, &mut summary)?;
    apply_all(client, definitions.clone(), policy, reporter, &mut summary)?;
    await_established(client, &definitions, policy, reporter, &summary)?;
    apply_all(client, rest, policy, reporter, &mut summary)?;
    Ok(summary)
}

fn apply_all(
    client: &Client,
    mut pending: Vec<&Manifest>,
    policy: Policy,
    reporter: &mut Reporter,
    summary: &mut Summary,
) -> Result<()> {
    let wait = Wait {
        what: "every object is in the API",
        deadline: policy.deadline,
        every: AGAIN,
        changes: None,
        next_step: "see why the server cannot take the object, then run `slipway start` again",
    };
    until(reporter, wait, |reporter| {
        let mut why = String::new();
        let mut later = Vec::new();
        for manifest in pending.drain(..) {
            reporter.alive();
            if let Err(error) = apply_one(client, manifest, policy, summary)? {
                why = format!("{}: {error}", show(manifest));
                later.push(manifest);
            }
        }
        pending = later;
        Ok(if pending.is_empty() {
            Look::There(())
        } else {
            Look::NotYet(why)
        })
    })
}

/// Applies one object. The inner error is one that may pass.
fn apply_one(
    client: &Client,
    manifest: &Manifest,
    policy: Policy,
    summary: &mut Summary,
) -> Result<std::result::Result<(), Error>> {
    match client.apply(&manifest.object, MANAGER, policy.force) {
        Ok(applied) => match applied.change {
            Change::Created => summary.created += 1,
            Change::Changed => summary.changed += 1,
            Change::Unchanged => summary.unchanged += 1,
        },
        Err(error) if may_pass(&error) => return Ok(Err(error)),
        Err(Error::Status(status)) if status.code == 409 && !policy.force => {
            let fields: Vec<_> = status
                .causes
                .iter()
                .map(|cause| format!("{} ({})", cause.field, cause.message))
                .collect();
            summary
                .left
                .push(format!("{}: {}", show(manifest), fields.join(", ")));
        }
        Err(error) => {
            let text = format!("{}: {error}", show(manifest));
            if policy.strict {
                return Err(fail(
                    Exit::Failed,
                    anyhow!(
                        "{text}\nnext step: correct {} and run `slipway start` again",
                        manifest.file
                    ),
                ));
            }
            summary.refused.push(Refusal {
                name: name(&manifest.object),
                text,
            });
        }
    }
    Ok(Ok(()))
}

/// Whether the same object may be accepted later: the server has trouble of its own, or what the object
/// needs (its kind, its namespace) is not there yet.
fn may_pass(error: &Error) -> bool {
    error.is_retryable() || error.is_not_found() || matches!(error, Error::UnknownKind { .. })
}

fn show(manifest: &Manifest) -> String {
    format!("{} ({})", name_of(&manifest.object), manifest.file)
}

fn await_established(
    client: &Client,
    definitions: &[&Manifest],
    policy: Policy,
    reporter: &mut Reporter,
    summary: &Summary,
) -> Result<()> {
    let wait = Wait {
        what: "every CustomResourceDefinition is established",
        deadline: policy.deadline,
        every: AGAIN,
        changes: None,
        next_step: "see the conditions of the CustomResourceDefinition",
    };
    let names = definitions
        .iter()
        .map(|definition| name(&definition.object));
    let names: Vec<_> = names
        .filter(|name| !summary.refused.iter().any(|refused| &refused.name == name))
        .collect();
    until(reporter, wait, |_| {
        for name in &names {
            let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            match client.get(&path) {
                Ok(found) if is_established(&found) => {}
                Ok(_) => return Ok(Look::NotYet(format!("{name} is not established"))),
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            }
        }
        Ok(Look::There(()))
    })
}

fn is_established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array();
    conditions.is_some_and(|all| {
        all.iter()
            .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_only_what_happened() {
        let summary = Summary {
            created: 41,
            ..Summary::default()
        };
        assert_eq!(summary.to_string(), "41 objects: 41 created");
        assert_eq!(Summary::default().to_string(), "0 objects");
    }
}
