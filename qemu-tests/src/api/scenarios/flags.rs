//! The real programs know every flag that slipway renders, take its value, and call none of them
//! deprecated; and the kubelet reads its configuration to the last field.
//!
//! A program that is given `--help` last reads what stands before it first, as it would when it
//! starts, and then does nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::api::rendered::Rendered;
use crate::payload;
use crate::scenario::Context;

/// Programs of which a document that launches a control plane has to show one each.
const EXPECTED: [&str; 9] = [
    "coredns",
    "etcd",
    "flanneld",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
    "slipway",
];
/// Those of them that are released together.
const KUBERNETES: [&str; 5] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
];
/// What the kubelet's environment lets it be where only cgroup version 1 is mounted.
const ANY_CGROUPS: &str = "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
";
/// A kubeconfig that is not there: where a kubelet ends that took its configuration.
const NOWHERE: &str = "/nowhere/kubeconfig";

/// Of the payload's programs.
pub fn flags(context: &Context) -> Result<()> {
    all_known(context, &context.payload.join("bin"), &EXPECTED)
}

/// Of Kubernetes' programs of the version before the payload's.
pub fn flags_of_previous(context: &Context) -> Result<()> {
    let previous = payload::previous(&context.repo)?;
    all_known(context, &previous.bin, &KUBERNETES)
}

/// By the programs of the folder `bin`, among which `expected` have to be asked.
fn all_known(context: &Context, bin: &Path, expected: &[&str]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for document in Rendered::all(context)? {
        let problems = |what| format!("tests/golden/{}: {what}", document.name);
        for line in command_lines(&document)? {
            // A document may bring containers of its own, and the folder need not have everything.
            let Some(program) = program(context, bin, &line) else {
                continue;
            };
            knows(&program, &line.arguments).with_context(|| problems("a flag"))?;
            seen.insert(line.program);
        }
        kubelet(context, bin, &document).with_context(|| problems("the kubelet"))?;
        seen.insert("kubelet".to_owned());
    }
    let missing: Vec<_> = expected
        .iter()
        .filter(|name| !seen.contains(**name))
        .collect();
    ensure!(missing.is_empty(), "no document starts {missing:?}");
    Ok(())
}

/// What a container runs.
struct CommandLine {
    /// The program's name without its folder.
    program: String,
    arguments: Vec<String>,
}

/// The command lines of all containers.
fn command_lines(document: &Rendered) -> Result<Vec<CommandLine>> {
    let mut lines = Vec::new();
    for (_, object) in document.objects()? {
        let pod = match object["kind"].as_str() {
            Some("Pod") => &object["spec"],
            _ => &object["spec"]["template"]["spec"],
        };
        for containers in ["initContainers", "containers"] {
            let containers = pod[containers].as_array();
            lines.extend(containers.into_iter().flatten().filter_map(command_line));
        }
    }
    Ok(lines)
}

/// Where no command is given, the image's own is named like the container. A reference to a variable
/// becomes an address, which is what slipway's variables are.
fn command_line(container: &Value) -> Option<CommandLine> {
    let words = |field: &str| -> Vec<String> {
        let words = container[field].as_array().into_iter().flatten();
        words
            .filter_map(|word| Some(resolved(word.as_str()?)))
            .collect()
    };
    let mut command = words("command");
    if command.is_empty() {
        command.push(container["name"].as_str()?.to_owned());
    }
    let program = Path::new(&command.remove(0))
        .file_name()?
        .to_str()?
        .to_owned();
    command.extend(words("args"));
    Some(CommandLine {
        program,
        arguments: command,
    })
}

fn resolved(word: &str) -> String {
    match (word.split_once("$("), word.split_once(')')) {
        (Some((before, _)), Some((_, after))) => format!("{before}192.0.2.1{after}"),
        _ => word.to_owned(),
    }
}

fn program(context: &Context, bin: &Path, line: &CommandLine) -> Option<PathBuf> {
    let path = match line.program.as_str() {
        "slipway" => context.slipway.clone(),
        "cp" => "/bin/cp".into(),
        name => bin.join(name),
    };
    path.exists().then_some(path)
}

fn knows(program: &Path, arguments: &[String]) -> Result<()> {
    let said = Command::new(program)
        .args(arguments)
        .arg("--help")
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    // flanneld prints what it does not know and ends well.
    let complaint = ["not defined", "has been deprecated", "unknown flag"];
    let complaint = text
        .lines()
        .find(|line| complaint.iter().any(|word| line.contains(word)));
    match complaint {
        None if said.status.success() => Ok(()),
        Some(line) => bail!("{} says: {line}", program.display()),
        None => bail!(
            "{} ended with {}: {}",
            program.display(),
            said.status,
            String::from_utf8_lossy(&said.stderr).trim()
        ),
    }
}

/// The kubelet reads drop-ins leniently and its main file strictly: each is given as the main one.
fn kubelet(context: &Context, bin: &Path, document: &Rendered) -> Result<()> {
    let kubelet = bin.join("kubelet");
    let environment = fs::read_to_string(document.folder.join("kubelet/kubelet.env"))?;
    let arguments: Vec<_> = environment
        .lines()
        .filter_map(|line| line.strip_prefix("KUBELET_ARGS="))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .filter(|argument| !argument.contains("bootstrap-kubeconfig"))
        .map(str::to_owned)
        .collect();
    knows(&kubelet, &arguments)?;
    let drop_ins = context.work.join("kubelet.d");
    fs::create_dir_all(&drop_ins)?;
    fs::write(drop_ins.join("60-harness.conf"), ANY_CGROUPS)?;
    for file in ["kubelet/config.yaml", "kubelet/50-slipway.conf"] {
        let said = Command::new(&kubelet)
            .arg("--config")
            .arg(document.folder.join(file))
            .arg("--config-dir")
            .arg(&drop_ins)
            .args(["--kubeconfig", NOWHERE])
            .args(&arguments)
            .output()?;
        let text = String::from_utf8_lossy(&said.stderr);
        if let Some(line) = text.lines().find(|line| line.contains("strict decoding")) {
            bail!("{file}: {line}");
        }
        let last = text.lines().last().unwrap_or_default();
        ensure!(last.contains(NOWHERE), "{file}: {last}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_command_line_of_a_container() {
        let given =
            json!({ "name": "x", "command": ["/opt/bin/flanneld"], "args": ["--iface=$(IP)"] });
        let line = command_line(&given).unwrap();
        assert_eq!(line.program, "flanneld");
        assert_eq!(line.arguments, ["--iface=192.0.2.1"]);
        let own = command_line(&json!({ "name": "coredns", "args": ["-conf", "x"] })).unwrap();
        assert_eq!(own.program, "coredns");
    }

    #[test]
    fn a_flag_that_nobody_knows_is_found() {
        let arguments = ["--no-such-flag=1".to_owned()];
        assert!(knows(Path::new("/bin/cp"), &arguments).is_err());
        assert!(knows(Path::new("/bin/cp"), &[]).is_ok());
    }
}
