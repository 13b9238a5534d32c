//! Every key and certificate of a cluster, as whoever renders them asks for them.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, anyhow};

use super::inventory::Inventory;
use super::token::BootstrapToken;
use super::{request, table};
use crate::exit::{Exit, fail};
use crate::secret::Secret;

/// A certificate and its private key (PKCS #8), both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate; public.
    pub cert: String,
    /// The private key.
    pub key: Secret,
}

/// A certificate that nothing goes on without, and that somebody else has to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What is to be signed, e.g. `tls/csr/admin.csr`.
    pub request: String,
    /// Where the answer belongs, e.g. `tls/admin.crt`.
    pub certificate: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            request,
            certificate,
            reason,
        } = self;
        write!(f, "sign {request} as {certificate} ({reason})")
    }
}

/// Every key and certificate of a cluster's first control-plane node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    pub(super) pairs: BTreeMap<&'static str, Pair>,
    pub(super) certs: BTreeMap<&'static str, String>,
    pub(super) requests: BTreeMap<String, Pair>,
    pub(super) missing: Vec<(&'static str, String)>,
    /// How many certificates follow each leaf.
    pub(super) between: usize,
    pub(super) service_account_key: Secret,
    pub(super) service_account_pub: String,
    pub(super) token: BootstrapToken,
    pub(super) encryption_key: Option<Secret>,
    pub(super) inventory: Inventory,
}

impl Secrets {
    /// The certificate whose files are `NAME.crt` and `NAME.key`, e.g. `tls/apiserver`.
    pub fn pair(&self, name: &str) -> Result<&Pair> {
        self.pairs
            .get(name)
            .with_context(|| format!("there is no certificate named {name}"))
    }

    /// Whether there are none, as for a worker.
    pub fn is_empty(&self) -> bool {
        self.certs.is_empty()
    }

    /// All certificates whose keys are here, by path without the ending.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &Pair)> {
        self.pairs.iter().map(|(name, pair)| (*name, pair))
    }

    /// The certificate at `NAME.crt`, also one without a key: `tls/ca-signer` is the one that signs,
    /// which some programs want alone; `tls/ca` may hold others beside it.
    pub fn cert(&self, name: &str) -> Result<&str> {
        match self.certs.get(name) {
            Some(cert) => Ok(cert),
            None => Ok(&self.pair(name)?.cert),
        }
    }

    /// Certificates whose keys are not here, by path without the ending.
    pub fn certs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.certs.iter().map(|(name, cert)| (*name, cert.as_str()))
    }

    /// Requests that somebody else has to sign (`PATH.csr`), and their keys (`PATH.key`), by path without the
    /// ending.
    pub fn requests(&self) -> impl Iterator<Item = (&str, &Pair)> {
        self.requests
            .iter()
            .map(|(path, pair)| (path.as_str(), pair))
    }

    /// What nothing goes on without, and somebody else has to sign.
    pub fn waiting(&self) -> Vec<Waiting> {
        let missing = self.missing.iter();
        let waiting = missing.map(|(name, reason)| Waiting {
            request: format!("{}.csr", request::path(name)),
            certificate: format!("{name}.crt"),
            reason: reason.clone(),
        });
        waiting.collect()
    }

    /// Whether nothing waits for somebody else's signature.
    ///
    /// # Errors
    /// [`Exit::Refused`], and what has to be signed and put where.
    pub fn complete(&self) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let mut text = "certificates.authority has no key, so somebody else has to sign; put each certificate \
                        in its place in the asset directory, then run `slipway render` again:"
            .to_owned();
        for waiting in self.waiting() {
            text += &format!("\n  {waiting}");
        }
        text += "\nkeep the subject, the names and the usages of each request";
        if self.between > 0 {
            text += &format!(
                "; append the first {} of certificates.authority.certificate to each certificate",
                self.between
            );
        }
        Err(fail(Exit::Refused, anyhow!(text)))
    }

    /// Whether the key of the cluster's authority is here.
    pub fn can_sign(&self) -> bool {
        self.pairs.contains_key(table::CA)
    }

    /// What new nodes show.
    pub fn bootstrap_token(&self) -> &BootstrapToken {
        &self.token
    }

    /// The key that Secrets are encrypted with in etcd: 32 bytes in base64.
    pub fn encryption_key(&self) -> Option<&Secret> {
        self.encryption_key.as_ref()
    }

    /// The key that signs service-account tokens (PKCS #8 PEM).
    pub fn service_account_key(&self) -> &Secret {
        &self.service_account_key
    }

    /// Its public half (PKIX PEM).
    pub fn service_account_pub(&self) -> &str {
        &self.service_account_pub
    }

    /// The record that the next render reads; goes to [`INVENTORY`].
    pub fn inventory(&self) -> Result<Vec<u8>> {
        self.inventory.to_json()
    }

    /// The last day of the cluster's authority, e.g. `2036-11-20`.
    pub fn ca_until(&self) -> String {
        let record = self.inventory.certificates.get(table::CA);
        record
            .and_then(|record| record.not_after.get(..10))
            .unwrap_or_default()
            .to_owned()
    }
}
