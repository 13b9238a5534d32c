//! What a document can be put on for a machine to find it.

use super::spec::Source;
use crate::process;
use anyhow::{Context as _, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Small as disks go, and large enough for FAT.
const FAT_BYTES: u64 = 4 * 1024 * 1024;

/// The ways that need nothing but files; EC2's service is [`super::imds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// QEMU's firmware configuration device.
    FwCfg,
    /// A credential in the SMBIOS tables.
    Credential,
    /// A disk labelled `cidata`, ISO 9660.
    NoCloudIso,
    /// The same in a CD-ROM drive.
    NoCloudCd,
    /// A disk labelled `CIDATA`, FAT.
    NoCloudFat,
    /// A disk labelled `config-2`, ISO 9660.
    ConfigDrive,
}

impl Medium {
    /// A source that holds nothing.
    pub fn without(self) -> Source {
        match self {
            Self::NoCloudIso | Self::NoCloudCd | Self::NoCloudFat => Source::Disk("nocloud", None),
            Self::ConfigDrive => Source::Disk("configdrive", None),
            Self::FwCfg | Self::Credential => Source::FwCfg(None),
        }
    }

    /// A source that holds `user_data`, made in the folder `work`.
    pub fn with(self, work: &Path, user_data: &[u8]) -> Result<Source> {
        Ok(match self {
            Self::FwCfg => Source::FwCfg(Some(write(work, "user-data", user_data)?)),
            Self::Credential => Source::Credential(credential(work, user_data)?),
            Self::NoCloudIso => Source::Disk("nocloud", Some(nocloud_iso(work, user_data)?)),
            Self::NoCloudCd => Source::Cd("nocloud", nocloud_iso(work, user_data)?),
            Self::NoCloudFat => Source::Disk("nocloud", Some(nocloud_fat(work, user_data)?)),
            Self::ConfigDrive => Source::Disk("configdrive", Some(config_drive(work, user_data)?)),
        })
    }
}

fn write(work: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = work.join("media").join(name);
    let shown = || format!("cannot write {}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(work)).with_context(shown)?;
    fs::write(&path, bytes).with_context(shown)?;
    Ok(path)
}

/// As systemd reads it: systemd.system-credentials(7).
fn credential(work: &Path, user_data: &[u8]) -> Result<PathBuf> {
    let value = STANDARD.encode(user_data);
    let text = format!("io.systemd.credential.binary:slipway.machine={value}");
    write(work, "oem-string", text.as_bytes())
}

fn nocloud_files(work: &Path, user_data: &[u8]) -> Result<PathBuf> {
    let path = write(work, "cidata/user-data", user_data)?;
    write(work, "cidata/meta-data", b"instance-id: slipway-test\n")?;
    Ok(path.parent().unwrap_or(work).to_path_buf())
}

fn nocloud_iso(work: &Path, user_data: &[u8]) -> Result<PathBuf> {
    iso(work, "cidata", &nocloud_files(work, user_data)?)
}

fn config_drive(work: &Path, user_data: &[u8]) -> Result<PathBuf> {
    write(work, "config-2/openstack/latest/user_data", user_data)?;
    let meta = b"{\"uuid\": \"slipway-test\", \"hostname\": \"elsewhere\"}";
    write(work, "config-2/openstack/latest/meta_data.json", meta)?;
    iso(work, "config-2", &work.join("media/config-2"))
}

/// cloud-init's own way: ISO 9660 with Joliet and Rock Ridge.
fn iso(work: &Path, label: &str, folder: &Path) -> Result<PathBuf> {
    let disk = work.join(format!("{label}.iso"));
    let mut make = Command::new("xorriso");
    make.args(["-as", "mkisofs", "-quiet", "-V", label, "-J", "-r", "-o"]);
    process::output(make.arg(&disk).arg(folder)).context("cannot make the ISO disk")?;
    Ok(disk)
}

/// The disc that Azure provisions a machine with: UDF, with an OVF environment that has the document as
/// custom data.
pub fn azure_disc(work: &Path, custom_data: &[u8]) -> Result<PathBuf> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <ns0:Environment xmlns:ns0=\"http://schemas.dmtf.org/ovf/environment/1\" \
         xmlns:ns1=\"http://schemas.microsoft.com/windowsazure\"><ns1:ProvisioningSection>\
         <ns1:Version>1.0</ns1:Version><ns1:LinuxProvisioningConfigurationSet>\
         <ns1:HostName>elsewhere</ns1:HostName><ns1:CustomData>{}</ns1:CustomData>\
         </ns1:LinuxProvisioningConfigurationSet></ns1:ProvisioningSection></ns0:Environment>\n",
        STANDARD.encode(custom_data)
    );
    write(work, "azure/ovf-env.xml", text.as_bytes())?;
    let disc = work.join("azure.iso");
    let mut make = Command::new("genisoimage");
    make.args(["-quiet", "-udf", "-V", "rd_rdfe_stable.161209-1816", "-o"]);
    process::output(make.arg(&disc).arg(work.join("media/azure")))
        .context("cannot make Azure's disc")?;
    Ok(disc)
}

/// As libvirt and Proxmox make it where they do not make an ISO; labels of FAT are upper case.
fn nocloud_fat(work: &Path, user_data: &[u8]) -> Result<PathBuf> {
    let folder = nocloud_files(work, user_data)?;
    let disk = work.join("cidata.fat");
    fs::File::create(&disk)
        .and_then(|file| file.set_len(FAT_BYTES))
        .with_context(|| format!("cannot make {}", disk.display()))?;
    process::output(Command::new("mkfs.vfat").args(["-n", "CIDATA"]).arg(&disk))
        .context("cannot make the FAT disk")?;
    let mut copy = Command::new("mcopy");
    copy.arg("-i").arg(&disk);
    copy.args([folder.join("user-data"), folder.join("meta-data")])
        .arg("::");
    process::output(&mut copy).context("cannot fill the FAT disk")?;
    Ok(disk)
}
