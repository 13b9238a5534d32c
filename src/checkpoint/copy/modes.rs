//! Which files of a volume are programs.
//!
//! The kubelet gives a file the mode of its item, or else the volume's. A checkpoint's files are one user's and nobody else's, so
//! all that counts of a mode is whether its owner may execute the file: a script in a ConfigMap must still start.

use serde_json::Value;

/// That of a file which only its owner reads.
pub(super) const PRIVATE: u32 = 0o600;
const EXECUTABLE: u32 = 0o100;

/// The mode of the file that a volume makes of an item (null where it has none). `default` is the volume's `defaultMode`.
pub(super) fn of(item: &Value, default: &Value) -> u32 {
    let own = item["mode"].as_u64();
    let mode = own.or(default.as_u64()).unwrap_or_default();
    match mode & u64::from(EXECUTABLE) {
        0 => PRIVATE,
        _ => PRIVATE | EXECUTABLE,
    }
}
