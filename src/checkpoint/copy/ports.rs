//! Ports of pods on the host network.
//!
//! There a container port means nothing, but the kubelet counts it as taken (`NodePorts` of its admission): after
//! its restart it would refuse the pod itself while the checkpoint runs. So the list goes, and who named a
//! port of it has the number.

use serde_json::{Map, Value};

use super::{containers_mut, list};
use crate::checkpoint::workload::text;

/// What can name a port: a field of the container, and a pointer to it from there.
const USERS: [(&str, &str); 5] = [
    ("livenessProbe", ""),
    ("readinessProbe", ""),
    ("startupProbe", ""),
    ("lifecycle", "/postStart"),
    ("lifecycle", "/preStop"),
];

/// Takes the ports of a pod's containers away if they are the node's.
pub(super) fn drop_on_host_network(spec: &mut Map<String, Value>) {
    if spec.get("hostNetwork") != Some(&Value::Bool(true)) {
        return;
    }
    for container in containers_mut(spec) {
        let Some(ports) = container.remove("ports") else {
            continue;
        };
        for (field, pointer) in USERS {
            let user = container.get_mut(field);
            let user = user.and_then(|user| user.pointer_mut(pointer));
            let Some(user) = user else { continue };
            for action in ["httpGet", "tcpSocket"] {
                number(user.get_mut(action), list(&ports));
            }
        }
    }
}

/// Puts a port's number where its name was.
fn number(action: Option<&mut Value>, ports: &[Value]) {
    let Some(port) = action.and_then(|action| action.get_mut("port")) else {
        return;
    };
    let named = ports
        .iter()
        .find(|known| !text(port).is_empty() && known["name"] == *port);
    if let Some(named) = named {
        *port = named["containerPort"].clone();
    }
}
