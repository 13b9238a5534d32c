//! A page of docs/ is followed as a person follows it: its commands are typed, and the answers are those that it shows.
//!
//! What it shows is a block of `console`: a line that begins with `# ` is typed as root, the lines below it are what comes.
//! Numbers differ from one run to the next and are not compared; a line `…` stands for any lines, and within a line it stands
//! for any text.

use std::fs;

use anyhow::{Context, Result, ensure};

/// The page about recoveries, relative to the repository.
const PAGE: &str = "docs/recovery.md";
/// What begins a block, and may go on with the code that its last command ends with: `console exit=6`.
const BLOCK: &str = "```console";
const PROMPT: &str = "# ";
/// Any lines, or any text; also none.
const ANYTHING: &str = "…";
/// A word of so many hexadecimal digits, or more, is a hash.
const HASH: usize = 8;

/// Something to type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The line of shell.
    pub command: String,
    /// What comes of it, if that counts.
    pub shown: Option<Vec<String>>,
    /// What it ends with.
    pub exit: i32,
}

impl Step {
    /// That has to succeed, whatever it says.
    pub fn new(command: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            ..Self::default()
        }
    }

    /// Whether it ended and answered as the page shows.
    pub fn judge(&self, exit: Option<i32>, said: &str) -> Result<()> {
        let command = &self.command;
        ensure!(
            exit == Some(self.exit),
            "`{command}` ended with {exit:?} instead of {}: {said}",
            self.exit
        );
        let Some(shown) = &self.shown else {
            return Ok(());
        };
        let normal = |lines: &mut dyn Iterator<Item = &str>| lines.map(normal).collect::<Vec<_>>();
        let expected = normal(&mut shown.iter().map(String::as_str));
        ensure!(
            fits(&expected, &normal(&mut said.lines())),
            "{PAGE} shows of `{command}`:\n{}\nand it says:\n{said}",
            shown.join("\n")
        );
        Ok(())
    }
}

/// What of the answers counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// That they are those of the page.
    Answers,
    /// With what code the commands end: the cluster is not the page's.
    Codes,
}

/// What the page has one type in the section whose heading begins so, e.g. `2.`.
pub fn section(heading: &str, judged: Judged) -> Result<Vec<Step>> {
    let path = crate::repo().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut steps = steps(&page, heading)?;
    ensure!(!steps.is_empty(), "{PAGE}: nothing to type in {heading:?}");
    if judged == Judged::Codes {
        steps.iter_mut().for_each(|step| step.shown = None);
    }
    Ok(steps)
}

fn steps(page: &str, heading: &str) -> Result<Vec<Step>> {
    let begin = format!("## {heading}");
    let lines = page.lines().skip_while(|line| !line.starts_with(&begin));
    let lines = lines.skip(1).take_while(|line| !line.starts_with("## "));
    let mut steps: Vec<Step> = Vec::new();
    let mut exit = None;
    for line in lines {
        match exit {
            None => {
                let rest = line.strip_prefix(BLOCK);
                exit = rest.map(exit_of).transpose()?;
            }
            Some(_) if line.starts_with("```") => exit = None,
            Some(exit) => match line.strip_prefix(PROMPT) {
                Some(command) => steps.push(Step {
                    command: command.to_owned(),
                    shown: Some(Vec::new()),
                    exit,
                }),
                None => {
                    let step = steps.last_mut().context("an answer without a command")?;
                    step.shown.get_or_insert_default().push(line.to_owned());
                }
            },
        }
    }
    Ok(steps)
}

fn exit_of(rest: &str) -> Result<i32> {
    match rest.trim().strip_prefix("exit=") {
        Some(code) => code.parse().with_context(|| format!("{BLOCK}{rest}")),
        None => Ok(0),
    }
}

/// A line without what differs from one run to the next: columns are one space wide, numbers and hashes are `0`.
fn normal(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let is_hash = word.len() >= HASH && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash {
            "0".to_owned()
        } else {
            numberless(word)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn numberless(word: &str) -> String {
    let mut all = String::new();
    for letter in word.chars() {
        match letter.is_ascii_digit() {
            true if all.ends_with('0') => {}
            true => all.push('0'),
            false => all.push(letter),
        }
    }
    // A fraction of nothing is not written.
    all.replace("0.0", "0")
}

/// Whether the lines are the expected ones, which may have gaps.
fn fits(expected: &[String], lines: &[String]) -> bool {
    match expected.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == ANYTHING => {
            (0..=lines.len()).any(|at| fits(rest, &lines[at..]))
        }
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, lines)| is_like(first, line) && fits(rest, lines)),
    }
}

/// Whether a line is the expected one, which may have a gap.
fn is_like(expected: &str, line: &str) -> bool {
    match expected.split_once(ANYTHING) {
        None => line == expected,
        Some((begin, end)) => line
            .strip_prefix(begin)
            .is_some_and(|rest| rest.ends_with(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Page\n## 1. One\n```console\n# true\n```\n## 2. Two\nText.\n```console\n# slipway look\n  \
        0.1s  12 files\n…\ndone\n# next\n```\nMore.\n```console exit=6\n# slipway refuse\nno\n```\n## 3. Three\n";

    #[test]
    fn a_section_is_its_commands_and_what_they_answer() {
        let found = steps(TEXT, "2.").unwrap();
        let commands: Vec<_> = found.iter().map(|step| step.command.as_str()).collect();
        assert_eq!(commands, ["slipway look", "next", "slipway refuse"]);
        assert_eq!(found[0].shown.as_ref().unwrap().len(), 3);
        assert_eq!(found[1].shown, Some(Vec::new()));
        assert_eq!((found[1].exit, found[2].exit), (0, 6));
        assert_eq!(steps(TEXT, "4.").unwrap(), []);
    }

    #[test]
    fn numbers_and_gaps_do_not_count_and_words_do() {
        let step = &steps(TEXT, "2.").unwrap()[0];
        step.judge(Some(0), " 12.5s  7 files\nany\nmore\ndone\n")
            .unwrap();
        step.judge(Some(0), "0.0s 7 files\ndone").unwrap();
        for (exit, said) in [
            (Some(1), "0.0s 7 files\ndone"),
            (None, "0.0s 7 files\ndone"),
            (Some(0), "0.0s 7 folders\ndone"),
            (Some(0), "0.0s 7 files"),
            (Some(0), "0.0s 7 files\ndone\nand more"),
        ] {
            assert!(step.judge(exit, said).is_err(), "{exit:?} {said}");
        }
        assert_eq!(
            normal("at 2026-11-30T12:19:22.08Z"),
            normal("at 2027-01-02T00:00:01Z")
        );
        assert_eq!(normal("key 0123abcdef"), normal("key ffff00001111"));
        assert_ne!(normal("node-a"), normal("node-b"));
        assert!(is_like("token-…; supply", "token-abc; supply"));
        assert!(!is_like("token-…; supply", "token-abc; find"));
        assert!(!is_like("a…a", "a"));
    }
}
