//! `api:` and `join:`: how the API server is reached, and how nodes come to it.

use std::time::Duration;

use super::cluster::{lies_outside, once};
use super::{TOKEN, ports};
use crate::config::machine::{AltName, Api, Cluster, Endpoint, Join};
use crate::config::problem::quote;
use crate::config::reader::Reader;
use crate::config::sensitive::Sensitive;
use crate::config::{duration, names, pem};

/// The field of the API server's port.
pub const PORT: &str = "api.port";
const ENDPOINT: &str = "api.endpoint";
const SERVER: &str = "join.server";
const API_PORT: u16 = 6443;
const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

pub fn api(reader: &mut Reader, cluster: Option<&Cluster>) -> Option<Api> {
    let port = reader.number(PORT, API_PORT, ports::free);
    let endpoint = endpoint(reader, ENDPOINT, port.unwrap_or(API_PORT), cluster);
    let alt_names = reader.texts("api.altNames", |text, earlier: &[AltName]| {
        let name = names::alt(text)?;
        once(text, name, earlier)
    });
    Some(Api {
        port: port?,
        endpoint: endpoint?,
        alt_names: alt_names?,
    })
}

fn endpoint(
    reader: &mut Reader,
    path: &'static str,
    port: u16,
    cluster: Option<&Cluster>,
) -> Option<Option<Endpoint>> {
    let endpoint = reader.optional(path, None, |text| names::endpoint(text, port).map(Some))?;
    if let (
        Some(Endpoint {
            host: AltName::Ip(address),
            ..
        }),
        Some(cluster),
    ) = (&endpoint, cluster)
    {
        lies_outside(reader, path, *address, cluster);
    }
    Some(endpoint)
}

pub fn join(reader: &mut Reader, cluster: Option<&Cluster>) -> Option<Join> {
    let token = reader.sensitive(TOKEN);
    if let Some(Some(Sensitive::Inline(token))) = &token {
        reader.check(TOKEN, bootstrap_token(token.expose()));
    }
    let day = Duration::from_secs(DAY);
    let token_lifetime = reader.optional("join.tokenLifetime", day, |text| {
        duration::lifetime(text, Duration::from_secs(10 * MINUTE), 30 * day)
            .map_err(|why| format!("{} {why}", quote(text)))
    });
    let server = endpoint(reader, SERVER, API_PORT, cluster);
    let authority = reader.optional("join.authority", None, |text| {
        pem::certificates(text).map(Some)
    });
    Some(Join {
        token: token?,
        token_lifetime: token_lifetime?,
        server: server?,
        authority: authority?,
    })
}

/// As Kubernetes' bootstrap tokens are: what is public, then what is secret.
fn bootstrap_token(token: &[u8]) -> Result<(), String> {
    let plain = |part: &[u8]| {
        part.iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    match token.trim_ascii().split_at_checked(6) {
        Some((id, [b'.', secret @ ..])) if secret.len() == 16 && plain(id) && plain(secret) => {
            Ok(())
        }
        _ => Err(
            "is not a bootstrap token: 6 characters, a dot, 16 characters, all of a-z and 0-9"
                .into(),
        ),
    }
}
