//! A boot without a launch, and what of it is slipway's.

use super::launch::COMMAND;
use super::machine::Machine;
use super::media::Medium;
use super::qemu::Vm;
use crate::scenario::Context;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::time::Duration;

/// Arguments of the kernel, which any image obeys: a boot takes half a minute, a launch five.
pub const NO_LAUNCH: &str = "systemd.mask=slipway-start.service systemd.mask=kubelet.service \
    systemd.mask=containerd.service systemd.mask=image-import.service";
/// PID 1's records about a unit, one JSON object a line.
const RECORDS: &str = "journalctl --boot --quiet --output=json _PID=1 UNIT=";

/// `MESSAGE_ID` of "Starting ..." and of "Finished ..." (systemd's `sd-messages.h`, UNIT_STARTING
/// and UNIT_STARTED).
const STARTING: &str = "7d4958e842da4a758f6c1cdc7b36dcc5";
const STARTED: &str = "39f53479d3a045ac8e11786248231fbf";

/// When PID 1 started a simple service in this boot, in seconds since 1970. Of those it says that they have
/// started and not that it begins: between the two is only a fork.
pub fn started_at(vm: &mut Vm, unit: &str, deadline: Duration) -> Result<f64> {
    let records = records(vm, unit, deadline)?;
    first(&records, STARTED, "__REALTIME_TIMESTAMP")
        .with_context(|| format!("{unit} was not started: {records:?}"))
}

/// Boots from a medium; the seconds that the initrd's fetch took, by PID 1's journal, and those from
/// QEMU's start until a command is answered.
pub fn fetch_and_boot_seconds(context: &Context, medium: Medium) -> Result<(f64, f64)> {
    let document = context.example()?;
    let mut machine = Machine::create(&context.image, &context.work, medium, Some(&document))?;
    machine.spec.kernel = NO_LAUNCH.to_owned();
    let begun = std::time::Instant::now();
    let mut vm = machine.boot()?;
    let deadline = machine.accel.scale(COMMAND);
    vm.channel
        .expect("systemctl start multi-user.target", deadline)?;
    let booted = begun.elapsed().as_secs_f64();
    let records = records(&mut vm, "slipway-fetch.service", deadline)?;
    let seconds = span(&records).with_context(|| format!("no start and end in {records:?}"))?;
    Ok((seconds, booted))
}

/// Whether PID 1 has begun to start a unit in this boot, in the initrd or after it. Of one whose condition does
/// not hold it says in the end that it has started (`job_emit_done_message`), but never that it begins.
pub fn has_started(vm: &mut Vm, unit: &str, deadline: Duration) -> Result<bool> {
    Ok(moment(&records(vm, unit, deadline)?, STARTING).is_some())
}

fn records(vm: &mut Vm, unit: &str, deadline: Duration) -> Result<String> {
    let answer = vm.channel.expect(&format!("{RECORDS}{unit}"), deadline)?;
    Ok(answer.text())
}

/// From PID 1's word that the unit is being started to its word that it has. Records follow that are
/// no part of it: the unit is stopped with the rest of the initrd, a second later.
fn span(records: &str) -> Option<f64> {
    Some(moment(records, STARTED)? - moment(records, STARTING)?)
}

/// The moment of the first record with this `MESSAGE_ID`, in seconds since the kernel's start.
fn moment(records: &str, message_id: &str) -> Option<f64> {
    first(records, message_id, "__MONOTONIC_TIMESTAMP")
}

/// The first record with this `MESSAGE_ID`: one of its two times, in seconds.
fn first(records: &str, message_id: &str, time: &str) -> Option<f64> {
    records
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|record| record["MESSAGE_ID"] == message_id)
        .and_then(|record| record[time].as_str()?.parse().ok())
        .map(|micros: f64| micros / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(message_id: &str, micros: u32) -> String {
        format!("{{\"MESSAGE_ID\":\"{message_id}\",\"__MONOTONIC_TIMESTAMP\":\"{micros}\"}}\n")
    }

    #[test]
    fn a_span_ends_where_the_unit_has_started_not_where_it_is_stopped() {
        let stopped = "9d1aaa27d60140bd96365438aad20286";
        let starting = record(STARTING, 1_500_000);
        let records = starting.clone() + &record(STARTED, 1_750_000) + &record(stopped, 2_900_000);
        assert_eq!(span(&records), Some(0.25));
        assert_eq!(span(&starting), None);
        assert_eq!(span(""), None);
    }
}
