//! Each answer that is missing, against every answer that there can be.

use super::*;

/// The same look with one answer that was missing, for each answer that there can be.
fn answered(node: &Node, seen: &Seen) -> Vec<(&'static str, Node, Seen)> {
    let mut all = Vec::new();
    let doors = || doors(&[3, 20, 30], &[5, 10, 30, 60]).into_iter();
    if node.api == Door::Unknown {
        all.extend(doors().map(|api| ("API on loopback", Node { api, ..*node }, *seen)));
    }
    if node.address == Door::Unknown {
        all.extend(doors().map(|address| ("node's address", Node { address, ..*node }, *seen)));
    }
    let booleans = [Some(false), Some(true)].into_iter();
    if node.informed.is_none() {
        let nodes = booleans.clone().map(|informed| Node { informed, ..*node });
        all.extend(nodes.map(|node| ("kubelet read the API", node, *seen)));
    }
    let mut put = |what, changed: Seen| all.push((what, *node, changed));
    if seen.runs == Runs::Unknown {
        let all = all_runs().into_iter();
        all.for_each(|runs| put("its own containers", Seen { runs, ..*seen }));
    }
    if seen.ready.is_none() {
        booleans.for_each(|ready| put("Ready", Seen { ready, ..*seen }));
    }
    if seen.lease == Lease::Unknown {
        let all = leases().into_iter();
        all.for_each(|lease| put("Lease", Seen { lease, ..*seen }));
    }
    if seen.wanted == Wanted::Unknown {
        let all = wants().into_iter();
        all.for_each(|wanted| put("wanted", Seen { wanted, ..*seen }));
    }
    all
}

/// The only action for which an unknown counts: what has run for so long without a manifest is nobody's, and ended. An answer by which
/// the checkpoint is needed would bring its manifest back first, for the kubelet takes up what runs. What is ended serves nobody then,
/// and comes back with that answer.
fn is_taken_up(does: Action, would: Option<Action>) -> bool {
    does == Action::End && matches!(would, Some(Action::Activate(_)))
}

#[test]
fn what_is_unknown_is_no_reason_to_act() {
    let nodes = nodes();
    let mut counted = 0;
    for seen in ROLES.into_iter().flat_map(workloads) {
        for node in &nodes {
            let Some((does, _)) = decide(node, &seen) else {
                continue;
            };
            for (what, node, seen) in answered(node, &seen) {
                let would = decide(&node, &seen).map(|(action, _)| action);
                assert!(
                    would == Some(does) || is_taken_up(does, would),
                    "{does} while {what} is unknown, but {would:?} for {node:?} {seen:?}"
                );
                counted += 1;
            }
        }
    }
    assert!(counted > 100_000, "{counted}");
}
