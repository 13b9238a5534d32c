//! The series: one thread each, a new connection for every request, made with the credentials that are
//! in their files at that moment, as a program does that was just started.

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
        for door in &probe.doors {
            let path = path.clone();
            let options = Options {
                connect_to: Some(*door),
                ..options()
            };
            let asker = Asker::new(options, PODS.into(), move || kubeconfig::load(&path))?;
            spawn(asker, Series::new(user, door.to_string()), probe, notes);
        }
    }
    if probe.service {
        let (config, namespace): (Config, String) = pod::account()?;
        let door = format!("{}:{}", config.server.host, config.server.port);
        let path = format!("/api/v1/namespaces/{namespace}/pods?limit=1");
        let asker = Asker::new(options(), path, || Ok(pod::account()?.0))?;
        spawn(asker, Series::new("service-account", door), probe, notes);
    }
    Ok(())
}

/// Someone who asks for the same thing again and again.
struct Asker {
    read: Box<dyn Fn() -> Result<Config> + Send>,
    options: Options,
    path: String,
    config: Config,
    client: Client,
}

impl Asker {
    fn new(
        options: Options,
        path: String,
        read: impl Fn() -> Result<Config> + Send + 'static,
    ) -> Result<Self> {
        let config = read()?;
        Ok(Self {
            client: Client::new(&config, options.clone())?,
            read: Box::new(read),
            options,
            path,
            config,
        })
    }

    /// Takes the credentials that are there now. Files that are being exchanged do not fit each other for a
    /// moment; the earlier ones are good until they do.
    fn look_again(&mut self) {
        let Ok(config) = (self.read)() else { return };
        if config == self.config {
            return;
        }
        if let Ok(client) = Client::new(&config, self.options.clone()) {
            (self.config, self.client) = (config, client);
        }
    }

    /// Asks once. Also says for how long the server wants to be left alone: an apiserver that shuts down
    /// refuses what still reaches it, for a few milliseconds, with a 503 that wants a second, and every
    /// client of Kubernetes grants it that.
    fn ask(&mut self) -> (Request, Duration) {
        self.look_again();
        let sent = now();
        let result = self.client.get(&self.path).map(drop);
        let over = now();
        let pause = match &result {
            Err(Error::Status(status)) => status.retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let result = result.map_err(|error| (kind(&error), error.to_string()));
        (Request { sent, over, result }, pause)
    }
}

fn options() -> Options {
    Options {
        timeout: PATIENCE,
        user_agent: "prober".into(),
        ..Options::probe()
    }
}

fn spawn(mut asker: Asker, series: Series, probe: &Probe, notes: &Notes) {
    let (interval, notes) = (probe.interval, notes.clone());
    let index = {
        let mut report = notes.lock();
        report.series.push(series);
        report.series.len() - 1
    };
    std::thread::spawn(move || {
        loop {
            let begun = Instant::now();
            once(&mut asker, &notes, index);
            std::thread::sleep(interval.saturating_sub(begun.elapsed()));
        }
    });
}

fn once(asker: &mut Asker, notes: &Notes, index: usize) {
    let (request, pause) = asker.ask();
    if notes.lock().series[index].note(request) {
        std::thread::sleep(pause);
        let (repetition, _) = asker.ask();
        notes.lock().series[index].note_repetition(&repetition);
    }
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
