//! What a run has done so far, as data; the content of /var/lib/slipway/status.json.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Not over yet.
    Running,
    /// The self-hosted control plane serves alone.
    HandedOver,
    /// It ended with an error.
    Failed,
}

/// One stage of a run; times are seconds since the run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// E.g. `seed`.
    pub name: String,
    /// When it was entered.
    pub start_s: f64,
    /// When it was left; `None` while it lasts.
    pub end_s: Option<f64>,
}

/// The record of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The command, e.g. `start`.
    pub command: String,
    /// slipway's version.
    pub version: String,
    /// How the run stands.
    pub outcome: Outcome,
    /// The last change, and the seconds since the run began at which it came.
    pub last: String,
    /// See `last`.
    pub last_s: f64,
    /// The stages in the order they were entered.
    pub stages: Vec<Stage>,
    /// Figures of the run.
    pub facts: BTreeMap<String, Value>,
}

impl Record {
    /// A run that has just begun.
    pub fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            outcome: Outcome::Running,
            last: String::new(),
            last_s: 0.0,
            stages: Vec::new(),
            facts: BTreeMap::new(),
        }
    }

    /// The stage the run is in; its last one once it is over.
    pub fn stage(&self) -> &str {
        self.stages.last().map_or("", |stage| &stage.name)
    }

    pub(super) fn enter(&mut self, name: &str, now: f64) {
        if self.stage() == name {
            return;
        }
        self.leave(now);
        self.stages.push(Stage {
            name: name.to_owned(),
            start_s: round(now),
            end_s: None,
        });
    }

    pub(super) fn finish(&mut self, outcome: Outcome, now: f64) {
        self.leave(now);
        self.outcome = outcome;
    }

    fn leave(&mut self, now: f64) {
        if let Some(stage) = self.stages.last_mut() {
            stage.end_s.get_or_insert(round(now));
        }
    }

    pub(super) fn now(&mut self, text: &str, now: f64) {
        text.clone_into(&mut self.last);
        self.last_s = round(now);
    }

    pub(super) fn fact(&mut self, name: &str, value: Value) {
        self.facts.insert(name.to_owned(), value);
    }

    /// The record as a JSON document.
    pub fn json(&self) -> Vec<u8> {
        // A struct of strings and numbers always serialises; an empty document would say otherwise.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// Milliseconds are all that anybody reads.
fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entering_a_stage_ends_the_one_before() {
        let mut record = Record::new("start");
        record.enter("seed", 0.1);
        record.enter("seed", 0.2);
        record.enter("api", 1.0);
        record.finish(Outcome::HandedOver, 2.0);
        let ends: Vec<_> = record
            .stages
            .iter()
            .map(|s| (s.name.as_str(), s.end_s))
            .collect();
        assert_eq!(ends, [("seed", Some(1.0)), ("api", Some(2.0))]);
        let read: Record = serde_json::from_slice(&record.json()).unwrap();
        assert_eq!(read, record);
    }
}
