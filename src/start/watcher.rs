//! Waking up when something changed.
//!
//! What is true is always listed anew; watches only say when it is worth looking again. So a lost
//! event costs one interval, never a wrong decision.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::kube::Client;

/// Signals of changes under a few API paths.
#[derive(Debug)]
pub struct Changes(Receiver<()>);

/// How long one watch lasts before it is renewed.
const WATCH_SECONDS: u32 = 300;
/// The pause before a watch that broke is renewed.
const RENEW: Duration = Duration::from_millis(500);

impl Changes {
    /// Watches collections until the value is dropped.
    pub fn watch(client: &Client, paths: &[String]) -> Self {
        let (sender, receiver) = mpsc::channel();
        for path in paths {
            let (client, path, sender) = (client.clone(), path.clone(), sender.clone());
            thread::spawn(move || follow(&client, &path, &sender));
        }
        Self(receiver)
    }

    /// Returns when something changed, or after `limit`.
    pub fn wait(&self, limit: Duration) {
        match self.0.recv_timeout(limit) {
            Ok(()) => while self.0.try_recv().is_ok() {},
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(limit),
        }
    }
}

fn follow(client: &Client, path: &str, sender: &Sender<()>) {
    loop {
        match client.watch(path, "", WATCH_SECONDS) {
            Ok(events) => {
                for event in events {
                    if sender.send(()).is_err() {
                        return;
                    }
                    if event.is_err() {
                        break;
                    }
                }
            }
            Err(error) => log::debug!("cannot watch {path}: {error}"),
        }
        if sender.send(()).is_err() {
            return;
        }
        thread::sleep(RENEW);
    }
}
