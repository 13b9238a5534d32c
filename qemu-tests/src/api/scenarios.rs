//! The tier's scenarios, by topic.

mod apply;
mod approve;
mod client;
mod credentials;
mod doors;
mod flags;
mod plan;
mod render;
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
    Scenario {
        name: "checkpoint-credentials",
        tier: Tier::Api,
        run: credentials::credentials,
    },
    Scenario {
        name: "render-accepted",
        tier: Tier::Api,
        run: render::accepted,
    },
    Scenario {
        name: "render-flags",
        tier: Tier::Api,
        run: flags::flags,
    },
];

/// What `./x soak` runs besides: they need a program that takes minutes to build.
pub const LONG: &[Scenario] = &[
    Scenario {
        name: "render-accepted-by-previous",
        tier: Tier::Api,
        run: render::accepted_by_previous,
    },
    Scenario {
        name: "render-flags-of-previous",
        tier: Tier::Api,
        run: flags::flags_of_previous,
    },
];
