//! The bytes behind a resource: carried in a `data:` URL, or fetched over HTTPS.

use anyhow::{Context, Result};

use super::model::{Header, Resource};
use crate::config::quote;
use crate::metadata::envelope::gathered::too_much;
use crate::metadata::envelope::{Gathered, Remote, data_url, gzip, invalid, verify};
use crate::metadata::http::shown;

/// Gets resources for one config and those it refers to.
pub struct Fetcher<'a> {
    remote: &'a dyn Remote,
    /// What is gathered, for its limits.
    pub gathered: &'a mut Gathered,
    authorities: Vec<Vec<u8>>,
}

impl<'a> Fetcher<'a> {
    /// With the system's authorities alone.
    pub fn new(remote: &'a dyn Remote, gathered: &'a mut Gathered) -> Self {
        let authorities = Vec::new();
        Self {
            remote,
            gathered,
            authorities,
        }
    }

    /// Trusts further authorities (PEM) from now on.
    pub fn trust(&mut self, authorities: &Resource) -> Result<()> {
        let pem = self
            .get(authorities, 0)
            .context("cannot use a certificate authority of the Ignition config")?;
        self.gathered.spend(pem.len())?;
        self.authorities.push(pem);
        Ok(())
    }

    /// How many further authorities are trusted.
    pub fn trusted(&self) -> usize {
        self.authorities.len()
    }

    /// Trusts only the first of them again.
    pub fn distrust_after(&mut self, trusted: usize) {
        self.authorities.truncate(trusted);
    }

    /// The bytes of a resource, unpacked and verified. They may use up what the limits leave
    /// after `held` bytes that are not counted yet.
    pub fn get(&self, resource: &Resource, held: usize) -> Result<Vec<u8>> {
        let source = resource.source.as_deref().unwrap_or_default();
        self.bytes(resource, source, held)
            .with_context(|| describe(source))
    }

    fn bytes(&self, resource: &Resource, source: &str, held: usize) -> Result<Vec<u8>> {
        let max = self.gathered.left().saturating_sub(held as u64);
        let packed = self.source(source, &resource.headers.0, max)?;
        let bytes = match resource.compression.as_deref().unwrap_or_default() {
            "" => packed,
            "gzip" => gzip::unpack(&packed, max)?,
            _ => return Err(invalid("its compression must be gzip or left out")),
        };
        if bytes.len() as u64 > max {
            return Err(too_much());
        }
        if let Some(hash) = &resource.verification.hash {
            verify::verify(&bytes, hash)?;
        }
        Ok(bytes)
    }

    fn source(&self, source: &str, headers: &[Header], max: u64) -> Result<Vec<u8>> {
        if source.is_empty() {
            return Ok(Vec::new());
        }
        if data_url::strip_scheme(source).is_some() {
            return data_url::decode(source);
        }
        if !source.starts_with("https://") {
            return Err(invalid(
                "only https and data URLs are fetched; others prove nothing about who answers",
            ));
        }
        let headers: Vec<_> = headers
            .iter()
            .filter_map(|header| Some((header.name.clone(), header.value.clone()?)))
            .collect();
        self.remote.get(source, &headers, &self.authorities, max)
    }
}

/// What messages call a source: never the contents that a URL holds, nor where tokens and passwords
/// are in one. What is no URL may be contents that somebody put there.
pub fn describe(source: &str) -> String {
    if source.is_empty() {
        "an empty source".to_owned()
    } else if data_url::strip_scheme(source).is_some() {
        data_url::describe(source)
    } else if ["https://", "http://"]
        .iter()
        .any(|scheme| source.starts_with(scheme))
    {
        quote(&shown(source))
    } else {
        format!("a source of {} bytes", source.len())
    }
}
