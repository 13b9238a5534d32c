//! The node's half, asked whether this node would survive a reboot: `GET /readyz` at the unit's door.
//!
//! It is asked when the kubelet asks us, so its word is never an old one; a unit that is gone says so by
//! refusing the connection.

use std::net::SocketAddr;
use std::time::Duration;

use ureq::Agent;

/// The unit answers from memory. The kubelet waits longer than this for our own answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a person reads in a pod's events.
const MAX_WORDS: u64 = 1000;

/// The unit of the node that this pod runs on.
#[derive(Clone, Debug)]
pub struct Unit {
    agent: Agent,
    url: String,
}

impl Unit {
    /// The one that answers at this door.
    pub fn at(door: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(0)
            .timeout_global(Some(PATIENCE))
            .build();
        Self {
            agent: Agent::new_with_config(config),
            url: format!("http://{door}/readyz"),
        }
    }

    /// What is wrong with it, for whoever reads the pod's events; nothing if all is well.
    pub fn trouble(&self) -> Option<String> {
        let words = match self.ask() {
            Ok(None) => return None,
            Ok(Some(words)) => words,
            Err(error) => format!("{} not reached: {error}", self.url),
        };
        Some(format!(
            "this node's slipway-checkpoint.service: {}; see journalctl -u slipway-checkpoint",
            words.trim()
        ))
    }

    /// Its words, unless it says that all is well.
    fn ask(&self) -> Result<Option<String>, ureq::Error> {
        let mut reply = self.agent.get(&self.url).call()?;
        if reply.status() == 200 {
            return Ok(None);
        }
        let body = reply.body_mut().with_config().limit(MAX_WORDS);
        body.lossy_utf8(true).read_to_string().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::super::health::Health;
    use super::*;

    #[test]
    fn its_own_words_are_passed_on() {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = door.local_addr().unwrap();
        let unit = Unit::at(address);
        let health = Health::serve(door, "kube-apiserver has no checkpoint yet", || None);
        assert_eq!(
            unit.trouble().unwrap(),
            "this node's slipway-checkpoint.service: kube-apiserver has no checkpoint yet; \
             see journalctl -u slipway-checkpoint"
        );
        health.set("");
        assert_eq!(unit.trouble(), None);
    }

    #[test]
    fn one_that_is_gone_or_silent_is_trouble() {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let unit = Unit::at(door.local_addr().unwrap());
        // The kernel takes the connection; nobody answers.
        let silent = unit.trouble().unwrap();
        assert!(silent.contains("/readyz not reached: timeout"), "{silent}");
        drop(door);
        let gone = unit.trouble().unwrap();
        assert!(
            gone.contains("/readyz not reached: io: Connection refused"),
            "{gone}"
        );
    }
}
