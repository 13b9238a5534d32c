//! The table of docs/certificates.md, read.

use anyhow::{Result, ensure};

use super::{THINGS, Thing};

const PAGE: &str = include_str!("../../../../../docs/certificates.md");
/// The column of the kubelet's own user.
pub const NODE_USER: &str = "node";
/// The columns. All but the first are ServiceAccounts of kube-system.
pub const USERS: [&str; 6] = [
    NODE_USER,
    "pod-checkpointer",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "flannel",
];

/// A line.
pub struct Row {
    pub thing: &'static Thing,
    /// The verbs of each column; the others are refused.
    pub may: Vec<Vec<String>>,
}

/// Every line, each of another thing, and none missing.
pub fn rows() -> Result<Vec<Row>> {
    let header = format!("| on | {} |", USERS.join(" | "));
    let mut lines = PAGE.lines().skip_while(|line| *line != header);
    ensure!(lines.next().is_some(), "the page has no table {header:?}");
    let lines = lines.skip(1).take_while(|line| line.starts_with('|'));
    let rows: Vec<_> = lines.map(row).collect::<Result<_>>()?;
    let times = |thing: &Thing| {
        rows.iter()
            .filter(|row| row.thing.phrase == thing.phrase)
            .count()
    };
    for thing in &THINGS {
        ensure!(
            times(thing) == 1,
            "{} lines of {:?}",
            times(thing),
            thing.phrase
        );
    }
    Ok(rows)
}

fn row(line: &str) -> Result<Row> {
    let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
    ensure!(cells.len() == USERS.len() + 1, "cells are missing: {line}");
    let thing = THINGS.iter().find(|thing| thing.phrase == cells[0]);
    let Some(thing) = thing else {
        anyhow::bail!("nobody knows what {:?} is", cells[0]);
    };
    let may = cells[1..].iter().map(|cell| verbs(cell)).collect();
    Ok(Row { thing, may })
}

fn verbs(cell: &str) -> Vec<String> {
    let words = cell.split(',').map(str::trim);
    words
        .filter(|word| *word != "–")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_line() {
        assert_eq!(rows().unwrap().len(), THINGS.len());
    }

    #[test]
    fn an_unknown_thing_is_refused() {
        assert!(row("| moons | – | – | – | – | – | – |").is_err());
        assert!(row("| DaemonSets | – |").is_err());
    }
}
