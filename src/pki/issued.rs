//! What the running cluster issued to this node's kubelet: judged as it is, because nobody records it.
//!
//! The kubelet asks for the next one after 70 to 90 % of a life (client-go, `jitteryDuration`). So one that is
//! older has a kubelet that cannot, or an approver that will not.

use std::time::SystemTime;

use anyhow::{Context, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;

use super::inventory::date;
use super::list::{Action, Listed};
use super::table::{CA, NEXT, PREVIOUS};
use super::x509::Certificate;
use super::{pem, text, whole_seconds};
use crate::assets::Assets;

/// The last part of a life, as its divisor, in which the kubelet should have another one.
const LAST_PART: i32 = 10;

const OVERDUE: &str = "the kubelet should have had another one by now: see `kubectl get csr` and journalctl -u kubelet";
const EXPIRED: &str = "it expired: restart the kubelet, which then asks for another one; why it did not tells journalctl -u kubelet";
const UNTRUSTED: &str = "no authority that is trusted here signed it: remove the file and restart the kubelet, which then begins \
                         with the certificate that was rendered for it";

/// Judges a file of the kubelet's, which holds a certificate and its key; of the key nothing is read.
pub fn issued(assets: &Assets, name: &str, file: &[u8], now: SystemTime) -> Result<Listed> {
    let now = whole_seconds(now)?;
    let mut listed = Listed {
        name: name.to_owned(),
        subject: String::new(),
        names: Vec::new(),
        issuer: String::new(),
        not_before: None,
        not_after: None,
        expires: None,
        left: None,
        action: Action::Damaged,
        reason: String::new(),
    };
    match first(file) {
        Ok(certificate) => describe(&mut listed, assets, certificate, now)?,
        Err(error) => listed.reason = format!("{error:#}: {UNREADABLE}"),
    }
    Ok(listed)
}

const UNREADABLE: &str = "remove the file and restart the kubelet, which then asks for another one";

fn first(file: &[u8]) -> Result<Certificate> {
    let mut all = CertificateDer::pem_slice_iter(file);
    let der = all.next().context("it holds no certificate")?;
    Certificate::parse(&der.context("it is not PEM")?)
}

fn describe(
    listed: &mut Listed,
    assets: &Assets,
    certificate: Certificate,
    now: OffsetDateTime,
) -> Result<()> {
    let (begins, ends) = (certificate.not_before()?, certificate.not_after()?);
    let signer = signer(assets, &certificate)?;
    let left = ends - now;
    let (action, reason) = match signer {
        None => (Action::Damaged, UNTRUSTED),
        Some(_) if left.is_negative() => (Action::Look, EXPIRED),
        Some(_) if left < (ends - begins) / LAST_PART => (Action::Look, OVERDUE),
        Some(_) => (Action::None, ""),
    };
    listed.subject = certificate.subject_text();
    listed.issuer = signer.map_or_else(|| certificate.issuer_text(), str::to_owned);
    listed.names = certificate.names;
    listed.not_before = Some(date(begins)?);
    listed.not_after = Some(date(ends)?);
    listed.expires = Some(ends.unix_timestamp());
    listed.left = Some(left.whole_seconds());
    listed.action = action;
    listed.reason = reason.to_owned();
    Ok(())
}

/// The authority in the asset directory whose key signed a certificate.
fn signer(assets: &Assets, certificate: &Certificate) -> Result<Option<&'static str>> {
    for name in [CA, NEXT, PREVIOUS] {
        let Some(file) = text(assets, &format!("{name}.crt")) else {
            continue;
        };
        let Some(block) = pem::blocks(&file)?.into_iter().next() else {
            continue;
        };
        let authority = Certificate::parse(&pem::der(&block)?)?;
        // A signature of another kind is not of this key.
        if certificate.issuer == authority.subject
            && certificate.is_signed_by(&authority).unwrap_or(false)
        {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pki;

    fn rendered(more: &str, now: SystemTime) -> Assets {
        let text = format!(
            "apiVersion: slipway.dev/v1alpha1\nkind: Machine\nnode: {{name: a, address: 192.0.2.1}}\n\
             cluster: {{name: harbour}}\n{more}"
        );
        let machine = crate::config::parse(text.as_bytes()).unwrap();
        let given = pki::Given::default();
        let (secrets, _) = pki::ensure(&machine, &given, &Assets::default(), now).unwrap();
        crate::render::render(&machine, &secrets).unwrap()
    }

    /// As the kubelet keeps it: the certificate, then its key.
    fn file(assets: &Assets) -> Vec<u8> {
        let part = |ending| assets.get(&format!("kubelet/client.{ending}")).unwrap();
        [part("crt"), part("key")]
            .map(|asset| asset.bytes.expose())
            .concat()
    }

    const HOUR: u64 = 60 * 60;

    #[test]
    fn a_kubelet_that_does_not_renew_is_to_be_looked_at() {
        let now = SystemTime::now();
        let assets = rendered("certificates: {lifetimes: {leaf: 10h}}\n", now);
        let file = file(&assets);
        let table = [
            (0, Action::None, ""),
            (8 * HOUR, Action::None, ""),
            (9 * HOUR + 60, Action::Look, OVERDUE),
            (11 * HOUR, Action::Look, EXPIRED),
        ];
        for (later, action, reason) in table {
            let then = now + Duration::from_secs(later);
            let one = issued(&assets, "kubelet-client-current", &file, then).unwrap();
            assert_eq!((one.action, &*one.reason), (action, reason), "{later}");
            assert_eq!(one.issuer, "tls/ca");
            assert_eq!(one.subject, "O=system:nodes, CN=system:node:a");
            assert!(one.not_after.is_some() && one.expires.is_some());
        }
    }

    #[test]
    fn a_stranger_and_rubbish_are_damaged() {
        let now = SystemTime::now();
        let assets = rendered("", now);
        let stranger = file(&rendered("", now));
        let one = issued(&assets, "x", &stranger, now).unwrap();
        assert_eq!((one.action, &*one.reason), (Action::Damaged, UNTRUSTED));
        // Its name is that of ours, and only the signature tells.
        assert!(one.issuer.contains("CN="), "{}", one.issuer);
        for rubbish in [
            "",
            "rubbish",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let one = issued(&assets, "x", rubbish.as_bytes(), now).unwrap();
            assert_eq!(one.action, Action::Damaged, "{rubbish:?}");
            assert!(one.reason.contains("restart the kubelet"), "{}", one.reason);
        }
    }

    #[test]
    fn the_other_authority_of_a_rotation_is_named() {
        let now = SystemTime::now();
        let mut assets = rendered("", now);
        let other = rendered("", now);
        let authority = other.get("tls/ca.crt").unwrap().clone();
        assets.insert("tls/ca-previous.crt".to_owned(), authority);
        let one = issued(&assets, "x", &file(&other), now).unwrap();
        assert_eq!(
            (one.action, &*one.issuer),
            (Action::None, "tls/ca-previous")
        );
    }
}
