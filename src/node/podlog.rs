//! The last words of a container, from the files that the runtime writes.
//!
//! They can be read with the API down, which is when they are wanted most. Layout: the kubelet's
//! /var/log/pods/NAMESPACE_POD_UID/CONTAINER/N.log, lines `TIME stream F|P text` (CRI logging). A
//! static pod's full name ends in `-NODE`, so a pod is found by the part of its name that is known.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::below;

/// The longest last words in characters; a console line has no room for more.
const LONGEST: usize = 300;
/// How much of a file's end is read.
const TAIL: usize = 8 * 1024;

/// What every Kubernetes component logs as an error although nothing is wrong (component-base's
/// metrics/options.go in 1.37: no `--allow-metric-labels-manifest` was given).
const NOISE: &str = "The manifest file is empty, ignoring.";

/// The log folder of the newest pod that `namespace` and `name`, whole or without its `-NODE`, denote;
/// `None` means that the kubelet has made nothing of it yet.
pub fn folder(root: &Path, namespace: &str, name: &str) -> Option<PathBuf> {
    let (whole, part) = (
        format!("{namespace}_{name}_"),
        format!("{namespace}_{name}-"),
    );
    children(&below(root, "/var/log/pods"))
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&whole) || name.starts_with(&part)
        })
        .max_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok())
}

/// The line that best tells what went wrong in the newest container of a pod's log folder: the last one that
/// klog marks as an error, else the last one; `None` if nothing was written.
pub fn last_words(folder: &Path) -> Option<String> {
    let newest = children(folder)
        .iter()
        .flat_map(|container| children(container))
        .filter(|path| fs::metadata(path).is_ok_and(|meta| meta.len() > 0))
        .max_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok())?;
    let bytes = fs::read(newest).ok()?;
    let tail = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL)..]).into_owned();
    telling(tail.lines().filter_map(message))
        .map(|line| plain(line).chars().take(LONGEST).collect())
}

fn children(folder: &Path) -> Vec<PathBuf> {
    // A folder that is not there yet has nothing to say.
    fs::read_dir(folder)
        .map(|all| all.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

/// The text of a CRI log line.
fn message(line: &str) -> Option<&str> {
    let mut fields = line.splitn(4, ' ');
    let (_time, _stream, tag) = (fields.next()?, fields.next()?, fields.next()?);
    matches!(tag, "F" | "P").then(|| fields.next()).flatten()
}

fn telling<'a>(lines: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(bool, &str)> = None;
    let speaks = |line: &&str| !line.trim().is_empty() && !line.ends_with(NOISE);
    for line in lines.filter(speaks) {
        let grave = is_grave(line);
        if grave || best.is_none_or(|(was_grave, _)| !was_grave) {
            best = Some((grave, line));
        }
    }
    best.map(|(_, line)| line)
}

fn is_grave(line: &str) -> bool {
    let level = zap(line).map(|record| record["level"].clone());
    is_klog(line, &['E', 'F'])
        || ["Error", "panic"].iter().any(|word| line.starts_with(word))
        || level.is_some_and(|level| {
            ["warn", "error", "fatal", "panic"]
                .iter()
                .any(|bad| level == *bad)
        })
}

/// A line of etcd's, which logs JSON objects.
fn zap(line: &str) -> Option<Value> {
    line.starts_with('{')
        .then(|| serde_json::from_str(line).ok())
        .flatten()
}

/// The message without the logger's frame.
fn plain(line: &str) -> String {
    let Some(record) = zap(line) else {
        return strip_klog(line).to_owned();
    };
    let text = |field: &str| record[field].as_str().map(str::to_owned);
    let parts: Vec<_> = [text("msg"), text("error")].into_iter().flatten().collect();
    if parts.is_empty() {
        line.to_owned()
    } else {
        parts.join(": ")
    }
}

/// klog's header: severity, month and day, time, thread, `file:line]`.
fn is_klog(line: &str, severities: &[char]) -> bool {
    line.starts_with(severities) && line[1..].bytes().take(4).all(|byte| byte.is_ascii_digit())
}

fn strip_klog(line: &str) -> &str {
    let header = is_klog(line, &['I', 'W', 'E', 'F'])
        .then(|| line.split_once("] "))
        .flatten();
    header.map_or(line, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_more_than_the_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("var/log/pods/kube-system_etcd-a_u1/etcd");
        fs::create_dir_all(&log).unwrap();
        let text = "2026-11-23T06:00:00Z stderr F E1123 06:00:00.1 1 a.go:1] no certificate\n\
                    2026-11-23T06:00:01Z stderr F I1123 06:00:01.1 1 a.go:2] bye\n";
        fs::write(log.join("0.log"), text).unwrap();
        let pod = folder(dir.path(), "kube-system", "etcd").unwrap();
        assert_eq!(pod, folder(dir.path(), "kube-system", "etcd-a").unwrap());
        assert_eq!(last_words(&pod).unwrap(), "no certificate");
        assert_eq!(folder(dir.path(), "kube-system", "et"), None);
    }

    #[test]
    fn etcds_objects_are_read() {
        let info = r#"{"level":"info","msg":"hello"}"#;
        let warning = r#"{"level":"warn","msg":"cannot listen","error":"in use"}"#;
        let line = telling([warning, info].into_iter()).unwrap();
        assert_eq!(plain(line), "cannot listen: in use");
        assert_eq!(plain("{broken"), "{broken");
    }

    #[test]
    fn without_an_error_the_last_line_speaks() {
        assert_eq!(telling(["one", "", "two", " "].into_iter()), Some("two"));
        assert_eq!(telling(std::iter::empty()), None);
    }

    #[test]
    fn what_is_always_said_tells_nothing() {
        let noise = format!("E1123 06:00:00.1 1 options.go:205] {NOISE}");
        let lines = ["I1123 06:00:00.2 1 a.go:2] Starting", &noise];
        assert_eq!(telling(lines.into_iter()), Some(lines[0]));
        assert_eq!(telling([noise.as_str()].into_iter()), None);
    }
}
