//! The tier's scenarios, by topic.

mod apply;
mod approve;
mod backup;
mod client;
mod credentials;
mod doors;
mod endpoints;
mod etcd;
mod flags;
mod plan;
pub mod recover;
mod render;
mod seeded;
mod snapshot;
mod watch;

use crate::scenario::{Scenario, Tier};

/// In the order they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "api-client",
        tier: Tier::Api,
        in_company: false,
        run: client::client,
    },
    Scenario {
        name: "api-apply",
        tier: Tier::Api,
        in_company: false,
        run: apply::apply,
    },
    Scenario {
        name: "api-watch",
        tier: Tier::Api,
        in_company: false,
        run: watch::watch,
    },
    Scenario {
        name: "api-two-doors",
        tier: Tier::Api,
        in_company: false,
        run: doors::two_doors,
    },
    Scenario {
        name: "api-retry",
        tier: Tier::Api,
        in_company: false,
        run: doors::retry,
    },
    Scenario {
        name: "api-plan",
        tier: Tier::Api,
        in_company: false,
        run: plan::plan,
    },
    Scenario {
        name: "api-serving-certificates",
        tier: Tier::Api,
        in_company: false,
        run: approve::serving_certificates,
    },
    Scenario {
        name: "checkpoint-credentials",
        tier: Tier::Api,
        in_company: false,
        run: credentials::credentials,
    },
    Scenario {
        name: "endpoints-kept",
        tier: Tier::Api,
        in_company: false,
        run: endpoints::kept,
    },
    Scenario {
        name: "etcd-gateway",
        tier: Tier::Api,
        in_company: false,
        run: etcd::gateway,
    },
    Scenario {
        name: "recover-seeded",
        tier: Tier::Api,
        in_company: false,
        run: seeded::seeded,
    },
    Scenario {
        name: "backup-take",
        tier: Tier::Api,
        in_company: false,
        run: backup::take,
    },
    Scenario {
        name: "render-accepted",
        tier: Tier::Api,
        in_company: false,
        run: render::accepted,
    },
    Scenario {
        name: "render-flags",
        tier: Tier::Api,
        in_company: false,
        run: flags::flags,
    },
    Scenario {
        name: "recover-schema",
        tier: Tier::Api,
        in_company: false,
        run: recover::schema::current,
    },
    Scenario {
        name: "recover-snapshot-reader",
        tier: Tier::Api,
        in_company: false,
        run: snapshot::reader,
    },
    Scenario {
        name: "recover-decoder",
        tier: Tier::Api,
        in_company: false,
        run: recover::decoder::decoder,
    },
    Scenario {
        name: "recover-killed-everywhere",
        tier: Tier::Api,
        in_company: false,
        run: recover::killed::everywhere,
    },
    Scenario {
        name: "recover-plan",
        tier: Tier::Api,
        in_company: false,
        run: recover::plan::plan,
    },
];

/// What `./x soak` runs besides: they need a program that takes minutes to build.
pub const LONG: &[Scenario] = &[
    Scenario {
        name: "render-accepted-by-previous",
        tier: Tier::Api,
        in_company: false,
        run: render::accepted_by_previous,
    },
    Scenario {
        name: "render-flags-of-previous",
        tier: Tier::Api,
        in_company: false,
        run: flags::flags_of_previous,
    },
    Scenario {
        name: "recover-decoder-by-previous",
        tier: Tier::Api,
        in_company: false,
        run: recover::decoder::decoder_by_previous,
    },
];
