//! Whether a control plane that a snapshot tells of lives.
//!
//! Two control planes of one cluster, each with an etcd of its own, contradict each other for ever: same authority, same
//! keys, other objects. A snapshot cannot say who lives, so everybody that it names is asked, at the address that it had
//! and with the certificate that it must have. Silence proves nothing (a machine may be cut off, or come back), which the
//! page for people says.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::nodes::Node;
use super::prepare::{Options, Prepared, Task};
use crate::exit::{Exit, fail};
use crate::kube::{Client, Config, Options as ClientOptions};
use crate::start::plane;
use crate::transport::Server;

/// An API server of the neighbourhood answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Refuses a restore while another node's API server of this cluster answers.
///
/// # Errors
/// [`Exit::Refused`], naming it.
pub fn refuse(options: &Options, task: &Task<'_>, prepared: &Prepared) -> Result<()> {
    let Some(writing) = prepared.writing.as_ref() else {
        return Ok(());
    };
    if writing.recovery.snapshot.is_none() || options.root != Path::new("/") {
        return Ok(());
    }
    let admin = plane::admin(&writing.assembled.assets)?;
    let own: Vec<_> = task.machine.node.addresses().collect();
    let others = prepared.nodes.iter().filter(|node| {
        let address = node.address.parse();
        node.is_control_plane && address.is_ok_and(|address| !own.contains(&address))
    });
    for node in others {
        if lives(node, task.machine.api.port, &admin) {
            return Err(fail(
                Exit::Refused,
                anyhow!(
                    "{} ({}) lives: it answers as this cluster's API server, and a second one would contradict it\nnext \
                     step: use it; or if it is to be replaced, switch that machine off for good, then run this again",
                    node.name,
                    node.address
                ),
            ));
        }
    }
    Ok(())
}

/// Whether a server answers there, whatever it says, that this cluster's authority certified.
fn lives(node: &Node, port: u16, admin: &Config) -> bool {
    let config = Config {
        server: Server {
            tls: true,
            host: node.address.clone(),
            port,
            prefix: String::new(),
        },
        tls_server_name: None,
        ..admin.clone()
    };
    let options = ClientOptions {
        timeout: PATIENCE,
        ..ClientOptions::probe()
    };
    let answer = Client::new(&config, options).map(|client| client.status("/readyz"));
    answer.is_ok_and(|answer| answer.is_ok())
}
