//! `slipway certs list`: every certificate of the asset directory, offline.
//!
//! Where one is used is found, not kept in a table: a file of the directory uses a certificate if it
//! holds its base64, as Secrets and kubeconfigs do, and the node if `render` installs it there.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::assets::{Asset, Assets};
use crate::exit::{Exit, fail};
use crate::pki::{self, Action, INVENTORY, Listed};
use crate::render::{directory, install};
use crate::report::Output;

const DAY: i64 = 24 * 60 * 60;

/// A list, ready to print.
#[derive(Debug)]
pub struct Shown {
    /// For a person or a program.
    pub text: String,
    /// How many certificates are missing or not those that were recorded.
    pub damaged: usize,
}

/// The list of `folder`.
///
/// # Errors
/// If the folder holds no certificates.
pub fn show(folder: &Path, output: Output) -> Result<Shown> {
    let assets = directory::load(folder)?;
    if assets.get(INVENTORY).is_none() {
        let error = anyhow!(
            "{} holds no certificates of a control plane; `slipway render` makes them, and a worker's kubelet \
             keeps its own in /var/lib/kubelet/pki",
            folder.display()
        );
        return Err(fail(Exit::NotFound, error));
    }
    let listed = pki::list(&assets, SystemTime::now())?;
    let rows: Vec<_> = listed
        .iter()
        .map(|one| (one, used_by(&assets, &one.name)))
        .collect();
    let text = match output {
        Output::Text => table(&rows),
        Output::Json => {
            let all: Vec<_> = rows.iter().map(|(one, used)| record(one, used)).collect();
            format!("{}\n", json!({ "certificates": all }))
        }
    };
    let damaged = listed.iter().filter(|one| one.action == Action::Damaged);
    Ok(Shown {
        text,
        damaged: damaged.count(),
    })
}

/// The files that hold a certificate: of the asset directory by their paths there, of the node by
/// absolute ones.
fn used_by(assets: &Assets, name: &str) -> Vec<String> {
    let own = format!("{name}.crt");
    let Some(certificate) = assets.get(&own) else {
        return Vec::new();
    };
    let embedded = STANDARD.encode(certificate.bytes.expose());
    let holds = |asset: &Asset| {
        asset.bytes == certificate.bytes || contains(asset.bytes.expose(), embedded.as_bytes())
    };
    let mut used = Vec::new();
    for (path, _) in assets.iter().filter(|(_, asset)| holds(asset)) {
        match install::place(path) {
            Some(place) => used.push(place.to_owned()),
            None if path != own => used.push(path.to_owned()),
            None => {}
        }
    }
    used
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

type Row = [String; 7];

fn table(rows: &[(&Listed, Vec<String>)]) -> String {
    let heads = [
        "NAME", "SUBJECT", "NAMES", "ISSUER", "EXPIRES", "USED BY", "ACTION",
    ];
    let mut lines: Vec<Row> = vec![heads.map(str::to_owned)];
    lines.extend(rows.iter().map(|(one, used)| row(one, used)));
    let width = |column: usize| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..heads.len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

fn row(one: &Listed, used: &[String]) -> Row {
    let date = one.not_after.get(..10).unwrap_or(&one.not_after);
    let action = match one.action {
        Action::None => String::new(),
        action => format!("{}: {}", action.text(), one.reason),
    };
    [
        one.name.clone(),
        one.subject.clone(),
        short(&one.names),
        if one.issuer == one.name {
            "itself".to_owned()
        } else {
            one.issuer.clone()
        },
        format!("{date} ({})", left(one.left)),
        short(used),
        action,
    ]
}

/// The first of several, and how many more there are.
fn short(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
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
    fn lists_are_cut_with_a_count() {
        let all = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(short(&all), "a +2");
        assert_eq!(short(&all[..1]), "a");
        assert_eq!(short(&[]), "");
    }
}
