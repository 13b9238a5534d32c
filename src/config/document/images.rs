//! `images:`: where components come from.

use super::IMAGES;
use crate::config::guard;
use crate::config::machine::Images;
use crate::config::problem::quote;
use crate::config::reader::{Reader, text};

const IMAGE: &str = "images";
const REGISTRY: &str = "registry";
pub fn images(reader: &mut Reader) -> Images {
    let mut images = Images::default();
    let mut names = vec![REGISTRY];
    names.extend(IMAGES);
    for (name, value) in reader.entries(IMAGE, &names) {
        let place = guard::child(IMAGE, name);
        if name == REGISTRY {
            images.registry = reader.check(&place, text(value, registry));
        } else if let Some(image) = reader.check(&place, text(value, reference)) {
            images.references.insert(name.clone(), image);
        }
    }
    images
}

/// A registry and upper folders: what stands before the last part of images' names.
fn registry(text: &str) -> Result<String, String> {
    match is_path(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is no registry; write it like mirror.example.com/k8s, without https:// and without a tag",
            quote(text)
        )),
    }
}

/// A whole reference: nothing of it is left to a runtime's idea of defaults.
fn reference(text: &str) -> Result<String, String> {
    let digest = |digest: &str| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    let (name, pinned) = match text.split_once("@sha256:") {
        Some((name, hex)) => (name, digest(hex)),
        None => (text, false),
    };
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tagged) = match name.get(last..).and_then(|last| last.find(':')) {
        Some(colon) => (&name[..last + colon], is_tag(&name[last + colon + 1..])),
        None => (name, pinned),
    };
    match is_path(path) && path.contains('/') && tagged && pinned == text.contains('@') {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is no whole image reference; write it like registry.k8s.io/etcd:3.7.3-0, or with @sha256:...",
            quote(text)
        )),
    }
}

fn is_tag(tag: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&tag.len()) && tag.bytes().all(plain) && !tag.starts_with(['.', '-'])
}

/// `HOST[:PORT]/FOLDER/...`
fn is_path(text: &str) -> bool {
    let plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let (host, folders) = text
        .split_once('/')
        .map_or((text, None), |(host, rest)| (host, Some(rest)));
    let (host, port) = host.split_once(':').unwrap_or((host, "443"));
    let named = |part: &str| {
        !part.is_empty() && part.bytes().all(plain) && !part.starts_with(['.', '-', '_'])
    };
    named(host)
        && port.parse::<u16>().is_ok()
        && folders.is_none_or(|folders| folders.split('/').all(named))
}
