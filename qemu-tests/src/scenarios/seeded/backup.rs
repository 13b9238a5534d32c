//! What a backup's bundle is sealed to in every scenario, and what opens it.

use anyhow::{Context as _, Result};

/// The secret key, as age-keygen writes it.
pub const IDENTITY: &str =
    "AGE-SECRET-KEY-1AWFVKDVY90J66SNZ9TZRKNE0SNRA4QWYEG6DAP9EE4JYYJZVL8SQCV3JNF\n";

/// The lines of a machine document whose backups are sealed to it.
pub fn sealed_to() -> Result<String> {
    let identities = slipway::age::identities(IDENTITY.as_bytes())?;
    let recipient = identities.first().context("no key")?.recipient();
    Ok(format!("backup:\n  recipients: [{recipient}]\n"))
}
