//! A boot without a launch, and what of it is slipway's.

use super::launch::COMMAND;
use super::machine::Machine;
use super::media::Medium;
use crate::scenario::Context;
use anyhow::{Context as _, Result};
use serde_json::Value;

/// Arguments of the kernel, which any image obeys: a boot takes half a minute, a launch five.
pub const NO_LAUNCH: &str = "systemd.mask=slipway-start.service systemd.mask=kubelet.service \
    systemd.mask=containerd.service systemd.mask=image-import.service";
/// PID 1's records about the unit, one JSON object a line.
const RECORDS: &str = "journalctl --boot --quiet --output=json _PID=1 UNIT=slipway-fetch.service";

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
    let records = vm.channel.expect(RECORDS, deadline)?.text();
    let seconds = span(&records).with_context(|| format!("no start and end in {records:?}"))?;
    Ok((seconds, booted))
}

/// From the first record of a unit (it is being started) to the last (it has).
fn span(records: &str) -> Option<f64> {
    let mut times = records.lines().filter_map(|line| {
        let record: Value = serde_json::from_str(line).ok()?;
        let micros: f64 = record["__MONOTONIC_TIMESTAMP"].as_str()?.parse().ok()?;
        Some(micros / 1e6)
    });
    let first = times.next()?;
    times.next_back().map(|last| last - first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_needs_two_records() {
        let record = |time| format!("{{\"__MONOTONIC_TIMESTAMP\": \"{time}\"}}\n");
        assert_eq!(span(&(record(1_500_000) + &record(1_750_000))), Some(0.25));
        assert_eq!(span(&record(1)), None);
        assert_eq!(span(""), None);
    }
}
