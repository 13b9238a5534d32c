//! One pass over the table: keep what serves, issue the rest.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use time::OffsetDateTime;

use super::decide::{self, Decision, Found};
use super::inventory::{Inventory, Record};
use super::issue::{self, Authority};
use super::table::Wanted;
use super::{Issued, Order, Pair, text};
use crate::assets::Assets;
use crate::exit::{Exit, fail};
use crate::hash::sha256;

/// The pass; issuers come before what they sign.
pub struct Round<'a> {
    earlier: &'a Assets,
    old: Option<&'a Inventory>,
    now: OffsetDateTime,
    order: &'a Order,
    /// What was issued, and why.
    pub issued: Vec<Issued>,
    /// Everything that is settled.
    pub pairs: BTreeMap<&'static str, Pair>,
    /// What to record about it.
    pub records: BTreeMap<String, Record>,
}

impl<'a> Round<'a> {
    pub fn new(
        earlier: &'a Assets,
        old: Option<&'a Inventory>,
        now: OffsetDateTime,
        order: &'a Order,
    ) -> Self {
        Self {
            earlier,
            old,
            now,
            order,
            issued: Vec::new(),
            pairs: BTreeMap::new(),
            records: BTreeMap::new(),
        }
    }

    /// Whether anything in the table must be issued.
    pub fn lacks(&mut self, table: &[Wanted]) -> Result<bool> {
        for wanted in table {
            if self.keep(wanted).with_context(|| at(wanted))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps or issues everything in the table.
    pub fn settle(&mut self, table: &[Wanted]) -> Result<()> {
        table
            .iter()
            .try_for_each(|wanted| self.settle_one(wanted).with_context(|| at(wanted)))
    }

    fn settle_one(&mut self, wanted: &Wanted) -> Result<()> {
        let Some(reason) = self.keep(wanted)? else {
            return Ok(());
        };
        let (pair, record) = issue::issue(wanted, self.authority(wanted)?.as_ref(), self.now)?;
        self.issued.push(Issued {
            name: wanted.name,
            reason,
        });
        self.take(wanted, pair, record);
        Ok(())
    }

    /// Keeps what still serves; returns why a new one is needed, if so.
    fn keep(&mut self, wanted: &Wanted) -> Result<Option<String>> {
        let found = self.find(wanted.name);
        let issuer = wanted
            .issuer
            .map(|name| self.fingerprint_of(name))
            .transpose()?;
        match decide::decide(wanted, &found, issuer.as_deref(), self.now) {
            Decision::Issue(reason) => Ok(Some(reason)),
            Decision::Refuse(why) => Err(fail(Exit::Refused, anyhow!(why))),
            Decision::Keep if self.order.renews(wanted) => Ok(Some("asked for".to_owned())),
            Decision::Keep => {
                let (pair, record) = found
                    .keep()
                    .context("it was to be kept, but is not there")?;
                self.take(wanted, pair, record);
                Ok(None)
            }
        }
    }

    fn take(&mut self, wanted: &Wanted, pair: Pair, record: Record) {
        self.pairs.insert(wanted.name, pair);
        self.records.insert(wanted.name.to_owned(), record);
    }

    fn find(&self, name: &str) -> Found {
        let read = |ending| text(self.earlier, &format!("{name}.{ending}"));
        let record = self.old.and_then(|old| old.certificates.get(name).cloned());
        Found {
            record,
            cert: read("crt"),
            key: read("key"),
        }
    }

    fn fingerprint_of(&self, name: &str) -> Result<String> {
        let pair = self.pairs.get(name).context("its authority is missing")?;
        Ok(sha256(pair.cert.as_bytes()))
    }

    fn authority(&self, wanted: &Wanted) -> Result<Option<Authority>> {
        let Some(name) = wanted.issuer else {
            return Ok(None);
        };
        let pair = self.pairs.get(name).context("its authority is missing")?;
        let record = self.records.get(name).context("no record of it")?;
        Authority::new(pair, record).map(Some)
    }
}

fn at(wanted: &Wanted) -> String {
    format!("certificate {}", wanted.name)
}
