//! `slipway status`: the stage record of the last launch, for a person or a program.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::Output;
use super::record::{Outcome, Record};
use crate::exit::{Exit, WithExit};
use crate::node::files;

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_millis(500);

/// Prints the record in `folder`; with `watch`, again whenever it changes, until the launch is over.
pub fn show(folder: &Path, output: Output, watch: bool) -> Result<()> {
    let mut shown = String::new();
    loop {
        let bytes = files::read_if_there(&folder.join("status.json"))?;
        let record = bytes.map(|bytes| read(&bytes)).transpose()?;
        let text = match (&record, output) {
            (Some(record), Output::Text) => table(record),
            (Some(record), Output::Json) => String::from_utf8_lossy(&record.json()).into_owned(),
            (None, _) if watch => "no launch yet\n".to_owned(),
            (None, _) => {
                let where_ = folder.display();
                return Err(anyhow!(
                    "no launch yet: {where_} has no status.json; run `slipway start`"
                ))
                .exit(Exit::NotFound);
            }
        };
        if text != shown {
            // A terminal gets one live table, anything else a new one below the last.
            let clear = if watch && std::io::stdout().is_terminal() {
                "\x1b[H\x1b[2J"
            } else {
                ""
            };
            print!("{clear}{text}");
            shown = text;
        }
        if !watch || record.is_some_and(|record| record.outcome != Outcome::Running) {
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
}

fn read(bytes: &[u8]) -> Result<Record> {
    serde_json::from_slice(bytes).context("status.json is not a stage record of this slipway")
}

/// The stages with their seconds, and the last change below.
fn table(record: &Record) -> String {
    let outcome = match record.outcome {
        Outcome::Running => "running",
        Outcome::HandedOver => "handed over",
        Outcome::Failed => "failed",
    };
    let mut out = format!(
        "slipway {} · {} · {outcome}\n",
        record.version, record.command
    );
    for stage in &record.stages {
        let seconds = stage
            .end_s
            .map(|end| format!("{:>6.1} s", end - stage.start_s));
        out.push_str(&format!(
            "  {:<10} {}\n",
            stage.name,
            seconds.unwrap_or_else(|| "     …".to_owned())
        ));
    }
    let mut lines = record.last.lines();
    out.push_str(&format!(
        "at {:.1} s: {}\n",
        record.last_s,
        lines.next().unwrap_or_default()
    ));
    lines.for_each(|line| out.push_str(&format!("  → {line}\n")));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;

    #[test]
    fn a_table_shows_what_is_waited_for() {
        let mut record = Record::new("start");
        record.enter("seed", 0.0);
        record.enter("wait", 4.0);
        record.now("kube-apiserver 0/1\nit crashes", 9.0);
        let table = table(&record);
        assert!(table.contains("seed          4.0 s"), "{table}");
        assert!(
            table.contains("at 9.0 s: kube-apiserver 0/1\n  → it crashes"),
            "{table}"
        );
    }

    #[test]
    fn without_a_launch_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let error = show(dir.path(), Output::Text, false).unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
    }
}
