//! Probes, which must ask a checkpoint where it listens.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::arguments;

/// What tells the port that a program serves its health on; the last one with the address.
const PORTS: [&str; 3] = ["--secure-port", "--healthz-port", "--healthz-bind-address"];
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// Where a container listens, by its arguments.
#[derive(PartialEq, Eq)]
pub(super) struct Door {
    address: Option<String>,
    port: Option<u16>,
}

impl Door {
    pub fn of(container: &Map<String, Value>) -> Self {
        let mut ports = PORTS.iter();
        let port = ports.find_map(|flag| arguments::value(container, flag));
        let port = port.map(|value| value.rsplit(':').next().unwrap_or_default().to_owned());
        Self {
            address: arguments::value(container, "--bind-address"),
            port: port.and_then(|port| port.parse().ok()),
        }
    }
}

/// Sends the probes of one door to another. Probes of other ports are none of it.
pub(super) fn point(container: &mut Map<String, Value>, before: &Door, after: &Door) {
    for probe in PROBES {
        let Some(probe) = container.get_mut(probe) else {
            continue;
        };
        for kind in ["httpGet", "tcpSocket", "grpc"] {
            let action = probe.get_mut(kind).and_then(Value::as_object_mut);
            let Some(action) = action.filter(|action| asks(action, before)) else {
                continue;
            };
            if before.port != after.port
                && let Some(port) = after.port
            {
                action.insert("port".into(), port.into());
            }
            // The kubelet's gRPC probe knows no host but the pod's address.
            if before.address != after.address && kind != "grpc" {
                set_host(action, after.address.as_deref());
            }
        }
    }
}

fn asks(action: &Map<String, Value>, door: &Door) -> bool {
    let port = action.get("port").and_then(Value::as_u64);
    door.port.is_none_or(|own| port == Some(own.into()))
}

/// Whoever listens everywhere is asked at the pod's address, as without a host.
fn set_host(action: &mut Map<String, Value>, address: Option<&str>) {
    let ip = address.and_then(|address| address.parse().ok());
    match address {
        Some(address) if !ip.is_some_and(|ip: IpAddr| ip.is_unspecified()) => {
            action.insert("host".into(), address.into())
        }
        _ => action.remove("host"),
    };
}
