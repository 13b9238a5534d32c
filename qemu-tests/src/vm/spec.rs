//! What a machine is made of, and QEMU's command line for it.

use super::channel;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// The kernel's arguments, beside the source of the document. A panic ends QEMU at once (panic=-1 with
/// -no-reboot). The rest saves seconds under emulation: few messages on a slow console, no security
/// modules but capabilities, no mitigations for a processor that does not exist.
const CMDLINE: &str = "console=ttyS0 root=/dev/disk/by-id/virtio-root rootfstype=erofs ro \
    panic=-1 oops=panic quiet loglevel=4 systemd.show_status=no TERM=dumb lsm=capability \
    mitigations=off audit=0 nokaslr rcupdate.rcu_expedited=1 cryptomgr.notests nowatchdog tsc=reliable SYSTEMD_SECCOMP=0 \
    net.ifnames=0 8250.nr_uarts=1";

/// Where the guest finds its machine document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// QEMU's firmware configuration device; `None`: the device lacks the entry.
    FwCfg(Option<PathBuf>),
    /// A string of the SMBIOS tables, which systemd takes for a credential; the file holds it.
    Credential(PathBuf),
    /// A disk of a platform; `None`: it is not there, or not yet.
    Disk(&'static str, Option<PathBuf>),
    /// A disc of a platform in a CD-ROM drive on the IDE bus.
    Cd(&'static str, PathBuf),
    /// EC2's metadata service on a link of its own; the program is started for each connection.
    Ec2(PathBuf),
    /// Azure's metadata service, likewise, and the disc in the drive.
    Azure(PathBuf, PathBuf),
}

impl Source {
    /// What `slipway.platform=` names it.
    pub fn platform(&self) -> &'static str {
        match self {
            Self::FwCfg(_) => "qemu",
            Self::Credential(_) => "credential",
            Self::Disk(platform, _) | Self::Cd(platform, _) => platform,
            Self::Ec2(_) => "ec2",
            Self::Azure(..) => "azure",
        }
    }
}

/// The id and serial number of a disk with metadata.
pub const METADATA: &str = "metadata";
/// A network in which QEMU answers for the one address of metadata services, and which leads nowhere.
const LINK_LOCAL: &str = "user,id=n1,restrict=on,net=169.254.169.0/24,host=169.254.169.2,\
    dns=169.254.169.3,dhcpstart=169.254.169.15,guestfwd=tcp:169.254.169.254:80";

/// The address and port that the document gives the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// What DHCP hands out.
    pub address: Ipv4Addr,
    /// The API server's port, to which a port of 127.0.0.1 leads.
    pub api_port: u16,
}

/// QEMU's own defaults.
impl Default for Network {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::new(10, 0, 2, 15),
            api_port: 6443,
        }
    }
}

impl Network {
    /// QEMU's user network as it has to be for this guest: a /24 in which QEMU itself is .2 and .3.
    fn argument(self) -> String {
        let Self { address, api_port } = self;
        format!(
            "user,id=n0,net={address}/24,dhcpstart={address},\
             hostfwd=tcp:127.0.0.1:0-{address}:{api_port}"
        )
    }
}

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Spec {
    /// `target/image`: kernel and initrd.
    pub image: PathBuf,
    /// The root disk, read-only.
    pub root: PathBuf,
    /// The state disk, written to.
    pub var: PathBuf,
    /// The document's source.
    pub source: Source,
    /// More arguments of the kernel.
    pub kernel: String,
    /// What the hardware clock shows at the start, e.g. `2020-01-01` or `2020-01-01T08:00:00`; `None`: the host's time.
    pub clock: Option<String>,
    /// System credentials by name, and the files that hold them.
    pub credentials: Vec<(String, PathBuf)>,
    /// Its address.
    pub network: Network,
    /// A further read-only disk for the guest's side of the harness, `/dev/disk/by-id/virtio-tools`.
    pub tools: Option<PathBuf>,
    /// Sockets and the channel's files; short, because a socket's path may have 107 bytes.
    pub run: PathBuf,
    /// Where the console goes, line by line with its time.
    pub log: PathBuf,
}

impl Spec {
    /// QEMU's arguments, but for the bare machine and its processor; `kernel` are more of the kernel's.
    pub(super) fn arguments(&self, kernel: &str) -> Vec<OsString> {
        let mut line = Line::default();
        line.text("-smp 2 -m 4096 -serial stdio -device virtio-rng-pci");
        line.path("-kernel", "", &self.image.join("vmlinuz"));
        line.path("-initrd", "", &self.image.join("initrd.img"));
        line.disk("root", &self.root, "readonly=on");
        // The host's page cache outlives a killed QEMU: skipping its fsyncs loses nothing a guest's
        // power cut would keep.
        line.disk("var", &self.var, "cache=unsafe");
        if let Some(tools) = &self.tools {
            line.disk("tools", tools, "readonly=on");
        }
        line.text(&format!("-netdev {}", self.network.argument()));
        line.text("-device virtio-net-pci,netdev=n0");
        line.path("-qmp", "unix:", &self.run.join("qmp,server=on,wait=off"));
        line.path(
            "-chardev",
            "socket,id=ch,server=on,wait=off,path=",
            &self.run.join("channel"),
        );
        line.text("-device virtio-serial-pci");
        line.text(&format!(
            "-device virtserialport,chardev=ch,name={}",
            channel::PORT
        ));
        for (name, file) in channel::FW_CFG {
            line.path(
                "-fw_cfg",
                &format!("name={name},file="),
                &self.run.join(file),
            );
        }
        if let Some(clock) = &self.clock {
            line.text(&format!("-rtc base={clock}"));
        }
        for (name, file) in &self.credentials {
            line.path(
                "-fw_cfg",
                &format!("name=opt/io.systemd.credentials/{name},file="),
                file,
            );
        }
        self.add_source(&mut line);
        let (platform, wants, more) = (self.source.platform(), channel::UNIT, &self.kernel);
        line.0.push("-append".into());
        line.0.push(
            format!("{CMDLINE} {kernel} slipway.platform={platform} systemd.wants={wants} {more}")
                .into(),
        );
        line.0
    }

    fn add_source(&self, line: &mut Line) {
        match &self.source {
            Source::FwCfg(None) | Source::Disk(_, None) => {}
            Source::FwCfg(Some(document)) => {
                line.path("-fw_cfg", "name=opt/dev.slipway/machine,file=", document);
            }
            Source::Credential(text) => line.path("-smbios", "type=11,path=", text),
            Source::Disk(_, Some(disk)) => line.disk(METADATA, disk, "readonly=on"),
            Source::Cd(_, disc) => line.disc(disc),
            Source::Ec2(connect) => line.link_local(connect),
            Source::Azure(connect, disc) => {
                line.link_local(connect);
                line.disc(disc);
            }
        }
    }
}

/// A command line that grows.
#[derive(Debug, Default)]
struct Line(Vec<OsString>);

impl Line {
    fn text(&mut self, words: &str) {
        self.0.extend(words.split(' ').map(OsString::from));
    }

    /// `option PREFIXpath`
    fn path(&mut self, option: &str, prefix: &str, path: &Path) {
        let mut value = OsString::from(prefix);
        value.push(path);
        self.0.extend([OsString::from(option), value]);
    }

    /// A raw disk; its id is also the serial number, so the guest finds it by /dev/disk/by-id.
    fn disk(&mut self, id: &str, file: &Path, options: &str) {
        self.path(
            "-drive",
            &format!("if=none,id={id},format=raw,{options},file="),
            file,
        );
        self.text(&format!("-device virtio-blk-pci,drive={id},serial={id}"));
    }

    /// A disc in a CD-ROM drive.
    fn disc(&mut self, disc: &Path) {
        let drive = format!("if=none,id={METADATA},format=raw,media=cdrom,readonly=on,file=");
        self.path("-drive", &drive, disc);
        self.text(&format!("-device ide-cd,drive={METADATA},bus=ide.1"));
    }

    /// A second card, on whose link the service answers that `connect` leads to.
    fn link_local(&mut self, connect: &Path) {
        let connect = connect.display();
        self.text(&format!("-netdev {LINK_LOCAL}-cmd:{connect}"));
        self.text("-device virtio-net-pci,netdev=n1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(source: Source) -> Spec {
        Spec {
            image: "/i".into(),
            root: "/r".into(),
            var: "/v".into(),
            source,
            kernel: String::new(),
            clock: None,
            credentials: Vec::new(),
            network: Network::default(),
            tools: None,
            run: "/run".into(),
            log: "/l".into(),
        }
    }

    fn line(source: Source) -> String {
        let words = spec(source).arguments("");
        words
            .iter()
            .map(|word| word.to_string_lossy().into_owned() + " ")
            .collect()
    }

    #[test]
    fn each_source_names_its_platform() {
        let fw_cfg = line(Source::FwCfg(Some("/d".into())));
        assert!(fw_cfg.contains("name=opt/dev.slipway/machine,file=/d"));
        assert!(fw_cfg.contains("slipway.platform=qemu"));
        assert!(!line(Source::FwCfg(None)).contains("dev.slipway/machine"));
        let nocloud = line(Source::Disk("nocloud", Some("/s".into())));
        assert!(nocloud.contains("file=/s") && nocloud.contains("slipway.platform=nocloud"));
        let cd = line(Source::Cd("nocloud", "/s".into()));
        assert!(cd.contains("media=cdrom") && cd.contains("slipway.platform=nocloud"));
        let ec2 = line(Source::Ec2("/c".into()));
        assert!(ec2.contains("169.254.169.254:80-cmd:/c ") && ec2.contains("slipway.platform=ec2"));
        let azure = line(Source::Azure("/c".into(), "/s".into()));
        assert!(azure.contains("-cmd:/c ") && azure.contains("media=cdrom"));
        assert!(azure.contains("slipway.platform=azure"));
        let smbios = line(Source::Credential("/t".into()));
        assert!(
            smbios.contains("type=11,path=/t") && smbios.contains("slipway.platform=credential")
        );
    }

    #[test]
    fn names_of_fw_cfg_entries_fit() {
        // QEMU's limit is 55 bytes.
        assert!(channel::FW_CFG.iter().all(|(name, _)| name.len() <= 55));
    }
}
