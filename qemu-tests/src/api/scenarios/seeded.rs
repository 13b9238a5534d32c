//! What recoveries are judged by: a cluster that is seeded is as it was on an API server that starts anew, and whatever
//! is taken from it or changed in it has its line.

use anyhow::{Result, ensure};
use serde_json::json;
use slipway::kube::Client;
use std::net::{IpAddr, Ipv4Addr};

use crate::api::Cluster;
use crate::scenario::Context;
use crate::scenarios::seeded::{Noted, Size, seed};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NODE: &str = "node-a";
const SEEDED: &str = "/api/v1/namespaces/seeded";
const BUOY: &str = "/apis/harbour.example.com/v1/namespaces/seeded/buoys/buoy-007";

pub fn seeded(context: &Context) -> Result<()> {
    let mut cluster = Cluster::start(context)?;
    let client = cluster.admin()?;
    client.create(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}))?;
    seed(&client, Size::FULL)?;
    let noted = Noted::of(&client, Size::FULL, NODE)?;
    cluster.kill_server(HERE)?;
    cluster.start_server(HERE, HERE)?;
    let client = cluster.admin()?;
    noted.watches_work(&client)?;
    let differs = noted.differs(&client, None)?;
    ensure!(differs.is_empty(), "it differs: {differs:?}");
    tamper(&client)?;
    let differs = noted.differs(&client, None)?;
    ensure!(
        differs.len() == 4
            && differs[0] == "buoys.harbour.example.com seeded/buoy-007 holds something else"
            && differs[1] == "configmaps seeded/map-00017 is gone"
            && differs[2] == "nodes /node-a is gone"
            && differs[3].starts_with("secrets seeded/secret-0017 was "),
        "this differs: {differs:?}"
    );
    Ok(())
}

/// One thing of each kind; the Secret is another with the same data.
fn tamper(client: &Client) -> Result<()> {
    client.delete(&format!("{SEEDED}/configmaps/map-00017"))?;
    client.merge_patch(BUOY, &json!({"spec": {"depth": -1}}))?;
    let path = format!("{SEEDED}/secrets/secret-0017");
    let mut secret = client.get(&path)?;
    client.delete(&path)?;
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        secret["metadata"][field] = json!(null);
    }
    client.post(&format!("{SEEDED}/secrets"), &secret)?;
    client.delete(&format!("/api/v1/nodes/{NODE}"))?;
    Ok(())
}
