//! Expiry as a metric: a text file that Prometheus' node exporter picks up.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;

use super::issued;
use crate::assets::Assets;
use crate::node::files::{self, PUBLIC, below};
use crate::pki::{self, Listed};

/// Where the file lies, below the root.
pub const FILE: &str = "/var/lib/slipway/metrics.prom";

/// Writes the file anew; a worker, whose kubelet keeps its own certificates, gets none.
pub fn write(assets: &Assets, root: &Path) -> Result<()> {
    if assets.get(pki::INVENTORY).is_none() {
        return Ok(());
    }
    let now = SystemTime::now();
    let mut listed = pki::list(assets, now)?;
    let kubelet = issued::list(assets, root, now)?;
    listed.extend(kubelet.into_iter().map(|(one, _)| one));
    files::write(&below(root, FILE), text(&listed).as_bytes(), PUBLIC).map(drop)
}

/// The text exposition format, version 0.0.4.
fn text(listed: &[Listed]) -> String {
    let metric = "slipway_certificate_expiry_timestamp_seconds";
    let mut out = format!(
        "# HELP {metric} The last second a certificate is valid in.\n# TYPE {metric} gauge\n"
    );
    for (one, expires) in (listed.iter()).filter_map(|one| Some((one, one.expires?))) {
        let (name, subject, issuer) = (&one.name, escaped(&one.subject), escaped(&one.issuer));
        out.push_str(&format!(
            "{metric}{{name=\"{name}\",subject=\"{subject}\",issuer=\"{issuer}\"}} {expires}\n"
        ));
    }
    out
}

/// A label's value: the document chooses the cluster's name, so it may hold anything.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Action;

    #[test]
    fn a_line_a_certificate() {
        let one = Listed {
            name: "tls/ca".to_owned(),
            subject: "O=a \"b\"\\c, CN=kube-ca".to_owned(),
            names: Vec::new(),
            issuer: "tls/ca".to_owned(),
            not_after: Some("2036-11-20T00:00:00Z".to_owned()),
            not_before: None,
            expires: Some(2_110_752_000),
            left: Some(1),
            action: Action::None,
            reason: String::new(),
        };
        let still_to_be_signed = Listed {
            expires: None,
            ..one.clone()
        };
        let text = text(&[one, still_to_be_signed]);
        assert_eq!(text.lines().count(), 2 + 1);
        let line = text.lines().last().unwrap();
        assert_eq!(
            line,
            "slipway_certificate_expiry_timestamp_seconds{name=\"tls/ca\",\
             subject=\"O=a \\\"b\\\"\\\\c, CN=kube-ca\",issuer=\"tls/ca\"} 2110752000"
        );
    }
}
