//! The node tier's scenarios.

mod bad;
mod certs;
mod checkpoint;
mod external_authority;
mod join;
mod launch;
mod own;
mod permanent;
mod power_cut;
mod reboot;
mod recover;
mod running;
mod runtime;
mod switch;
mod upgrade;
mod variants;
mod workers;

use anyhow::Result;

use crate::scenario::{Context, Scenario, Tier};

/// They run in this order: what the others stand on comes first.
pub const SCENARIOS: &[Scenario] = &[
    pair("harness-power-cut", power_cut::run),
    pair("harness-switch", switch::run),
    pair("checkpoint-runtime", runtime::run),
    pair("bad-no-metadata", bad::no_metadata),
    pair("bad-full-disk", bad::full_disk),
    pair("bad-read-only-target", bad::read_only_target),
    pair("bad-unreachable-etcd", bad::unreachable_etcd),
    pair("bad-apiserver-never-answers", bad::apiserver_never_answers),
    pair("bad-manifest-refused", bad::manifest_refused),
    node("launch-native", launch::native),
    pair("launch-dual-stack", variants::dual_stack),
    pair("launch-own-authority", variants::own_authority),
    pair("launch-external-authority", external_authority::run),
    pair("launch-external-etcd", variants::external_etcd),
    pair("launch-power-cut", launch::power_cut),
    pair("launch-killed-start", launch::killed::<0>),
    pair("launch-killed-apply", launch::killed::<6>),
    pair("launch-killed-handover", launch::killed::<8>),
    pair("launch-killed-apiserver-gone", launch::killed::<11>),
    pair("launch-static", permanent::launch),
    pair("launch-static-killed", permanent::killed),
    pair("dns-and-service", running::dns_and_service),
    node("roll-apiserver-image", upgrade::roll_apiserver_image),
    node("certs-renew", certs::renew),
    node("certs-rotate", certs::rotate),
    pair("join-worker", join::worker),
    pair("recover-from-etcd", recover::from_etcd),
    pair("recover-controllers", recover::controllers),
    pair("recover-on-new-machine", recover::on_new_machine),
    pair("reboot-three-cuts", reboot::cuts::<3>),
    pair("checkpoint-life", checkpoint::life),
    pair("checkpoint-life-cycle", checkpoint::life_cycle),
    pair("checkpoint-broken-image", checkpoint::broken_image),
    pair("checkpoint-cut-off", checkpoint::cut_off),
    pair("checkpoint-add-ons", checkpoint::add_ons),
];

/// What takes too long for every change: `./x soak` runs them, and `./x test` by name.
pub const LONG: &[Scenario] = &[
    node("certs-renew-static", certs::renew_static),
    node("launch-in-pod", launch::in_pod),
    node("roll-control-plane", running::roll_control_plane),
    node("launch-killed-seed-apiserver", launch::killed::<2>),
    node("launch-killed-leases-released", launch::killed::<10>),
    node("launch-killed-secrets-removed", launch::killed::<13>),
    node("certs-rotate-unfinished", certs::rotate_unfinished),
    node("launch-killed-seed-etcd", launch::killed::<1>),
    node("launch-killed-api", launch::killed::<3>),
    node("launch-killed-heard", launch::killed::<4>),
    node("launch-killed-seed-controllers", launch::killed::<5>),
    node("launch-killed-wait", launch::killed::<7>),
    node("launch-killed-controllers-gone", launch::killed::<9>),
    node("launch-killed-endpoints", launch::killed::<12>),
    node("launch-killed-add-ons", launch::killed::<14>),
    node("certs-killed", certs::killed),
    node("certs-renew-static-killed", certs::renew_static_killed),
    node("certs-rotate-worker", certs::rotate_worker),
    node("reboot-ten-cuts", reboot::cuts::<10>),
    node("reboot-with-workers", workers::stay),
    node("reboot-with-workers-six-minutes", workers::stay_six_minutes),
    node("reboot-with-workers-evicted", workers::are_evicted),
    node("closed-with-workers", workers::stay_while_it_runs),
    node(
        "checkpoint-uninformed-kubelet",
        checkpoint::uninformed_kubelet,
    ),
    node("checkpoint-node-deleted", checkpoint::node_deleted),
    node("checkpoint-cut-off-for-long", checkpoint::cut_off_for_long),
    node("recover-killed", recover::killed),
    node("recover-over-data", recover::over_data),
    node("recover-dual-stack", recover::dual_stack),
    node("recover-external-etcd", recover::external_etcd),
    node("recover-static", recover::with_static_pods),
    node("upgrade-from-previous", upgrade::from_previous),
];

/// One that minds who else is busy.
const fn node(name: &'static str, run: fn(&Context) -> Result<()>) -> Scenario {
    Scenario {
        name,
        tier: Tier::Node,
        in_company: false,
        run,
    }
}

/// One that may run beside another.
const fn pair(name: &'static str, run: fn(&Context) -> Result<()>) -> Scenario {
    Scenario {
        in_company: true,
        ..node(name, run)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{LONG, SCENARIOS, launch};

    #[test]
    fn every_step_of_the_journal_has_its_scenario() {
        let all = SCENARIOS.iter().chain(LONG);
        let killed: BTreeSet<_> = all
            .filter_map(|one| one.name.strip_prefix("launch-killed-"))
            .collect();
        assert_eq!(killed, launch::STEPS.into_iter().collect());
    }
}
