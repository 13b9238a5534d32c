//! A machine for one scenario: disks of its own, the document, and the harness's tools.

use super::accel::{Accel, accel};
use super::media::Medium;
use super::qemu::Vm;
use super::spec::{Network, Source, Spec};
use super::tools;
use crate::process;
use anyhow::{Context as _, Result};
use slipway::config;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The machine's folder and what it is started with; the state disk stays there between boots.
#[derive(Debug)]
pub struct Machine {
    /// Disks, logs and sockets.
    pub work: PathBuf,
    /// How it is started; a scenario may change it between boots.
    pub spec: Spec,
    /// What QEMU runs on here.
    pub accel: Accel,
    boots: usize,
    prober: bool,
}

impl Machine {
    /// A machine with the state disk of a first boot, whose document is `text`, or missing.
    pub fn create(image: &Path, work: &Path, medium: Medium, text: Option<&[u8]>) -> Result<Self> {
        let source = match text {
            Some(text) => medium.with(work, text)?,
            None => medium.without(),
        };
        Self::with_source(image, work, source, text.and_then(network))
    }

    /// A machine that gets its document from there. Its network is what a document asks for that is in
    /// no envelope.
    pub fn with_source(
        image: &Path,
        work: &Path,
        source: Source,
        network: Option<Network>,
    ) -> Result<Self> {
        let spec = Spec {
            image: image.to_path_buf(),
            root: image.join("root.erofs"),
            var: state_disk(image, work)?,
            source,
            kernel: String::new(),
            clock: None,
            credentials: Vec::new(),
            network: network.unwrap_or_default(),
            tools: None,
            run: work.join("run"),
            log: work.join("console.log"),
        };
        let accel = accel(&image.join("vmlinuz"));
        Ok(Self {
            work: work.to_path_buf(),
            spec,
            accel,
            boots: 0,
            prober: false,
        })
    }

    /// A machine that was launched before and is off: `disk`, which becomes its own, has its document.
    pub fn with_disk(image: &Path, work: &Path, disk: &Path) -> Result<Self> {
        let machine = Self::with_source(image, work, Source::FwCfg(None), None)?;
        fs::rename(disk, &machine.spec.var)
            .with_context(|| format!("cannot take {}", disk.display()))?;
        Ok(machine)
    }

    /// Starts it; each boot after the first has a console log with its number.
    pub fn boot(&mut self) -> Result<Vm> {
        self.boots += 1;
        if self.boots > 1 {
            self.spec.log = self.work.join(format!("console-{}.log", self.boots));
        }
        self.spec.start(self.accel)
    }

    /// Gives the guest the prober, which starts by itself as soon as it has credentials.
    pub fn add_prober(&mut self, prober: &Path) -> Result<()> {
        let start = tools::start_prober(self.spec.network, self.accel.probed_every());
        self.spec.tools = Some(tools::disk(&[prober], &start, &self.work)?);
        self.prober = true;
        Ok(())
    }

    /// Whether the guest has a prober.
    pub fn probed(&self) -> bool {
        self.prober
    }

    /// Gives the guest files, as /run/tools/NAME: programs to call, or what a person brings along.
    pub fn add_files(&mut self, files: &[&Path]) -> Result<()> {
        self.spec.tools = Some(tools::disk(files, "", &self.work)?);
        Ok(())
    }
}

/// A copy of the image's state disk: a power cut has to leave what was written.
fn state_disk(image: &Path, work: &Path) -> Result<PathBuf> {
    let disk = work.join("var.img");
    let mut copy = Command::new("cp");
    copy.args(["--reflink=auto", "--sparse=always"])
        .arg(image.join("var.img"))
        .arg(&disk);
    process::output(&mut copy).context("cannot copy the state disk")?;
    Ok(disk)
}

/// The network a valid document asks for; an invalid one never gets as far as using it.
fn network(text: &[u8]) -> Option<Network> {
    let machine = config::parse(text).ok()?;
    let IpAddr::V4(address) = machine.node.address else {
        return None;
    };
    Some(Network {
        address,
        api_port: machine.api.port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_the_documents() {
        let text = b"apiVersion: slipway.dev/v1alpha1\nkind: Machine\n\
            node: {name: a, address: 192.168.7.20}\ncluster: {name: c}\napi: {port: 7443}\n";
        let expected = Network {
            address: "192.168.7.20".parse().unwrap(),
            api_port: 7443,
        };
        assert_eq!(network(text), Some(expected));
        assert_eq!(network(b"kind: nothing"), None);
    }
}
