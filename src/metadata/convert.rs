//! The other way round: a machine document into an envelope that a platform's tools take.
//!
//! Each form is the plainest of its kind, because its reader may be another program than slipway, and
//! each is read back by the tests. Whether a platform takes it is a matter of size, which nobody
//! finds out before the machine boots without a document: so every limit is checked here.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::envelope::DOCUMENT;
use super::platform::{Limit, PLATFORMS};
use super::source::MAX_BYTES;

/// The oldest version that has all that is needed, so that every Ignition of today reads it.
const IGNITION: &str = "3.0.0";
/// Mode 0600 as JSON has to write it.
const PRIVATE: u32 = 0o600;

/// What a document can be wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An Ignition config (JSON).
    Ignition,
    /// A cloud-config with `write_files` (YAML).
    CloudConfig,
    /// The files of a NoCloud disk.
    NoCloud,
}

/// The names on the command line.
pub const FORMS: [(&str, Form); 3] = [
    ("ignition", Form::Ignition),
    ("cloud-config", Form::CloudConfig),
    ("nocloud", Form::NoCloud),
];

/// The files of a form by name: one called `user-data`, and for [`Form::NoCloud`] `meta-data`.
///
/// # Errors
/// If the document cannot be represented.
pub fn wrap(form: Form, document: &[u8], node: &str) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let user_data = match form {
        Form::Ignition => ignition(document)?,
        Form::CloudConfig => cloud_config(document),
        Form::NoCloud => document.to_vec(),
    };
    let mut files = vec![("user-data", user_data)];
    if form == Form::NoCloud {
        let text = format!("instance-id: {node}\nlocal-hostname: {node}\n");
        files.push(("meta-data", text.into_bytes()));
    }
    Ok(files)
}

fn ignition(document: &[u8]) -> Result<Vec<u8>> {
    let source = format!("data:;base64,{}", STANDARD.encode(document));
    let config = json!({
        "ignition": {"version": IGNITION},
        "storage": {"files": [{
            "path": DOCUMENT,
            "mode": PRIVATE,
            "overwrite": true,
            "contents": {"source": source},
        }]},
    });
    let mut text = serde_json::to_vec_pretty(&config).context("cannot represent the config")?;
    text.push(b'\n');
    Ok(text)
}

/// Base64, because then no line of the document can mean anything to the YAML around it.
fn cloud_config(document: &[u8]) -> Vec<u8> {
    let content = STANDARD.encode(document);
    format!(
        "#cloud-config\nwrite_files:\n  - path: {DOCUMENT}\n    permissions: '0600'\n    \
         encoding: b64\n    content: {content}\n"
    )
    .into_bytes()
}

/// Which platforms do not take user data of that many bytes, or not in one piece; one sentence each.
pub fn too_large_for(bytes: usize) -> Vec<String> {
    let bytes = bytes as u64;
    if bytes > MAX_BYTES {
        return vec![format!(
            "{bytes} bytes are too many for slipway, which reads {MAX_BYTES}"
        )];
    }
    PLATFORMS
        .iter()
        .filter_map(|platform| {
            let name = platform.name;
            match platform.limit {
                Limit::Bytes(limit) if bytes > limit => Some(format!(
                    "{bytes} bytes are too many for {name}, which takes {limit}"
                )),
                Limit::Part(limit) if bytes > limit => Some(format!(
                    "{bytes} bytes are too many for one part of {name}; give it in parts of {limit}"
                )),
                _ => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::envelope::{self, Offline};
    use crate::secret::Secret;

    const TEXT: &[u8] = include_bytes!("../../examples/full.yaml");

    #[test]
    fn every_form_is_read_back() {
        for (name, form) in FORMS {
            let files = wrap(form, TEXT, "node-a").unwrap();
            let (path, bytes) = &files[0];
            assert_eq!(*path, "user-data", "{name}");
            let delivery = envelope::open(bytes, &Offline).unwrap();
            assert_eq!(delivery.document, Secret::new(TEXT), "{name}");
            assert!(
                delivery.entries.is_empty() && delivery.warnings.is_empty(),
                "{name}"
            );
        }
    }

    #[test]
    fn nocloud_has_an_identity() {
        let files = wrap(Form::NoCloud, TEXT, "node-a").unwrap();
        assert_eq!(files[1].0, "meta-data");
        assert!(files[1].1.starts_with(b"instance-id: node-a\n"));
    }

    #[test]
    fn each_platform_warns_of_the_first_byte_too_many() {
        let limits = [
            ("hyperv", 1023),
            ("ec2", 16 * 1024),
            ("hetzner", 32 * 1024),
            ("openstack", 49_149),
            ("azure", 64 * 1024),
            ("digitalocean", 64 * 1024),
            ("gce", 256 * 1024),
            ("vmware", 512 * 1024),
            ("credential", 1024 * 1024),
        ];
        for (name, limit) in limits {
            let warns = |bytes| {
                let sentences = too_large_for(bytes);
                sentences
                    .iter()
                    .any(|text| text.contains(&format!(" {name}")))
            };
            assert!(!warns(limit) && warns(limit + 1), "{name}");
        }
        assert_eq!(too_large_for(4 * 1024 * 1024).len(), limits.len());
        assert!(too_large_for(0).is_empty());
        let all = too_large_for(4 * 1024 * 1024 + 1);
        assert!(all[0].contains("too many for slipway"), "{all:?}");
    }
}
