//! Nothing secret is logged: all that a node keeps for itself is looked for in everything that anybody said there, whoever it was.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::launch::ASSETS;
use super::native::Node;
use crate::wait;

/// Where the data of Secrets lies for checkpoints.
const CHECKPOINTS: &str = "/etc/kubernetes/checkpoint-secrets";
/// What a node's asset directory keeps, below it.
const KEPT: [&str; 2] = ["auth", "tls"];
/// What every launched node has logged.
const LOGS: [&str; 5] = [
    "checkpoint.log",
    "containerd.log",
    "kubelet.log",
    "start.log",
    "pods",
];
/// What is shorter could be anybody's word.
const LEAST: usize = 16;
/// Fields of configuration that hold a secret; everything else of it is known to all.
const FIELDS: [&str; 5] = [
    "client-key-data",
    "password",
    "secret",
    "token",
    "token-secret",
];
/// A log that goes while it is read is none.
const GOING: Duration = Duration::from_secs(20);

/// Nothing of the data of Secrets in checkpoints, of the assets' keys and tokens, and none of these, is in any log, plain or in base64.
pub fn none_in_logs(node: &Node, more: &[&str]) -> Result<()> {
    let mut secrets: BTreeSet<String> = more.iter().map(|one| (*one).to_owned()).collect();
    let assets = KEPT.map(|folder| format!("{ASSETS}/{folder}"));
    for folder in assets.iter().map(String::as_str).chain([CHECKPOINTS]) {
        let mut own = BTreeSet::new();
        collect(&node.path(folder), &mut own)?;
        ensure!(!own.is_empty(), "{folder} holds nothing secret");
        secrets.extend(own);
    }
    for log in LOGS {
        let path = node.logs().join(log);
        ensure!(path.exists(), "{} is missing", path.display());
    }
    let found = wait::until("search of the logs", GOING, || {
        search(node.logs(), &secrets)
    })?;
    ensure!(found.is_empty(), "something secret is in {found:?}");
    Ok(())
}

/// What is secret in the files below a folder, but for records, whose names begin with a dot.
fn collect(folder: &Path, secrets: &mut BTreeSet<String>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), secrets)?;
        } else {
            let bytes = fs::read(entry.path())?;
            let text = String::from_utf8_lossy(&bytes);
            secrets.extend(secret_lines(&text).into_iter().map(str::to_owned));
        }
    }
    Ok(())
}

/// What of a text is secret: of PEM the private keys, of configuration some fields, of anything else each line.
fn secret_lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    let found: Vec<_> = if text.contains("-----BEGIN ") {
        let mut is_private = false;
        let inside = |line: &&str| {
            if line.starts_with("-----") {
                is_private = line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY");
            }
            is_private && !line.starts_with("-----")
        };
        lines.filter(inside).collect()
    } else if text.contains("apiVersion:") {
        let fields = lines.filter_map(|line| line.trim_start_matches("- ").split_once(':'));
        let secret = fields.filter(|(name, _)| FIELDS.contains(name));
        secret
            .map(|(_, value)| value.trim().trim_matches('"'))
            .collect()
    } else {
        lines.collect()
    };
    let is_long = |line: &&str| line.len() >= LEAST;
    found.into_iter().filter(is_long).collect()
}

/// The places below a folder, `FILE:LINE`, where one of these is, one a file.
fn search(folder: &Path, secrets: &BTreeSet<String>) -> Result<Vec<String>> {
    let encoded = secrets.iter().flat_map(|secret| encoded(secret));
    let all: Vec<_> = secrets.iter().cloned().chain(encoded).collect();
    ensure!(
        !all.iter().any(String::is_empty),
        "everything holds nothing"
    );
    // Not as arguments: every process could read those.
    let mut input = tempfile::tempfile()?;
    input.write_all(all.join("\n").as_bytes())?;
    input.rewind()?;
    let output = Command::new("grep")
        .args(["--recursive", "--text", "--fixed-strings", "--file=-"])
        .args(["--line-number", "--max-count=1"])
        .arg(folder)
        .env("LC_ALL", "C")
        .stdin(input)
        .output()
        .context("cannot start grep")?;
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!("grep: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let place = |line: &str| line.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
    Ok(text.lines().map(place).collect())
}

/// What is in the base64 of every text that holds this one: which depends on how many characters stand before it, up to threes.
fn encoded(text: &str) -> [String; 3] {
    [0, 1, 2].map(|before| {
        let bytes = [&[0; 2][..before], text.as_bytes()].concat();
        let encoded = STANDARD_NO_PAD.encode(&bytes);
        // Six bits a character; those at the ends that hold a neighbour's too are left out.
        let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        encoded[first..end].to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49";

    #[test]
    fn keys_tokens_and_data_are_secret_and_certificates_are_not() {
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUc\n-----END CERTIFICATE-----\n\
             -----BEGIN EC PRIVATE KEY-----\n{KEY}\nshort=\n-----END EC PRIVATE KEY-----\n"
        );
        let public =
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZI\n-----END PUBLIC KEY-----\n";
        let kubeconfig = format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    server: https://127.0.0.1:6443\n\
             users:\n- name: a\n  user:\n    client-key-data: \"{KEY}\"\n    token: 0123456789abcdef\n"
        );
        for (text, expected) in [
            (&*pem, vec![KEY]),
            (public, vec![]),
            (&kubeconfig, vec![KEY, "0123456789abcdef"]),
            ("abcdef.0123456789abcdef\n", vec!["abcdef.0123456789abcdef"]),
            ("kube-system", vec![]),
        ] {
            assert_eq!(secret_lines(text), expected, "{text}");
        }
    }

    #[test]
    fn a_planted_line_is_found_plain_and_encoded_wherever_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pods/a/0.log");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let secrets = BTreeSet::from([KEY.to_owned()]);
        let found = |text: &str| {
            fs::write(&file, format!("first\n{text}\n")).unwrap();
            search(folder.path(), &secrets).unwrap()
        };
        let place = format!("{}:2", file.display());
        assert_eq!(found("nothing"), Vec::<String>::new());
        assert_eq!(found(&format!("a: {KEY}!")), [&*place]);
        for before in 0..6 {
            for after in 0..6 {
                let text = format!("{}{KEY}{}", &"abcdef"[..before], &"abcdef"[..after]);
                let text = STANDARD_NO_PAD.encode(text);
                assert_eq!(found(&text), [&*place], "{before} {after}");
            }
        }
        assert!(search(Path::new("/nowhere"), &secrets).is_err());
    }
}
