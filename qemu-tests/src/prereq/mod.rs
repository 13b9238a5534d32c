//! What the machine has to have: found if there, installed if not, and the network asked only then.
//!
//! Grouped by what it is for, so that `./x test --tier unit` does not install an emulator.

mod apt;
mod go;
mod rust;

use anyhow::Result;
pub use go::go_version;
pub use rust::cargo_deny;

/// What compiles the payload: Go, and the C compilers for its two C programs.
pub fn payload() -> Result<()> {
    go_version()?;
    apt::ensure(&["gcc", "libc6-dev", "musl-tools"])
}

/// What compiles slipway itself for x86_64; ring has C in it.
pub fn binary() -> Result<()> {
    rust::target("x86_64-unknown-linux-musl")?;
    apt::ensure(&["gcc", "libc6-dev", "musl-tools"])
}

/// What compiles slipway for aarch64: Debian's cross compiler, for ring's C and the final link.
pub fn cross() -> Result<()> {
    rust::target("aarch64-unknown-linux-musl")?;
    apt::ensure(&["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"])
}

/// What the checks of the unit tier run: a minimal Rust has no formatter and no linter.
pub fn lint() -> Result<()> {
    rust::component("rustfmt", "cargo-fmt")?;
    rust::component("clippy", "cargo-clippy")?;
    // slipway's own tests have openssl verify what pki makes.
    apt::ensure(&["shellcheck", "openssl"])?;
    // clippy looks at the fuzz targets too, and for that their build scripts run.
    fuzz()
}

/// A validator of JSON Schemas.
pub fn schema() -> Result<()> {
    apt::ensure(&["python3-jsonschema"])
}

/// What compiles libFuzzer.
pub fn fuzz() -> Result<()> {
    apt::ensure(&["g++"])
}

/// What makes the image and its disks, and the authorities of scenarios.
pub fn image() -> Result<()> {
    apt::ensure(&[
        "mmdebstrap",
        "debian-archive-keyring",
        "erofs-utils",
        "e2fsprogs",
        "zstd",
        "cpio",
        "xorriso",
        "genisoimage",
        "mtools",
        "dosfstools",
        "openssl",
    ])?;
    apt::lists()
}

/// QEMU of a version that runs Linux 6.12 (10 or later).
pub fn emulator() -> Result<()> {
    apt::emulator()
}

/// The age that others use: slipway opens what it seals, and the other way round.
pub fn age() -> Result<()> {
    apt::ensure(&["age"])
}
