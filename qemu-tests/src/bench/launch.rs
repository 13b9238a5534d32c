//! Launches on the node tier.

use super::Figures;
use crate::node::launch::{self, Observed, Required};
use crate::node::native::{Node, NodeSpec};
use crate::scenario::Context;
use crate::scenarios::pods;
use anyhow::{Context as _, Result};
use serde_json::Value;

/// The seconds of each stage, and the other figures. By default pods come after the handover, so the
/// series of the prober in a pod is taken from a second launch, which waits for that pod.
pub fn run(context: &Context, number: usize) -> Result<(Figures, Figures)> {
    let (node, mut observed) = one_launch(context, &number.to_string(), Required::ControlPlane)?;
    let done = launch::entered(&node, "done")?;
    let stages = stages(&launch::json_file(&node, launch::STATUS)?);
    drop(node);
    let (_node, other) = one_launch(context, &format!("{number}-in-pod"), Required::InPod)?;
    let series = &mut observed.report.series;
    series.retain(|one| !pods::is_in_pod(one));
    series.extend(other.report.series.into_iter().filter(pods::is_in_pod));
    Ok((stages, figures(&observed, done)?))
}

fn one_launch(context: &Context, name: &str, required: Required) -> Result<(Node, Observed)> {
    let context = Context {
        work: context.work.join(name),
        ..context.clone()
    };
    let mut node = Node::create(&context, NodeSpec::default())?;
    node.boot()?;
    let observed = launch::observed(&node, &launch::document(node.spec(), ""), required)?;
    Ok((node, observed))
}

fn figures(observed: &Observed, done: f64) -> Result<Figures> {
    let report = &observed.report;
    let ready = report
        .all_ready()
        .context("the workloads were never all Ready")?;
    let exit = report
        .bootstrap_exit_s()
        .context("the bootstrap apiserver's exit was not seen")?;
    let figures = [
        ("render_ms", observed.render.ended.cpu_ms),
        (
            "start_peak_rss_kib",
            observed.start.ended.peak_rss_kib as f64,
        ),
        ("own_share_ms", ((done - ready) - exit) * 1e3),
        ("api_gap_ms", report.longest_gap_ms()),
        ("failed_requests", report.failures().count() as f64),
        ("lease_gap_ms", report.longest_vacancy_ms()),
    ];
    Ok(figures
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// The stages of a stage record by name; what happens twice is added up.
fn stages(record: &Value) -> Figures {
    let mut stages = Figures::new();
    for stage in record["stages"].as_array().into_iter().flatten() {
        if let (Some(name), Some(start), Some(end)) = (
            stage["name"].as_str(),
            stage["start_s"].as_f64(),
            stage["end_s"].as_f64(),
        ) {
            *stages.entry(name.to_owned()).or_default() += end - start;
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stages_of_a_record() {
        let record = json!({ "stages": [
            { "name": "seed", "start_s": 1.0, "end_s": 5.5 },
            { "name": "wait", "start_s": 5.5, "end_s": null },
        ]});
        assert_eq!(stages(&record), Figures::from([("seed".to_owned(), 4.5)]));
    }
}
