//! `--help`: at most one screen; and the manual page: the same table in roff.

use super::former::FORMER;
use super::{COMMANDS, Command, Flag};

/// What every help ends with.
const EXITS: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 document invalid, 4 source not found,\n\
                     5 timed out, 6 refused for safety, 7 differences found.\n";

/// Columns and lines of a serial console.
const WIDTH: usize = 80;
const HEIGHT: usize = 24;

/// The help of a command, or of slipway itself.
pub fn help(command: Option<&Command>) -> String {
    match command {
        None => overview(),
        Some(command) => of_command(command),
    }
}

fn overview() -> String {
    let mut out = String::from(
        "slipway launches a self-hosted Kubernetes control plane from machine metadata.\n\n\
         Usage: slipway [-v] COMMAND [OPTIONS]\n\n",
    );
    for command in COMMANDS {
        let start = format!("  {:<12} ", command.name);
        out.push_str(&wrapped(&start, command.summary));
    }
    out.push_str("\nslipway COMMAND --help tells its options; -v logs attempts too.\n");
    out.push_str(EXITS);
    out
}

/// Explains as many options as fit on the screen, in the table's order, and names the others.
fn of_command(command: &Command) -> String {
    let most = command.options.len();
    let fits = |text: &String| text.lines().count() <= HEIGHT;
    let mut texts = (0..=most)
        .rev()
        .map(|explained| of_command_with(command, explained));
    texts
        .find(fits)
        .unwrap_or_else(|| of_command_with(command, 0))
}

fn of_command_with(command: &Command, explained: usize) -> String {
    let usage = format!("slipway {} [OPTIONS] {}", command.name, command.argument);
    let mut out = format!(
        "{}\nUsage: {}\n\n",
        wrapped(&format!("slipway {}: ", command.name), command.summary),
        usage.trim_end()
    );
    let (explained, named) = command.options.split_at(explained);
    for flag in explained {
        let start = format!("  {:<28} ", spelled(flag));
        out.push_str(&wrapped(&start, flag.help));
    }
    if !named.is_empty() {
        let names: Vec<_> = named
            .iter()
            .map(|flag| format!("--{}", flag.name))
            .collect();
        let more = format!("and, explained by `slipway man`, {}", names.join(" "));
        out.push_str(&wrapped("  ", &more));
    }
    if !command.details.is_empty() {
        out.push_str(&format!("\n{}", wrapped("", command.details)));
    }
    out
}

/// Words after `start`, on as many lines as a console needs, each as far to the right as the first.
fn wrapped(start: &str, text: &str) -> String {
    let indent = start.chars().count();
    let mut out = start.to_owned();
    let mut column = indent;
    for word in text.split_whitespace() {
        let needed = usize::from(column > indent) + word.chars().count();
        if column > indent && column + needed > WIDTH {
            out.push_str(&format!("\n{:indent$}", ""));
            column = indent;
        }
        if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.chars().count();
    }
    out.push('\n');
    out
}

fn spelled(flag: &Flag) -> String {
    format!("--{} {}", flag.name, flag.value)
        .trim_end()
        .to_owned()
}

/// slipway(8) as roff.
pub fn man() -> String {
    let mut out = format!(
        ".TH SLIPWAY 8 \"\" \"slipway {}\" \"System Administration\"\n.SH NAME\n\
         slipway \\- launch a self-hosted Kubernetes control plane from machine metadata\n\
         .SH SYNOPSIS\n.B slipway\n[\\-v] COMMAND [OPTIONS]\n.SH COMMANDS\n",
        env!("CARGO_PKG_VERSION")
    );
    for command in COMMANDS {
        out.push_str(&format!(
            ".SS {} {}\n{}.\n",
            command.name,
            command.argument,
            roff(command.summary)
        ));
        if !command.details.is_empty() {
            out.push_str(&format!("{}\n", roff(command.details)));
        }
        for flag in command.options {
            out.push_str(&format!(
                ".TP\n.B {}\n{}\n",
                roff(&spelled(flag)),
                roff(flag.help)
            ));
        }
        if command.name == "render" {
            out.push_str(".PP\nFlags of the original and what takes their place:\n");
            for former in &FORMER {
                out.push_str(&format!(".br\n{}\n", roff(&former.instead())));
            }
        }
    }
    out.push_str(&format!(".SH EXIT STATUS\n{}", roff(EXITS)));
    out
}

fn roff(text: &str) -> String {
    text.replace('\\', "\\\\").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_help_fits_one_screen() {
        let all = COMMANDS.iter().map(Some).chain([None]);
        for text in all.map(help) {
            assert!(text.lines().count() <= HEIGHT, "{text}");
            let wide = text.lines().find(|line| line.chars().count() > WIDTH);
            assert_eq!(wide, None);
            assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
        }
    }

    #[test]
    fn the_manual_names_every_option() {
        let man = man();
        for flag in COMMANDS.iter().flat_map(|command| command.options) {
            assert!(
                man.contains(&roff(&format!("--{}", flag.name))),
                "{}",
                flag.name
            );
        }
        for former in &FORMER {
            assert!(man.contains(&roff(&former.instead())), "{}", former.name);
        }
    }
}
