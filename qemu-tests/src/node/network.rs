//! Nodes' wires, and the switch that several nodes are plugged into.
//!
//! A node of its own has both ends of its wire inside: it is up, and it leads nowhere. Nodes that are
//! to meet get a switch: a network namespace with a bridge in it and nothing else, so that leads
//! nowhere either. A process keeps it, which ends when its standard input closes, that is, when the
//! harness drops the switch or dies in whatever way; the kernel then takes the bridge away. A bridge
//! among the host's own devices was the road not taken: a killed run would leave it there, and it
//! would be a way out.

use std::fs;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use nix::mount::umount2;
use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};

use super::native::{append, first_line};
use super::{mounts, reexec};
use crate::scenario::Context;

/// What the process that keeps a switch prints when the bridge is there.
const READY: &str = "ready";
/// The bridge's name in its namespace, and that namespace's in a node that is being plugged in.
const SWITCH: &str = "switch";

/// A switch: nodes whose [`NodeSpec`](super::native::NodeSpec) names it reach each other.
#[derive(Debug)]
pub struct Network {
    keeper: Child,
}

impl Network {
    /// A new switch with nothing plugged in. It is there as long as anybody holds it.
    pub fn create(context: &Context) -> Result<Arc<Self>> {
        let log = context.work.join("network.log");
        let mut keeper = reexec::command(reexec::NETWORK, &context.image.join("rootfs"))?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(append(&log)?)
            .spawn()?;
        let line = first_line(&mut keeper, &log).context("no switch")?;
        ensure!(line == READY, "the switch said {line:?}");
        Ok(Arc::new(Self { keeper }))
    }

    /// The process in whose network namespace the bridge is.
    pub fn keeper(&self) -> u32 {
        self.keeper.id()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if let Err(error) = self.keeper.wait() {
            eprintln!("switch: {error:#}");
        }
    }
}

/// Keeps a switch until standard input closes. `rootfs` has the program `ip`; the host need not.
pub fn keep(rootfs: &Path) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace; are you root?")?;
    // Without snooping it floods multicast, and neighbours find each other from the first moment.
    for step in [
        format!("link add dev {SWITCH} type bridge mcast_snooping 0"),
        format!("link set dev {SWITCH} up"),
    ] {
        run(Command::new("chroot").arg(rootfs).arg("ip"), &step)?;
    }
    let mut out = std::io::stdout();
    writeln!(out, "{READY}").and_then(|()| out.flush())?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A node's place in the network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Its addresses, one or one a family.
    pub addresses: Vec<IpAddr>,
    /// The process that keeps the switch, if the node is plugged into one.
    pub switch: Option<u32>,
}

impl Place {
    /// Shows the switch's namespace below `root`, while the host's /proc can still be seen.
    pub fn show_switch(&self, root: &Path) -> Result<()> {
        let Some(keeper) = self.switch else {
            return Ok(());
        };
        let namespace = PathBuf::from(format!("/proc/{keeper}/ns/net"));
        mounts::bind(&namespace, &root.join("run/netns").join(SWITCH))
            .context("the node's switch is gone")
    }

    /// Makes eth0 of the calling process's network namespace, with its addresses and default routes.
    pub fn connect(&self) -> Result<()> {
        let has_ipv6 = self.addresses.iter().any(IpAddr::is_ipv6);
        if has_ipv6 {
            // Nobody else has these addresses, and a node that asks first comes up a second later.
            for which in ["all", "default"] {
                sysctl(&format!("ipv6/conf/{which}/accept_dad"), "0")?;
            }
        }
        ip("link set dev lo up")?;
        match self.switch {
            None => {
                ip("link add dev wire type veth peer name eth0")?;
                ip("link set dev wire up")?;
            }
            Some(_) => self.plug_in()?,
        }
        ip("link set dev eth0 up")?;
        for address in &self.addresses {
            self.configure(*address)?;
        }
        if has_ipv6 {
            sysctl("ipv6/conf/all/forwarding", "1")?;
        }
        // As the image's sysctl.d says.
        sysctl("ipv4/tcp_migrate_req", "1")?;
        sysctl("ipv4/ip_forward", "1")
    }

    /// Makes a wire of which one end is eth0 and the other a port of the switch.
    fn plug_in(&self) -> Result<()> {
        let port = self.port()?;
        // The kernel may still be busy with taking away an earlier life's wire.
        let _ = ip(&format!("-netns {SWITCH} link delete dev {port}"));
        ip(&format!(
            "link add dev eth0 address {} type veth peer name {port} netns {SWITCH}",
            self.hardware_address()?
        ))?;
        ip(&format!(
            "-netns {SWITCH} link set dev {port} master {SWITCH} up"
        ))?;
        let shown = Path::new("/run/netns").join(SWITCH);
        umount2(&shown, nix::mount::MntFlags::MNT_DETACH).context("cannot let go of the switch")?;
        Ok(fs::remove_file(shown)?)
    }

    /// The default route of each family leads to an address that nobody has: Services' addresses
    /// need one, and it leads nowhere.
    fn configure(&self, address: IpAddr) -> Result<()> {
        let (family, length) = match address {
            IpAddr::V4(_) => ("-4", 24),
            IpAddr::V6(_) => ("-6", 64),
        };
        ip(&format!("{family} addr add {address}/{length} dev eth0"))?;
        ip(&format!(
            "{family} route add default via {} dev eth0",
            gateway(address)
        ))
    }

    /// A name that no other node has, and this one in every life.
    fn port(&self) -> Result<String> {
        Ok(format!("port-{}", hex(self.first()?, "")))
    }

    /// A machine that boots again has the same; its neighbours remember it. Locally administered.
    fn hardware_address(&self) -> Result<String> {
        Ok(format!("02:00:{}", hex(self.first()?, ":")))
    }

    fn first(&self) -> Result<IpAddr> {
        let first = self.addresses.first();
        first.copied().context("a node has an address")
    }
}

/// The last four bytes of an address.
fn hex(address: IpAddr, between: &str) -> String {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[12..].to_vec(),
    };
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(between)
}

/// The first address of the node's network.
fn gateway(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            [a, b, c, 1].into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            [a, b, c, d, 0, 0, 0, 1].into()
        }
    }
}

fn ip(step: &str) -> Result<()> {
    run(&mut Command::new("ip"), step)
}

fn run(program: &mut Command, step: &str) -> Result<()> {
    let status = program.args(step.split(' ')).status()?;
    ensure!(status.success(), "`ip {step}` ended with {status}");
    Ok(())
}

fn sysctl(name: &str, value: &str) -> Result<()> {
    fs::write(Path::new("/proc/sys/net").join(name), value)
        .with_context(|| format!("cannot set net/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_neighbours_follow_from_the_address() {
        let place = |address: &str| Place {
            addresses: vec![address.parse().unwrap()],
            switch: None,
        };
        for (address, port, hardware, neighbour) in [
            (
                "10.77.0.2",
                "port-0a4d0002",
                "02:00:0a:4d:00:02",
                "10.77.0.1",
            ),
            ("fd77::1:3", "port-00010003", "02:00:00:01:00:03", "fd77::1"),
        ] {
            let place = place(address);
            assert_eq!(place.port().unwrap(), port);
            assert_eq!(place.hardware_address().unwrap(), hardware);
            assert_eq!(gateway(place.addresses[0]).to_string(), neighbour);
            assert!(port.len() < 16, "longer than an interface's name may be");
        }
    }
}
