//! Services that give user data to whoever asks: a path each and no header.

use anyhow::Result;

use super::service::Service;
use super::{Answer, Context};
use crate::metadata::base64;

/// DigitalOcean's metadata API, version 1.
pub fn digitalocean(context: &Context<'_>) -> Result<Answer> {
    Service::new("DigitalOcean", context).user_data("/metadata/v1/user-data", &[])
}

/// Hetzner Cloud's metadata API, version 1. User data is text there, so people give gzip in base64, as
/// cloud-init lets them (DataSourceHetzner.py); no header tells, but such text is no document.
pub fn hetzner(context: &Context<'_>) -> Result<Answer> {
    let answer = Service::new("Hetzner", context).user_data("/hetzner/v1/userdata", &[])?;
    Ok(match answer {
        Answer::Document { bytes, from } => Answer::document(packed(&bytes).unwrap_or(bytes), from),
        other => other,
    })
}

/// The gzip that a text as a whole stands for.
fn packed(text: &[u8]) -> Option<Vec<u8>> {
    base64::lenient(text).filter(|bytes| bytes.starts_with(&[0x1f, 0x8b]))
}

/// Vultr's, at the path that Ignition uses too; its versioned API wraps user data in JSON.
pub fn vultr(context: &Context<'_>) -> Result<Answer> {
    Service::new("Vultr", context).user_data("/user-data/user-data", &[])
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::super::testing::server::{Server, answer};
    use super::*;
    use std::time::Duration;

    type Read = fn(&Context<'_>) -> Result<Answer>;

    fn ask(read: Read, body: &'static str) -> Vec<u8> {
        let server = Server::start(move |_| answer(200, &[], body));
        let mut machine = Machine::new("", Duration::from_secs(60));
        machine.link_local = server.url("");
        match read(&machine.context()).unwrap() {
            Answer::Document { bytes, .. } => bytes,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn gzip_in_base64_is_decoded_where_user_data_is_text() {
        let gzip: &[u8] = b"\x1f\x8b\0document\xff";
        let cases: [(Read, &str, &[u8]); 6] = [
            (hetzner, "H4sAZG9jdW1lbnT/", gzip),
            (hetzner, "H4sAZG9j\r\ndW1lbnT/\n", gzip),
            (hetzner, "a2luZDogTQ==", b"a2luZDogTQ=="),
            (hetzner, "H4sAZG9jdW1lbnT/: x", b"H4sAZG9jdW1lbnT/: x"),
            (digitalocean, "H4sAZG9jdW1lbnT/", b"H4sAZG9jdW1lbnT/"),
            (vultr, "H4sAZG9jdW1lbnT/", b"H4sAZG9jdW1lbnT/"),
        ];
        for (read, body, want) in cases {
            assert_eq!(ask(read, body), want, "{body}");
        }
    }
}
