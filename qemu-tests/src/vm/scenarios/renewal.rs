//! The image's timers renew certificates and take backups by themselves: the guest's clock is set to when that is due.

use crate::scenario;
use crate::scenarios::seeded::backup::sealed_to;
use crate::scenarios::{Kubectl, cluster, pods, until};
use crate::vm::launch::Launched;
use crate::wait;
use anyhow::{Context, Result, ensure};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use std::time::Duration;

/// One leap leads past the timer's next turn, which is an hour away or a bit more, and past two thirds of such a
/// life, and nothing has expired behind it.
const LIFETIMES: &str = "certificates:\n  lifetimes:\n    leaf: 48h\n";
const LIFE: u64 = 48 * HOUR;
const LEAP: u64 = 34 * HOUR;
const HOUR: u64 = 60 * 60;
/// `OnCalendar=hourly` and `RandomizedDelaySec=10min` of slipway-certs.timer.
const FURTHEST: u64 = HOUR + 10 * 60;

/// A turn that was slept through comes up to `RandomizedDelaySec=` later, reckoned from the boot (systemd's
/// timer_enter_waiting, `rebased`): of no use to a test but to make it wait for minutes by chance.
const NO_DELAY: &str = "for timer in slipway-certs slipway-backup; do \
    folder=/run/systemd/system/$timer.timer.d && mkdir -p $folder && \
    printf '[Timer]\\nRandomizedDelaySec=0\\n' > $folder/no-delay.conf || exit 1; done; systemctl daemon-reload";

/// From the leap until slipway-certs.service has run, on a free machine with KVM.
const RENEWAL: Duration = Duration::from_secs(60);

const NEXT: &str = "systemctl list-timers --output=json slipway-certs.timer";
const SERVICE: &str =
    "systemctl show --property=Result,ExecMainExitTimestampMonotonic slipway-certs.service";
const SAID: &str = "journalctl --boot --no-pager --output=cat --unit=slipway-certs.service";
const LIST: &str = "slipway certs list --output=json";
const BACKUPS: &str = "slipway backup list --output=json";
const VERIFY: &str = "slipway backup verify";
const METRIC: &str = "grep 'name=\"tls/apiserver\"' /var/lib/slipway/metrics.prom";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// The example that README.md starts with, but for certificates of two days and backups that can be opened.
pub fn document(context: &scenario::Context) -> Result<Vec<u8>> {
    let (example, backup) = (context.example()?, sealed_to()?);
    Ok([&example, LIFETIMES.as_bytes(), backup.as_bytes()].concat())
}

/// Nobody orders the renewal: the clock passes the timer's next turn, and everybody has a new certificate. It passes that of
/// the other timer too, so there is a backup.
pub fn by_the_timer(launched: &mut Launched, deadline: Duration) -> Result<()> {
    let mut guest = Guest { launched, deadline };
    let former = guest.shown()?;
    let ran = guest.ask(SERVICE)?;
    guest.next_turn_is_near()?;
    guest.ask(NO_DELAY)?;
    guest.next_turn_is_near()?;
    let leap = guest.now()? + LEAP;
    guest.ask(&format!("date --set=@{leap}"))?;
    guest.launched.clock_is_ahead()?;
    guest.service_ran(&ran)?;
    guest.next_turn_is_near()?;
    ensure!(guest.shown()? != former, "it shows its former certificate");
    guest.listed(leap)?;
    guest.cluster_lives_on(leap)?;
    guest.backed_up(leap)
}

struct Guest<'a> {
    launched: &'a mut Launched,
    deadline: Duration,
}

impl Guest<'_> {
    fn ask(&mut self, command: &str) -> Result<String> {
        let channel = &mut self.launched.vm.channel;
        Ok(channel.expect(command, self.deadline)?.text())
    }

    fn now(&mut self) -> Result<u64> {
        self.ask("date +%s")?.parse().context("the guest's time")
    }

    /// A moment as the API writes it, but for its end.
    fn time(&mut self, seconds: u64) -> Result<String> {
        self.ask(&format!("date --utc --date=@{seconds} +%FT%T"))
    }

    /// The timer waits, and for no longer than its unit says.
    fn next_turn_is_near(&mut self) -> Result<()> {
        let now = self.now()?;
        let timers = self.ask(NEXT)?;
        let listed: Value = serde_json::from_str(&timers).context("the list of timers")?;
        let micros = listed[0]["next"].as_u64();
        let next =
            micros.with_context(|| format!("the timer does not wait: {timers}"))? / 1_000_000;
        ensure!(
            (now..=now + FURTHEST).contains(&next),
            "at {now} the timer's next turn is at {next}"
        );
        Ok(())
    }

    /// Waits until slipway-certs.service has run once more than before; it has to have succeeded.
    fn service_ran(&mut self, before: &str) -> Result<()> {
        let limit = RENEWAL * self.launched.patience();
        let ended = wait::until("run of slipway-certs.service", limit, || {
            let state = self.ask(SERVICE)?;
            let runs = state.contains("ExecMainExitTimestampMonotonic=0");
            ensure!(!runs && state != before, "it has not ended");
            Ok(state)
        });
        let said = self.ask(SAID)?;
        let ended = ended.with_context(|| said.clone())?;
        ensure!(ended.contains("Result=success"), "{ended}: {said}");
        ensure!(
            said.contains("tls/apiserver is new"),
            "the run renewed nothing: {said}"
        );
        Ok(())
    }

    /// The certificate at the forwarded port, which is that of the guest's asset directory.
    fn shown(&mut self) -> Result<CertificateDer<'static>> {
        let authorities = self.ask("cat /var/lib/slipway/assets/tls/ca.crt")?;
        let asset = self.ask("cat /var/lib/slipway/assets/tls/apiserver.crt")?;
        let now = self.now()?;
        let shown = self.launched.shown_at(authorities.as_bytes(), now)?;
        let asset = slipway::tls::certificates(asset.as_bytes())?;
        ensure!(
            asset.first() == Some(&shown),
            "the API server does not show tls/apiserver.crt"
        );
        Ok(shown)
    }

    /// Nothing is due any more, and the metric has the end of what was made after the leap.
    fn listed(&mut self, leap: u64) -> Result<()> {
        let list: Value = serde_json::from_str(&self.ask(LIST)?).context("the list")?;
        let all = list["certificates"].as_array().into_iter().flatten();
        let due: Vec<_> = all.filter(|one| one["action"] != "none").collect();
        ensure!(due.is_empty(), "still due: {due:?}");
        let metric = self.ask(METRIC)?;
        let ends = metric.rsplit(' ').next().and_then(|text| text.parse().ok());
        let latest = self.now()? + LIFE;
        ensure!(
            ends.is_some_and(|ends| (leap + LIFE..=latest).contains(&ends)),
            "the metric says {metric}"
        );
        Ok(())
    }

    /// The kubelet renews its Lease, everything is Ready, and the API answers a pod with an old token.
    fn cluster_lives_on(&mut self, leap: u64) -> Result<()> {
        let written = self.time(leap)?;
        let launched = &*self.launched;
        let ready = launched.kubectl(&["get", "--raw", "/readyz"], "")?;
        ensure!(ready.trim() == "ok", "/readyz says {ready}");
        until(launched, "renewal of the node's Lease", RENEWAL, || {
            let leases = launched.list(LEASES)?;
            let renewed = leases.first().map(|lease| &lease["spec"]["renewTime"]);
            let renewed = renewed.and_then(Value::as_str).unwrap_or_default();
            ensure!(*renewed > *written, "it is of {renewed:?}");
            Ok(())
        })?;
        cluster::wait_until_ready(launched)?;
        until(launched, "answer to a pod", RENEWAL, || {
            let seen = pods::report_of_many(launched)?;
            let last = seen.series.first().and_then(|series| series.last_success);
            ensure!(last > Some(leap as f64), "the last one was at {last:?}");
            Ok(())
        })
    }

    /// Since the leap a backup was taken, with its bundle, and it is good.
    fn backed_up(&mut self, leap: u64) -> Result<()> {
        let leapt = self.time(leap)?;
        let limit = RENEWAL * self.launched.patience();
        wait::until("backup by its timer", limit, || {
            let list: Value = serde_json::from_str(&self.ask(BACKUPS)?).context("the list")?;
            let mut all = list["backups"].as_array().into_iter().flatten();
            let is_new = |one: &Value| one["taken"].as_str() > Some(leapt.as_str());
            let is_there = all.any(|one| is_new(one) && one["bundle"].is_object());
            ensure!(is_there, "{list}");
            Ok(())
        })?;
        self.ask(VERIFY).map(drop)
    }
}
