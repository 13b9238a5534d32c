//! One stage record, many faces: console line, kernel log, sd_notify status, JSON, timeline picture.
//!
//! A stage says what it is doing through [`Reporter`], once, and each face shows it in its own way.
//! The console gets a line per change and never the same line twice, because a serial console has
//! no cursor and its reader scrolls back; progress without change goes to sd_notify and the status
//! file only. The record itself is [`record::Record`], which knows nothing of faces.

pub mod console;
pub mod record;
pub mod status;
pub mod timeline;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::node::{files, notify};

pub use record::{Outcome, Record};

/// How changes are printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A line per change for a person.
    Text,
    /// A JSON object per change for a program.
    Json,
}

/// Takes the changes of one run and shows them everywhere.
#[derive(Debug)]
pub struct Reporter {
    started: Instant,
    record: Record,
    output: Output,
    folder: Option<PathBuf>,
    last_line: String,
    extended: Option<Instant>,
}

/// How much longer the service manager should wait after each sign of life.
const EXTENSION: Duration = Duration::from_secs(120);
/// How often it is asked to.
const EXTEND_EVERY: Duration = Duration::from_secs(20);

impl Reporter {
    /// A reporter for the command `command`; `folder`, if given, gets status.json and timeline.svg.
    pub fn new(command: &str, output: Output, folder: Option<PathBuf>) -> Self {
        Self {
            started: Instant::now(),
            record: Record::new(command),
            output,
            folder,
            last_line: String::new(),
            extended: None,
        }
    }

    /// Seconds since the run began.
    pub fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// The first line: what runs where.
    pub fn title(&mut self, text: &str) {
        match self.output {
            Output::Text => println!("{text}"),
            Output::Json => console::json(self.elapsed(), "title", text),
        }
        log::info!("{text}");
    }

    /// Enters a stage; the one before it ends now.
    pub fn stage(&mut self, name: &str) {
        let now = self.elapsed();
        self.record.enter(name, now);
    }

    /// A change in the current stage.
    pub fn line(&mut self, text: impl AsRef<str>) {
        let text = text.as_ref();
        let stage = self.record.stage().to_owned();
        if self.last_line == text {
            return;
        }
        text.clone_into(&mut self.last_line);
        match self.output {
            Output::Text => println!("{}", console::text(self.elapsed(), &stage, text)),
            Output::Json => console::json(self.elapsed(), &stage, text),
        }
        for line in text.lines() {
            log::info!("{stage}: {line}");
        }
        self.state(text);
    }

    /// What the stage waits for now and, if known, why; printed only when the text changes.
    pub fn waiting(&mut self, what: &str, why: Option<&str>) {
        match why {
            Some(why) => self.line(format!("{what}\n{why}")),
            None => self.line(what),
        }
        self.alive();
    }

    /// Tells the service manager that the run goes on, though nothing changed.
    pub fn alive(&mut self) {
        if self.extended.is_none_or(|at| at.elapsed() >= EXTEND_EVERY) {
            self.extended = Some(Instant::now());
            notify::extend(EXTENSION);
        }
    }

    /// Adds a figure to the record, e.g. `objects`.
    pub fn fact(&mut self, name: &str, value: impl Into<serde_json::Value>) {
        self.record.fact(name, value.into());
    }

    /// Leaves the files of the record alone: they tell of the run that did something.
    pub fn keep_earlier_record(&mut self) {
        self.folder = None;
    }

    /// The run is over.
    pub fn finish(&mut self, outcome: Outcome, text: &str) {
        let now = self.elapsed();
        self.record.finish(outcome, now);
        self.line(text);
        let svg = timeline::svg(&self.record);
        self.save("timeline.svg", svg.as_bytes());
    }

    fn state(&mut self, text: &str) {
        let now = self.elapsed();
        self.record.now(text, now);
        notify::status(&format!(
            "{}: {}",
            self.record.stage(),
            text.lines().next().unwrap_or_default()
        ));
        let json = self.record.json();
        self.save("status.json", &json);
    }

    /// Writes a file of the record. One that cannot be written must not end a launch that goes well.
    fn save(&mut self, name: &str, bytes: &[u8]) {
        let Some(folder) = &self.folder else { return };
        if let Err(error) = files::write(&folder.join(name), bytes, files::PUBLIC) {
            log::warn!("{error:#}");
            self.folder = None;
        }
    }
}
