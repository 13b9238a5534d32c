//! `slipway certs list`: every certificate of the asset directory, and what this node's kubelet was issued,
//! offline.
//!
//! Where one is used is found, not kept in a table: a file of the directory uses a certificate if it
//! holds its base64, as Secrets and kubeconfigs do, or names it, as kubeconfigs and static pods do, and the
//! node if `render` installs it there.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::issued;
use crate::assets::{Asset, Assets, STATIC_MANIFESTS, named};
use crate::exit::{Exit, fail};
use crate::node::static_pods::SECRETS;
use crate::pki::{self, Action, CHECKPOINTS, INVENTORY, Listed};
use crate::render::{directory, install};
use crate::report::Output;

const DAY: i64 = 24 * 60 * 60;
/// Columns of a console, and of what stands before a detail.
const WIDTH: usize = 100;
const INDENT: usize = 12;

/// A list, ready to print.
#[derive(Debug)]
pub struct Shown {
    /// For a person or a program.
    pub text: String,
    /// How many certificates are missing or not those that were recorded.
    pub damaged: usize,
}

/// The list of `folder`, and of what the kubelet below `root` was issued.
///
/// # Errors
/// If the folder holds no certificates.
pub fn show(folder: &Path, root: &Path, output: Output) -> Result<Shown> {
    let assets = directory::load(folder)?;
    if assets.get(INVENTORY).is_none() {
        let error = anyhow!(
            "{} holds no certificates of a control plane; `slipway render` makes them, and a worker's kubelet \
             keeps its own in /var/lib/kubelet/pki",
            folder.display()
        );
        return Err(fail(Exit::NotFound, error));
    }
    let now = SystemTime::now();
    let listed = pki::list(&assets, now)?;
    let kubelet = issued::list(&assets, root, now)?;
    let mut rows: Vec<_> = listed
        .iter()
        .map(|one| (one, used_by(&assets, &one.name)))
        .collect();
    rows.extend(kubelet.iter().map(|(one, file)| (one, vec![file.clone()])));
    let text = match output {
        Output::Text => table(&rows),
        Output::Json => {
            let all: Vec<_> = rows.iter().map(|(one, used)| record(one, used)).collect();
            format!("{}\n", json!({ "certificates": all }))
        }
    };
    let damaged = (rows.iter()).filter(|(one, _)| one.action == Action::Damaged);
    Ok(Shown {
        damaged: damaged.count(),
        text,
    })
}

/// The files that hold a certificate or name it: of the asset directory by their paths there, of the node
/// by absolute ones.
fn used_by(assets: &Assets, name: &str) -> Vec<String> {
    let own = format!("{name}.crt");
    let Some(certificate) = assets.get(&own) else {
        return Vec::new();
    };
    let embedded = STANDARD.encode(certificate.bytes.expose());
    let holds = |asset: &Asset| {
        asset.bytes == certificate.bytes || contains(asset.bytes.expose(), embedded.as_bytes())
    };
    let file = own.strip_prefix("tls/");
    let mut used = Vec::new();
    if name.starts_with(CHECKPOINTS) {
        // It reads them here, and what it makes of them is its own.
        used.push("slipway-checkpoint.service".to_owned());
    }
    for (path, asset) in assets.iter() {
        let place = install::place(path);
        if let Some(pod) = path.strip_prefix(STATIC_MANIFESTS) {
            let file = file.filter(|file| is_named(assets, asset, file));
            let folder = pod.trim_end_matches(".yaml");
            used.extend(file.map(|file| format!("{SECRETS}/{folder}/{file}")));
        } else if path.ends_with(".kubeconfig") {
            let file = file.filter(|file| is_named(assets, asset, file));
            used.extend(file.map(|_| path.to_owned()));
        } else if (place.is_some() || path != own) && holds(asset) {
            used.push(place.unwrap_or(path).to_owned());
        }
    }
    used
}

/// Whether a file names another one of `tls/`.
fn is_named(assets: &Assets, asset: &Asset, file: &str) -> bool {
    let text = std::str::from_utf8(asset.bytes.expose()).unwrap_or_default();
    named(assets.below("tls/"), text).contains_key(file)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn record(one: &Listed, used: &[String]) -> Value {
    json!({
        "name": one.name,
        "subject": one.subject,
        "names": one.names,
        "issuer": one.issuer,
        "notBefore": one.not_before,
        "notAfter": one.not_after,
        "secondsLeft": one.left,
        "usedBy": used,
        "action": one.action.text(),
        "reason": one.reason,
    })
}

/// A row a certificate with what is short, and below it what is long, as wide as a console is.
fn table(rows: &[(&Listed, Vec<String>)]) -> String {
    let mut lines = vec![["NAME", "ISSUER", "EXPIRES", "ACTION"].map(str::to_owned)];
    lines.extend(rows.iter().map(|(one, _)| row(one)));
    let width = |column: usize| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths = [0, 1, 2, 3].map(width);
    let mut details = rows.iter().peekable();
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(text.trim_end());
        out.push('\n');
        if let Some((one, used)) = details.next_if(|_| at > 0) {
            below(&mut out, "subject", std::slice::from_ref(&one.subject));
            below(&mut out, "names", &one.names);
            below(&mut out, "used by", used);
            below(&mut out, "to do", std::slice::from_ref(&one.reason));
        }
    }
    out
}

fn row(one: &Listed) -> [String; 4] {
    let issuer = match one.issuer == one.name {
        true => "itself",
        false => &one.issuer,
    };
    let expires = match (&one.not_after, one.left) {
        (Some(date), Some(seconds)) => {
            format!("{} ({})", date.get(..10).unwrap_or(date), left(seconds))
        }
        _ if one.action == Action::Damaged => "unknown".to_owned(),
        _ => "not signed yet".to_owned(),
    };
    let action = match one.action {
        Action::None => "",
        action => action.text(),
    };
    [
        one.name.clone(),
        issuer.to_owned(),
        expires,
        action.to_owned(),
    ]
}

/// All of several, on as many lines as it takes.
fn below(out: &mut String, label: &str, all: &[String]) {
    let mut used = 0;
    let mut label = label;
    for (at, one) in all.iter().filter(|one| !one.is_empty()).enumerate() {
        let comma = if at + 1 < all.len() { "," } else { "" };
        let needed = one.chars().count() + 1 + comma.len();
        if used == 0 || used + needed > WIDTH {
            let end = if used == 0 { "" } else { "\n" };
            out.push_str(&format!("{end}    {label:<7} "));
            (used, label) = (INDENT, "");
        }
        out.push_str(&format!(" {one}{comma}"));
        used += needed;
    }
    if used > 0 {
        out.push('\n');
    }
}

/// How long a certificate is still good, in the largest unit that tells it.
fn left(seconds: i64) -> String {
    match seconds {
        ..=0 => "expired".to_owned(),
        1..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_units_a_person_thinks_in() {
        let table = [
            (-5, "expired"),
            (0, "expired"),
            (599, "9 min"),
            (7200, "2 h"),
            (3 * DAY, "3 days"),
        ];
        for (seconds, text) in table {
            assert_eq!(left(seconds), text);
        }
    }

    #[test]
    fn everything_is_shown_in_a_hundred_columns() {
        let names: Vec<_> = (0..12)
            .map(|n| format!("DNS:name-{n}.example.com"))
            .collect();
        let one = Listed {
            name: "tls/apiserver".to_owned(),
            subject: "CN=kube-apiserver".to_owned(),
            names: names.clone(),
            issuer: "tls/ca".to_owned(),
            not_before: None,
            not_after: None,
            expires: None,
            left: None,
            action: Action::Sign,
            reason: "sign it".to_owned(),
        };
        let text = table(&[(&one, Vec::new())]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "NAME           ISSUER  EXPIRES         ACTION",
                "tls/apiserver  tls/ca  not signed yet  sign",
                "    subject  CN=kube-apiserver",
            ]
        );
        assert!(lines[3].starts_with("    names    DNS:name-0.example.com, DNS:name-1"));
        assert!(lines[4].starts_with("             DNS:name-"), "{text}");
        assert_eq!(lines[lines.len() - 1], "    to do    sign it");
        assert!(lines.iter().all(|line| line.len() <= WIDTH) && lines[3].len() > WIDTH - 30);
        assert!(names.iter().all(|name| text.contains(name)) && !text.contains("used by"));
    }

    #[test]
    fn what_is_named_is_used() {
        use crate::render::render;
        let used = |more: &str, name: &str| {
            let text = format!(
                "apiVersion: slipway.dev/v1alpha1\nkind: Machine\nnode: {{name: a, address: 192.0.2.1}}\n\
                 cluster: {{name: harbour}}\n{more}"
            );
            let machine = crate::config::parse(text.as_bytes()).unwrap();
            let now = SystemTime::now();
            let (secrets, _) =
                pki::ensure(&machine, &pki::Given::default(), &Assets::default(), now).unwrap();
            used_by(&render(&machine, &secrets).unwrap(), name)
        };
        let stays = "controlPlane: static";
        let secrets = "/etc/kubernetes/secrets";
        let table = [
            (
                "",
                "tls/kube-scheduler",
                vec!["tls/kube-scheduler.kubeconfig".to_owned()],
            ),
            (
                "",
                "tls/checkpoint/kube-system/kube-scheduler",
                vec!["slipway-checkpoint.service".to_owned()],
            ),
            (
                stays,
                "tls/kube-controller-manager",
                vec![
                    format!("{secrets}/kube-controller-manager/kube-controller-manager.crt"),
                    "tls/kube-controller-manager.kubeconfig".to_owned(),
                ],
            ),
            (
                stays,
                "tls/apiserver",
                vec![format!("{secrets}/kube-apiserver/apiserver.crt")],
            ),
            (
                "",
                "kubelet/serving",
                vec!["/etc/kubernetes/kubelet/serving.crt".to_owned()],
            ),
            (
                "",
                "tls/apiserver",
                vec!["manifests/kube-apiserver-secret.yaml".to_owned()],
            ),
        ];
        for (more, name, expected) in table {
            assert_eq!(used(more, name), expected, "{more} {name}");
        }
    }
}
