//! What a client alone can note of a cluster, and judge later.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use slipway::kube::Client;

use super::seen::Seen;
use super::tokens::{self, Token};
use super::{Size, watched};

/// Every object, and tokens that were issued.
#[derive(Debug, Serialize, Deserialize)]
pub struct Noted {
    seen: Seen,
    tokens: Vec<Token>,
    /// The greatest resourceVersion that anybody has seen, which may be later than the rest.
    latest: u64,
}

impl Noted {
    /// Issues tokens, and notes everything that a seeded cluster holds, one of whose nodes has this name.
    pub fn of(client: &Client, size: Size, node: &str) -> Result<Self> {
        let tokens = tokens::issue(client, node)?;
        let seen = Seen::of(client)?;
        seen.holds(size)?;
        let latest = seen.revision();
        Ok(Self {
            seen,
            tokens,
            latest,
        })
    }

    /// Somebody saw this resourceVersion afterwards.
    pub fn saw(&mut self, version: u64) {
        self.latest = self.latest.max(version);
    }

    /// What is worse now, one thing a line. `forgotten` is the node that was taken out of the cluster.
    pub fn differs(&self, client: &Client, forgotten: Option<&str>) -> Result<Vec<String>> {
        let seen = Seen::of(client)?;
        let mut differs = seen.differs_from(&self.seen, self.latest, forgotten);
        differs.extend(tokens::judge(client, &self.tokens)?);
        Ok(differs)
    }

    /// New watches, and those that go on from before, tell of what happens.
    pub fn watches_work(&self, client: &Client) -> Result<()> {
        watched::works(client, self.latest)
    }
}
