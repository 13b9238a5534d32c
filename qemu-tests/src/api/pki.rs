//! Certificates of the tier's own servers and users, all from one authority. Made here rather than
//! by slipway, so that its client meets certificates that it did not make itself.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use std::fs;
use std::path::{Path, PathBuf};

/// The authority, and the folder that everything it makes lies in.
pub struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Pki {
    /// A new authority; its certificate is `ca.crt` in `folder`, beside the service accounts' key
    /// pair `service-account.{key,pub}`.
    pub fn new(folder: &Path) -> Result<Pki> {
        fs::create_dir_all(folder)?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "slipway API tier");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::write(folder.join("ca.crt"), authority.pem())?;
        let account = KeyPair::generate()?;
        fs::write(folder.join("service-account.key"), account.serialize_pem())?;
        fs::write(folder.join("service-account.pub"), account.public_key_pem())?;
        Ok(Pki {
            authority,
            folder: folder.to_owned(),
        })
    }

    /// `NAME.crt` and `NAME.key` for a server and client called `name`, a member of `groups`, that
    /// answers to `hosts` (names and addresses). Returns both as PEM.
    pub fn issue(&self, name: &str, groups: &[&str], hosts: &[&str]) -> Result<(String, String)> {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, name);
        for group in groups {
            params
                .distinguished_name
                .push(DnType::OrganizationName, *group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.authority)?.pem();
        fs::write(self.file(&format!("{name}.crt")), &certificate)?;
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem())?;
        Ok((certificate, key.serialize_pem()))
    }

    /// A file of its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The authority's certificate as PEM.
    pub fn ca(&self) -> String {
        self.authority.pem()
    }
}
