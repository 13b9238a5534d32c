//! Go, which this program asks for but does not install: Debian's is older than Kubernetes needs.

use crate::process;
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::sync::OnceLock;

/// The oldest Go that compiles the payload, as (major, minor).
const OLDEST: (u32, u32) = (1, 26);

/// Go's version as it calls itself, e.g. `go1.26.8`; too old a Go is an error.
pub fn go_version() -> Result<&'static str> {
    static VERSION: OnceLock<String> = OnceLock::new();
    if let Some(version) = VERSION.get() {
        return Ok(version);
    }
    let (major, minor) = OLDEST;
    let text = process::output(Command::new("go").args(["env", "GOVERSION"])).with_context(|| {
        format!("Go {major}.{minor} or later is needed: install it, put `go` on the PATH, run ./x again")
    })?;
    let version = text.trim();
    if release(version).is_none_or(|release| release < OLDEST) {
        bail!("Go {major}.{minor} or later is needed, this is {version}: install a newer one");
    }
    Ok(VERSION.get_or_init(|| version.to_owned()))
}

/// (1, 26) of `go1.26.8`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix("go")?.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor: String = parts
        .next()?
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    Some((major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_releases() {
        assert_eq!(release("go1.26.8"), Some((1, 26)));
        assert_eq!(release("go1.27rc1"), Some((1, 27)));
        assert_eq!(release("devel"), None);
    }
}
