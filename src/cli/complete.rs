//! Completions for bash, zsh and fish, written from the table.

use super::{COMMANDS, Command};

/// The completion script of a shell, or `None` for a shell that is not known.
pub fn script(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash()),
        "zsh" => Some(zsh()),
        "fish" => Some(fish()),
        _ => None,
    }
}

fn names() -> String {
    COMMANDS
        .iter()
        .map(|command| command.name)
        .collect::<Vec<_>>()
        .join(" ")
}

fn options(command: &Command) -> String {
    let options = command
        .options
        .iter()
        .map(|flag| format!("--{}", flag.name));
    options
        .chain(["--help".to_owned()])
        .collect::<Vec<_>>()
        .join(" ")
}

fn bash() -> String {
    let mut out = format!(
        "_slipway() {{\n  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" words\n  \
         if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"{} --help --version\"; else\n  \
         case \"${{COMP_WORDS[1]}}\" in\n",
        names()
    );
    for command in COMMANDS {
        out.push_str(&format!(
            "    {}) words=\"{}\" ;;\n",
            command.name,
            options(command)
        ));
    }
    out.push_str(
        "  esac; fi\n  mapfile -t COMPREPLY < <(compgen -W \"$words\" -f -- \"$word\")\n}\n\
         complete -F _slipway slipway\n",
    );
    out
}

fn zsh() -> String {
    let mut out = String::from("#compdef slipway\nif (( CURRENT == 2 )); then\n  _values command");
    for command in COMMANDS {
        out.push_str(&format!(
            " \\\n    '{}[{}]'",
            command.name,
            zsh_text(command.summary)
        ));
    }
    out.push_str("\n  return\nfi\ncase $words[2] in\n");
    for command in COMMANDS {
        out.push_str(&format!("  {}) _arguments", command.name));
        for flag in command.options {
            let value = if flag.value.is_empty() {
                String::new()
            } else {
                format!(":{}:_files", flag.value)
            };
            out.push_str(&format!(
                " \\\n    '--{}[{}]{value}'",
                flag.name,
                zsh_text(flag.help)
            ));
        }
        out.push_str(" ;;\n");
    }
    out.push_str("esac\n");
    out
}

/// Without the characters that end a zsh description or its quotes.
fn zsh_text(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\'' | '[' | ']' | ':'))
        .collect()
}

fn fish() -> String {
    let mut out = String::new();
    for command in COMMANDS {
        let (name, summary) = (command.name, command.summary.replace('\'', "’"));
        out.push_str(&format!(
            "complete -c slipway -n __fish_use_subcommand -f -a {name} -d '{summary}'\n"
        ));
        for flag in command.options {
            let needs = if flag.value.is_empty() { "" } else { " -r" };
            let help = flag.help.replace('\'', "’");
            out.push_str(&format!(
                "complete -c slipway -n '__fish_seen_subcommand_from {name}' -l {}{needs} -d '{help}'\n",
                flag.name
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_knows_every_option() {
        for shell in ["bash", "zsh", "fish"] {
            let script = script(shell).unwrap();
            for flag in COMMANDS.iter().flat_map(|command| command.options) {
                assert!(script.contains(flag.name), "{shell}: {}", flag.name);
            }
        }
        assert_eq!(script("csh"), None);
    }
}
