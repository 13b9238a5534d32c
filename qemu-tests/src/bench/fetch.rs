//! What reading the document costs: a large envelope natively, and the unit's share of a boot.

use super::{Figures, measured};
use crate::cache;
use crate::scenario::Context;
use crate::vm::boot;
use crate::vm::media::Medium;
use anyhow::{Context as _, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;

/// The large envelope's size.
const MIB: usize = 1024 * 1024;

/// `slipway fetch` of an Ignition config of 1 MiB, most of which is one file.
pub fn natively(context: &Context) -> Result<Figures> {
    let work = context.work.join("fetch");
    cache::empty(&work)?;
    let config = work.join("config.ign");
    fs::write(&config, envelope(context)?).context("cannot write the envelope")?;
    let target = work.join("target");
    fs::create_dir(&target).context("cannot make the target")?;
    let options = [
        ("--config", config.as_path()),
        ("--root", &work),
        ("--target", &target),
    ];
    let figures = measured(context, "fetch", "fetch", &options)?;
    ensure!(
        target.join("etc/carried").exists(),
        "the large file was not written"
    );
    Ok(figures)
}

fn envelope(context: &Context) -> Result<String> {
    let document = context.example()?;
    let file = |path: &str, bytes: &[u8]| {
        let data = STANDARD.encode(bytes);
        format!("{{\"path\": \"{path}\", \"contents\": {{\"source\": \"data:;base64,{data}\"}}}}")
    };
    let document = file("/etc/slipway/machine.yaml", &document);
    let room = MIB - document.len() - 256;
    let carried = file("/etc/carried", &vec![b'x'; room / 4 * 3]);
    Ok(format!(
        "{{\"ignition\": {{\"version\": \"3.4.0\"}}, \"storage\": {{\"files\": [{document}, {carried}]}}}}"
    ))
}

/// The seconds of slipway-fetch.service in the initrd, from fw_cfg and from a disc.
pub fn at_boot(context: &Context, number: usize) -> Result<Figures> {
    let mut figures = Figures::new();
    for (name, medium) in [("fw_cfg", Medium::FwCfg), ("disc", Medium::NoCloudIso)] {
        let context = Context {
            work: context.work.join(format!("boot-{name}-{number}")),
            ..context.clone()
        };
        cache::empty(&context.work)?;
        let (fetch, boot) = boot::fetch_and_boot_seconds(&context, medium)?;
        figures.insert(format!("boot_fetch_{name}_s"), fetch);
        figures.insert(format!("boot_{name}_s"), boot);
    }
    Ok(figures)
}
