//! Services that give user data to whoever asks: a path each and no header.

use anyhow::Result;

use super::service::Service;
use super::{Answer, Context};

/// DigitalOcean's metadata API, version 1.
pub fn digitalocean(context: &Context<'_>) -> Result<Answer> {
    Service::new("DigitalOcean", context).user_data("/metadata/v1/user-data", &[])
}

/// Hetzner Cloud's metadata API, version 1.
pub fn hetzner(context: &Context<'_>) -> Result<Answer> {
    Service::new("Hetzner", context).user_data("/hetzner/v1/userdata", &[])
}

/// Vultr's, at the path that Ignition uses too; its versioned API wraps user data in JSON.
pub fn vultr(context: &Context<'_>) -> Result<Answer> {
    Service::new("Vultr", context).user_data("/user-data/user-data", &[])
}
