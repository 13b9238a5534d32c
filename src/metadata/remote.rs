//! Fetching over HTTPS what an envelope or the kernel command line points to.
//!
//! Trust comes from the real root's own certificate authorities: the initrd then carries no second
//! set, and an image that trusts a company's authority does so here too.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use ureq::http::Method;

use super::deadline::{Deadline, Failed, until};
use super::envelope::{self, NeedsNetwork};
use super::http::{Client, Reply, shown};
use super::source::{Context, MAX_BYTES};
use crate::exit::{Exit, WithExit, fail};
use crate::node::resolver;
use crate::tls;

/// Where distributions keep the authorities they trust, in PEM.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// The network as a source's context allows it.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    target: &'a Path,
    deadline: Deadline,
    online: bool,
}

impl<'a> Remote<'a> {
    /// For everything that one fetch points to.
    pub fn new(context: &Context<'a>) -> Self {
        Self {
            target: context.target,
            deadline: context.deadline,
            online: context.online,
        }
    }

    /// What is at an https URL, or at a plain one whose host the caller has judged; at most `max`
    /// bytes of it, `None` if there is nothing (404).
    ///
    /// # Errors
    /// [`Exit::NotFound`] if it cannot be had until the deadline.
    pub fn find(&self, url: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let client = match url.starts_with("https://") {
            true => self.client(&[]).exit(Exit::NotFound)?,
            false => Client::plain(),
        };
        until(self.deadline, "the URL", || {
            let reply = self.ask(&client, url, &[], max)?;
            match reply.code {
                404 => Ok(None),
                _ => body(reply, &shown(url)).map(Some),
            }
        })
        .exit(Exit::NotFound)
    }

    /// Asks once. Name servers may come with a lease at any time.
    fn ask(
        &self,
        client: &Client,
        url: &str,
        headers: &[(&str, &str)],
        max: u64,
    ) -> Result<Reply, Failed> {
        let servers = resolver::refresh(Path::new("/")).map_err(Failed::Finally)?;
        let reply = client.call(Method::GET, url, headers, max, self.deadline.left());
        reply.map_err(|failed| match (failed, servers.as_deref()) {
            (Failed::Again(error), Some([])) => {
                Failed::Again(anyhow!("{error:#}; no name server yet"))
            }
            (Failed::Again(error), Some(servers)) => Failed::Again(anyhow!(
                "{error:#}; names are asked of {}",
                servers.join(", ")
            )),
            (failed, _) => failed,
        })
    }

    fn client(&self, more: &[Vec<u8>]) -> Result<Client> {
        let mut roots = Vec::new();
        for place in AUTHORITIES {
            if let Some(pem) = read_in_root(self.target, place)? {
                roots = tls::certificates(&pem)
                    .with_context(|| format!("cannot use the authorities in {place}"))?;
                break;
            }
        }
        for pem in more {
            roots.extend(tls::authorities(pem).context("cannot use an authority of the envelope")?);
        }
        if roots.is_empty() {
            return Err(anyhow!(
                "the image trusts no certificate authority: install ca-certificates (looked for {})",
                AUTHORITIES.join(", ")
            ));
        }
        Ok(Client::new(tls::config(&roots, None)))
    }
}

impl envelope::Remote for Remote<'_> {
    fn get(
        &self,
        url: &str,
        headers: &[(String, String)],
        authorities: &[Vec<u8>],
        max: u64,
    ) -> Result<Vec<u8>> {
        let place = shown(url);
        if !url.starts_with("https://") {
            let error = anyhow!("{place} is not https, which nothing else replaces");
            return Err(fail(Exit::Invalid, error));
        }
        if !self.online {
            return Err(NeedsNetwork.into());
        }
        let client = self.client(authorities).exit(Exit::NotFound)?;
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        until(self.deadline, &place, || {
            self.ask(&client, url, &headers, max)
                .and_then(|reply| body(reply, &place))
        })
        .exit(Exit::NotFound)
    }
}

fn body(reply: Reply, place: &str) -> Result<Vec<u8>, Failed> {
    let error = anyhow!("{place} answers {}", reply.code);
    match reply.code {
        200 => Ok(reply.body),
        _ if reply.is_busy() => Err(reply.busy(error)),
        _ => Err(Failed::Finally(error)),
    }
}

/// A file of the target, whose links lead to where they will once it is the root: distributions link
/// their authorities by absolute paths.
fn read_in_root(target: &Path, path: &str) -> Result<Option<Vec<u8>>> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let opened = File::open(target)
        .map_err(anyhow::Error::from)
        .and_then(|root| match openat2(&root, path, how) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        })
        .with_context(|| format!("cannot open {path}"))?;
    let Some(opened) = opened else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    opened
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {path}"))?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
