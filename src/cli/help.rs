//! `--help`: at most one screen; and the manual page: the same table in roff.

use super::former::FORMER;
use super::{COMMANDS, Command, Flag};

/// What every help ends with.
const EXITS: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 document invalid, 4 source not found,\n\
                     5 timed out, 6 refused for safety, 7 differences found.\n";

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
        out.push_str(&format!("  {:<12} {}\n", command.name, command.summary));
    }
    out.push_str("\nslipway COMMAND --help tells its options; -v logs attempts too.\n");
    out.push_str(EXITS);
    out
}

fn of_command(command: &Command) -> String {
    let mut out = format!(
        "slipway {}: {}\n\nUsage: slipway {} [OPTIONS] {}\n\n",
        command.name, command.summary, command.name, command.argument
    );
    for flag in command.options {
        out.push_str(&format!("  {:<28} {}\n", spelled(flag), flag.help));
    }
    if !command.details.is_empty() {
        out.push_str(&format!("\n{}\n", command.details));
    }
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
            assert!(text.lines().count() <= 24, "{text}");
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
