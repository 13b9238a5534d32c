//! One pass over the table: keep what serves, issue the rest.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use time::OffsetDateTime;

use super::authority::{self, Generation};
use super::decide::{self, AGED, Decision, Found};
use super::inventory::{Inventory, Record, Request};
use super::issue::{self, Authority};
use super::table::{self, Use, Wanted};
use super::{Given, Issued, Order, Pair, external_etcd, request, text};
use crate::assets::Assets;
use crate::config::Machine;
use crate::exit::{Exit, fail};

/// What a pass is given.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    pub machine: &'a Machine,
    pub given: &'a Given,
    pub earlier: &'a Assets,
    pub old: Option<&'a Inventory>,
    pub order: &'a Order,
    pub now: OffsetDateTime,
    /// Whether the clock that shows it can be trusted.
    pub trusted: bool,
}

impl Task<'_> {
    /// Something is made or judged by the date.
    ///
    /// # Errors
    /// If the clock may be wrong: this is for a pass with another one.
    pub fn needs_date(&self) -> Result<()> {
        ensure!(self.trusted, "it takes a clock that can be trusted");
        Ok(())
    }
}

/// The pass; issuers come before what they sign.
pub struct Round<'a> {
    pub task: Task<'a>,
    /// What was issued, and why.
    pub issued: Vec<Issued>,
    /// Everything that is settled and has a key.
    pub pairs: BTreeMap<&'static str, Pair>,
    /// Certificates without one.
    pub certs: BTreeMap<&'static str, String>,
    /// What to record about them.
    pub records: BTreeMap<String, Record>,
    /// What somebody else has to sign.
    pub requests: BTreeMap<String, Request>,
    /// The files of those requests: the request and its key.
    pub request_pairs: BTreeMap<String, Pair>,
    /// What cannot go on before it is signed, and why.
    pub missing: Vec<(&'static str, String)>,
    /// Authorities, as they sign.
    pub signers: BTreeMap<&'static str, Generation>,
    ready: BTreeMap<&'static str, Authority>,
}

impl<'a> Round<'a> {
    /// Keeps or issues everything that the machine needs.
    pub fn run(task: Task<'a>) -> Result<Self> {
        let mut round = Self {
            task,
            issued: Vec::new(),
            pairs: BTreeMap::new(),
            certs: BTreeMap::new(),
            records: BTreeMap::new(),
            requests: BTreeMap::new(),
            request_pairs: BTreeMap::new(),
            missing: Vec::new(),
            signers: BTreeMap::new(),
            ready: BTreeMap::new(),
        };
        let table = table::wanted(task.machine);
        task.order.check(&table)?;
        for wanted in &table {
            round
                .settle(wanted, &table)
                .with_context(|| format!("certificate {}", wanted.name))?;
        }
        external_etcd::settle(&mut round).context("etcd.external")?;
        Ok(round)
    }

    fn settle(&mut self, wanted: &Wanted, table: &[Wanted]) -> Result<()> {
        if wanted.name == table::CA {
            return authority::settle(self, wanted);
        }
        let found = self.find(wanted.name);
        let Some(issuer) = wanted.issuer else {
            return self.settle_one(wanted, found, None);
        };
        let signer = self
            .signers
            .get(issuer)
            .context("its authority is missing")?;
        let fingerprint = signer.fingerprint();
        match signer.key {
            Some(_) => self.settle_one(wanted, found, Some(&fingerprint)),
            None => {
                let mut wanted = wanted.clone();
                // Where the authority's key is not, a user of every right would be more than is there already.
                if wanted.name == table::CONTROLLER_MANAGER {
                    wanted.organization = None;
                }
                request::settle(self, &wanted, found, table)
            }
        }
    }

    fn settle_one(&mut self, wanted: &Wanted, found: Found, issuer: Option<&str>) -> Result<()> {
        let decision = decide::decide(wanted, &found, issuer, self.task.now);
        let reason = match decision {
            Decision::Refuse(why) => return Err(fail(Exit::Refused, anyhow!(why))),
            Decision::Issue(reason) => reason,
            Decision::Renew => AGED.to_owned(),
            Decision::Keep if self.task.order.renews(wanted) => "asked for".to_owned(),
            Decision::Keep => return self.keep(wanted, found),
        };
        self.task.needs_date()?;
        let (pair, record) = self.issue(wanted)?;
        self.note(wanted.name, reason);
        self.take(wanted, pair, record)
    }

    /// Takes what was found as it is.
    pub fn keep(&mut self, wanted: &Wanted, found: Found) -> Result<()> {
        let (pair, record) = found
            .keep()
            .context("it was to be kept, but is not there")?;
        self.take(wanted, pair, record)
    }

    /// Takes a pair, as that of a line of the table.
    pub fn take(&mut self, wanted: &Wanted, pair: Pair, record: Record) -> Result<()> {
        if wanted.usage == Use::Authority {
            let generation = Generation::new(&pair.cert, Some(pair.key.clone()), record.clone())?;
            self.signers.insert(wanted.name, generation);
        }
        self.pairs.insert(wanted.name, pair);
        self.records.insert(wanted.name.to_owned(), record);
        Ok(())
    }

    pub fn note(&mut self, name: &'static str, reason: impl Into<String>) {
        self.issued.push(Issued {
            name,
            reason: reason.into(),
        });
    }

    /// Makes a key and a certificate. A leaf is followed by the certificates between it and the root.
    pub fn issue(&mut self, wanted: &Wanted) -> Result<(Pair, Record)> {
        let Some(name) = wanted.issuer else {
            return issue::issue(wanted, None, &[], self.task.now);
        };
        let signer = self.signers.get(name).context("its authority is missing")?;
        if !self.ready.contains_key(name) {
            let key = signer.key.as_ref().context("its authority has no key")?;
            self.ready
                .insert(name, Authority::new(signer.signer(), key)?);
        }
        issue::issue(
            wanted,
            self.ready.get(name),
            signer.between(),
            self.task.now,
        )
    }

    /// What the asset directory has under this name.
    pub fn find(&self, name: &str) -> Found {
        let read = |ending| text(self.task.earlier, &format!("{name}.{ending}"));
        let records = self.task.old.map(|old| &old.certificates);
        Found {
            record: records.and_then(|records| records.get(name).cloned()),
            cert: read("crt"),
            key: read("key"),
        }
    }
}
