//! The series: one thread each, a new connection for every request.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use qemu_tests::probe::{Kind, Request, Series, now};
use slipway::kube::error::How;
use slipway::kube::{Client, Config, Error, Options, kubeconfig};

use crate::Notes;
use crate::arguments::Probe;
use crate::pod;

/// What is asked for: a list that RBAC has to allow and etcd has to answer.
const PODS: &str = "/api/v1/pods?limit=1";

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a thread for every user and door.
pub fn start(probe: &Probe, notes: &Notes) -> Result<()> {
    for (user, path) in &probe.users {
        let config = kubeconfig::load(Path::new(path))?;
        for door in &probe.doors {
            let options = Options {
                connect_to: Some(*door),
                ..options()
            };
            let client = Client::new(&config, options)?;
            spawn(
                client,
                Series::new(user, door.to_string()),
                PODS.into(),
                probe,
                notes,
            );
        }
    }
    if probe.service {
        let (config, namespace): (Config, String) = pod::account()?;
        let door = format!("{}:{}", config.server.host, config.server.port);
        let path = format!("/api/v1/namespaces/{namespace}/pods?limit=1");
        let client = Client::new(&config, options())?;
        spawn(
            client,
            Series::new("service-account", door),
            path,
            probe,
            notes,
        );
    }
    Ok(())
}

fn options() -> Options {
    Options {
        timeout: PATIENCE,
        user_agent: "prober".into(),
        ..Options::probe()
    }
}

fn spawn(client: Client, series: Series, path: String, probe: &Probe, notes: &Notes) {
    let (interval, notes) = (probe.interval, notes.clone());
    let index = {
        let mut report = notes.lock();
        report.series.push(series);
        report.series.len() - 1
    };
    std::thread::spawn(move || {
        loop {
            let begun = Instant::now();
            once(&client, &path, &notes, index);
            std::thread::sleep(interval.saturating_sub(begun.elapsed()));
        }
    });
}

fn once(client: &Client, path: &str, notes: &Notes, index: usize) {
    let (request, pause) = ask(client, path);
    if notes.lock().series[index].note(request) {
        std::thread::sleep(pause);
        let (repetition, _) = ask(client, path);
        notes.lock().series[index].note_repetition(&repetition);
    }
}

/// Asks once. Also says for how long the server wants to be left alone: an apiserver that shuts down
/// refuses what still reaches it, for a few milliseconds, with a 503 that wants a second, and every
/// client of Kubernetes grants it that.
fn ask(client: &Client, path: &str) -> (Request, Duration) {
    let sent = now();
    let result = client.get(path).map(drop);
    let over = now();
    let pause = match &result {
        Err(Error::Status(status)) => status.retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    };
    let result = result.map_err(|error| (kind(&error), error.to_string()));
    (Request { sent, over, result }, pause)
}

fn kind(error: &Error) -> Kind {
    match error {
        _ if error.is_forbidden() => Kind::Forbidden,
        Error::Status(_) => Kind::Status,
        Error::Tls { .. } => Kind::Tls,
        Error::Unreachable {
            how: How::Refused, ..
        } => Kind::Refused,
        Error::Unreachable {
            how: How::Closed, ..
        } => Kind::Closed,
        Error::Unreachable {
            how: How::TimedOut, ..
        } => Kind::TimedOut,
        _ => Kind::Other,
    }
}
