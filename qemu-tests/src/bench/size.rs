//! Sizes of what is shipped.

use anyhow::{Context as _, Result, ensure};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// What slipway's dracut modules add to the initrd as it is shipped: compressed sizes with and
/// without it.
pub fn initrd_added(image: &Path) -> Result<i64> {
    let with = compressed_size(&image.join("initrd.img"))?;
    let without = compressed_size(&image.join("initrd-base.img"))?;
    Ok(with - without)
}

fn compressed_size(path: &Path) -> Result<i64> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut zstd = Command::new("zstd")
        .args(["-19", "-T0", "--stdout", "--quiet"])
        .stdin(file)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run zstd; is it installed?")?;
    let packed = zstd.stdout.take().context("zstd has no output")?;
    let size = std::io::copy(&mut { packed }, &mut std::io::sink())?;
    ensure!(
        zstd.wait()?.success(),
        "zstd could not compress {}",
        path.display()
    );
    Ok(size.cast_signed())
}
