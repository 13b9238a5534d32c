//! What tells that a change has arrived: waits for what the cluster itself says of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::clients;
use super::cluster::{Cluster, NEXT_STEP, file};
use crate::report::Reporter;
use crate::start::wait::{Look, Wait, until};
use crate::tls;

/// Where the API server says whom it takes.
const PUBLISHED: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

impl Cluster<'_> {
    /// Every namespace's copy of the authorities.
    pub fn copies(&self) -> Result<Vec<Value>> {
        let path = "/api/v1/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt";
        let list = self.client.list(path);
        Ok(list
            .context("cannot list the copies of the authority")?
            .items)
    }

    /// Waits until every namespace's copy is that of the asset directory; the controller-manager writes them.
    pub fn await_copies(&self, reporter: &mut Reporter) -> Result<()> {
        let authorities = std::str::from_utf8(file(self.assets(), "tls/ca.crt")?)?;
        let wait = Wait {
            what: "kube-root-ca.crt is new in every namespace",
            deadline: Instant::now() + self.options().machine.timeouts.handover,
            every: Duration::from_millis(500),
            changes: None,
            next_step: NEXT_STEP,
        };
        until(reporter, wait, |_| {
            let copies = match self.copies() {
                Ok(copies) => copies,
                Err(error) => return Ok(Look::NotYet(format!("{error:#}"))),
            };
            Ok(match &clients::behind(&copies, authorities)[..] {
                [] => Look::There(()),
                behind => Look::NotYet(format!("not yet in {}", behind.join(", "))),
            })
        })
    }

    /// Waits until the API server takes whom the asset directory's authorities signed, and nobody else. What it
    /// has read is what it publishes for others; of what is published it removes nothing by itself.
    pub fn await_authorities(&self, reporter: &mut Reporter) -> Result<()> {
        let wanted = clients::authorities(file(self.assets(), "tls/ca.crt")?)?;
        let wait = Wait {
            what: "the API server has read its authorities again",
            deadline: Instant::now() + self.options().machine.timeouts.handover,
            every: Duration::from_secs(1),
            changes: None,
            next_step: NEXT_STEP,
        };
        until(reporter, wait, |_| {
            let published = match self.client.get(PUBLISHED) {
                Ok(published) => taken(&published)?,
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            };
            if published == wanted {
                return Ok(Look::There(()));
            }
            // It is written again at once, with what is trusted now.
            let deleted = match published.is_subset(&wanted) {
                true => None,
                false => self.client.delete(PUBLISHED).err(),
            };
            let why = deleted.map_or_else(|| "not yet".to_owned(), |error| error.to_string());
            Ok(Look::NotYet(why))
        })
    }

    /// Where more is trusted in the cluster than the asset directory says, or something else.
    pub fn trusts_more(&self) -> Result<Vec<String>> {
        let authorities = file(self.assets(), "tls/ca.crt")?;
        let published = self.client.get(PUBLISHED);
        let published = published.context("cannot read whom the API server takes")?;
        let mut more = Vec::new();
        if !taken(&published)?.is_subset(&clients::authorities(authorities)?) {
            more.push("the API server publishes an authority that is dropped".to_owned());
        }
        let copies = self.copies()?;
        let behind = clients::behind(&copies, std::str::from_utf8(authorities)?);
        if !behind.is_empty() {
            more.push(format!(
                "kube-root-ca.crt is another in {}",
                behind.join(", ")
            ));
        }
        Ok(more)
    }

    /// Says so if the API server does not reach this node's kubelet yet. Nothing waits for it: what a kubelet
    /// says of its pods comes the other way.
    pub fn see_kubelet(&self, reporter: &mut Reporter) {
        let node = &self.options().machine.node.name;
        if let Err(error) = self
            .client
            .text(&format!("/api/v1/nodes/{node}/proxy/healthz"))
        {
            log::debug!("the kubelet is not reached: {error}");
            reporter.line(
                "kubectl logs and exec fail for up to five minutes, until the API server has read again \
                 whom to trust and what to show as a client of kubelets",
            );
        }
    }

    /// Waits until the API server shows this node's certificate of the asset directory.
    pub fn await_new_certificate(&self, reporter: &mut Reporter) -> Result<()> {
        let door = self.door();
        let roots = tls::authorities(file(self.assets(), "tls/ca.crt")?)?;
        let wanted = tls::certificates(file(self.assets(), "tls/apiserver.crt")?)?;
        let wait = Wait {
            what: "the API server shows its new certificate",
            deadline: Instant::now() + self.options().machine.timeouts.handover,
            every: Duration::from_millis(200),
            changes: None,
            next_step: NEXT_STEP,
        };
        until(reporter, wait, |_| {
            Ok(match tls::shown(door, &roots) {
                Ok(shown) if shown.first() == wanted.first() => Look::There(()),
                Ok(_) => Look::NotYet(format!("{door} shows another certificate")),
                Err(error) => Look::NotYet(format!("{door}: {error:#}")),
            })
        })
    }
}

/// The fingerprints of the authorities whose clients the API server takes, by what it publishes.
fn taken(published: &Value) -> Result<BTreeSet<String>> {
    let text = published["data"]["client-ca-file"].as_str();
    clients::authorities(text.unwrap_or_default().as_bytes())
}
