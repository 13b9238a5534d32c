//! The tier's scenarios, by topic.

mod apply;
mod approve;
mod client;
mod doors;
mod plan;
mod watch;

use crate::scenario::{Scenario, Tier};

/// In the order they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "api-client",
        tier: Tier::Api,
        run: client::client,
    },
    Scenario {
        name: "api-apply",
        tier: Tier::Api,
        run: apply::apply,
    },
    Scenario {
        name: "api-watch",
        tier: Tier::Api,
        run: watch::watch,
    },
    Scenario {
        name: "api-two-doors",
        tier: Tier::Api,
        run: doors::two_doors,
    },
    Scenario {
        name: "api-retry",
        tier: Tier::Api,
        run: doors::retry,
    },
    Scenario {
        name: "api-plan",
        tier: Tier::Api,
        run: plan::plan,
    },
    Scenario {
        name: "api-serving-certificates",
        tier: Tier::Api,
        run: approve::serving_certificates,
    },
];
