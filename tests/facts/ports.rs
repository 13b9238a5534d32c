//! Ports that pods of the node itself listen on: no document may give one of them to the API server.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway::config;

use super::super::{CASES, sorted};
use super::{objects, pod};

/// The port at the end of a flag's value, e.g. of an address or a URL. Small numbers are none.
fn port_of(argument: &str) -> Option<u16> {
    let (flag, value) = argument.split_once('=')?;
    let listens = ["listen-", "port", "address", "healthz"];
    let client = flag.starts_with("--etcd-servers") || flag.contains("-advertise-");
    let (_, end) = value.rsplit_once(':').unwrap_or(("", value));
    let port = end.parse().ok().filter(|port| *port > 1000)?;
    (listens.iter().any(|word| flag.contains(word)) && !client).then_some(port)
}

fn ports_of(container: &Value, into: &mut BTreeSet<u16>) {
    let texts = ["command", "args"].map(|key| container[key].as_array());
    let arguments = texts.into_iter().flatten().flatten();
    into.extend(arguments.filter_map(|argument| port_of(argument.as_str().unwrap())));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let port = &container[probe]["httpGet"]["port"];
        into.extend(port.as_u64().map(|port| u16::try_from(port).unwrap()));
    }
}

#[test]
fn what_listens_on_the_node_is_refused_to_the_api_server() {
    let mut ports = BTreeSet::new();
    for (_, object) in objects() {
        let pod = pod(object);
        if pod["hostNetwork"] == true {
            for container in pod["containers"].as_array().unwrap() {
                ports_of(container, &mut ports);
            }
        }
    }
    for case in sorted(CASES) {
        let text = std::fs::read(case.join("in.yaml")).unwrap();
        ports.remove(&config::parse(&text).unwrap().api.port);
    }
    for known in [2379, 2380, 2381, 8081, 10256, 10257, 10259, 10260] {
        assert!(ports.contains(&known), "{known} is not in {ports:?}");
    }
    for port in ports {
        let text = format!(
            "{{apiVersion: slipway.dev/v1alpha1, kind: Machine, node: {{name: a, address: 10.0.2.15}}, \
             cluster: {{name: a}}, api: {{port: {port}}}}}"
        );
        let problem = config::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(
            problem.contains(&format!("{port} is taken by")),
            "{problem}"
        );
    }
}
