//! Keys that were saved from a lost asset directory, as one that the next render takes for its own.
//!
//! What must not change after a disaster is who signs: every kubelet, user and token hangs on that. What was signed is
//! made anew, and so is an authority that only this node's own programs trust, if its key is lost. So what is adopted is
//! keys and the record of them, and everything else is left to [`ensure`](super::ensure).

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::inventory::{Inventory, Record};
use super::table::{CA, ETCD_CA, FRONT_PROXY_CA, PREVIOUS, Use};
use super::x509::Certificate;
use super::{INVENTORY, Pair, issue, kept, key, pem};
use crate::assets::Assets;
use crate::hash::sha256;
use crate::secret::Secret;

/// What was saved.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// All certificates that the cluster's nodes and users trust, PEM: those that sign first.
    pub trusted: String,
    /// The certificate that signs, PEM.
    pub signer: String,
    /// Its key; `None` where the machine document gives the authority.
    pub key: Option<Secret>,
    /// Etcd's authority.
    pub etcd: Option<Pair>,
    /// The front proxy's authority.
    pub front_proxy: Option<Pair>,
    /// The key that signs service-account tokens.
    pub service_account_key: Secret,
    /// The key that Secrets are encrypted with, in base64.
    pub encryption_key: Option<Secret>,
}

/// The asset directory that holds nothing but these.
///
/// # Errors
/// If a certificate or a key cannot be read, or if two do not fit each other.
pub fn adopt(saved: &Saved) -> Result<Assets> {
    let mut assets = Assets::default();
    let mut certificates = BTreeMap::new();
    let mut put = |name: &str, cert: &str, key: Option<&Secret>, chain: usize| -> Result<()> {
        let record = record(cert, key, chain).with_context(|| name.to_owned())?;
        assets.add(format!("{name}.crt"), cert);
        if let Some(key) = key {
            assets.add_secret(format!("{name}.key"), 0, key.expose());
        }
        certificates.insert(name.to_owned(), record);
        Ok(())
    };
    let (own, others) = chain(&saved.signer, &saved.trusted).context(CA)?;
    put(
        CA,
        &(own.concat() + &others.concat()),
        saved.key.as_ref(),
        own.len(),
    )?;
    if !others.is_empty() {
        put(PREVIOUS, &others.concat(), None, others.len())?;
    }
    for (name, pair) in [(ETCD_CA, &saved.etcd), (FRONT_PROXY_CA, &saved.front_proxy)] {
        if let Some(pair) = pair {
            put(name, &pair.cert, Some(&pair.key), 1)?;
        }
    }
    let mut inventory = Inventory {
        certificates,
        ..Inventory::default()
    };
    service_account(&saved.service_account_key, &mut assets, &mut inventory)?;
    if let Some(key) = &saved.encryption_key {
        inventory.encryption_key = Some(sha256(key.expose()));
        assets.add_secret(kept::ENCRYPTION_KEY, 0, key.expose());
    }
    assets.add(INVENTORY, inventory.to_json()?);
    Ok(assets)
}

fn service_account(key: &Secret, assets: &mut Assets, inventory: &mut Inventory) -> Result<()> {
    let name = kept::SERVICE_ACCOUNT;
    let pem = key::normal(key.expose(), &key::nothing_known).context(name)?;
    let public = key::public_pem(&key::parse(&pem).context(name)?);
    inventory.service_account = sha256(public.as_bytes());
    inventory.service_account_key = Some(sha256(pem.as_bytes()));
    assets.add_secret(format!("{name}.key"), 0, pem);
    assets.add(format!("{name}.pub"), public);
    Ok(())
}

/// What is recorded of an authority: of one without a key that the document gave it.
fn record(cert: &str, key: Option<&Secret>, chain: usize) -> Result<Record> {
    let first = pem::blocks(cert)?.into_iter().next();
    let first = Certificate::parse(&pem::der(&first.context("no certificate")?)?)?;
    if let Some(key) = key {
        key::parse_for(key.expose(), &first.spki).context("its key")?;
    }
    Ok(Record {
        sha256: sha256(cert.as_bytes()),
        key_sha256: key.map(|key| sha256(key.expose())),
        chain,
        given: key.is_none(),
        ..issue::given(&first, Use::Authority)?
    })
}

/// The chain of what signs, the root last, and what is trusted beside it.
fn chain(signer: &str, trusted: &str) -> Result<(Vec<String>, Vec<String>)> {
    let signer = match &pem::blocks(signer)?[..] {
        [signer] => signer.clone(),
        all => bail!(
            "there must be one certificate that signs, not {}",
            all.len()
        ),
    };
    let mut others = pem::blocks(trusted)?;
    others.retain(|other| *other != signer);
    let mut chain = vec![signer];
    while let Some(last) = chain.last() {
        let below = parse(last)?;
        ensure!(below.is_authority, "{} may not sign", below.subject_text());
        let is_root = below.issuer == below.subject;
        let above = others.iter().position(|other| {
            !is_root && parse(other).is_ok_and(|other| below.is_signed_by(&other).unwrap_or(false))
        });
        match above {
            Some(at) => chain.push(others.remove(at)),
            None => break,
        }
    }
    Ok((chain, others))
}

fn parse(block: &str) -> Result<Certificate> {
    Certificate::parse(&pem::der(block)?)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::config;
    use crate::config::Machine;
    use crate::pki::{Given, Order, Secrets, Step, ensure, ensure_with};

    fn machine(more: &str) -> Machine {
        let text = format!(
            "apiVersion: slipway.dev/v1alpha1\nkind: Machine\nnode: {{name: a, address: 192.0.2.1}}\n\
             cluster: {{name: harbour}}\n{more}"
        );
        config::parse(text.as_bytes()).unwrap()
    }

    fn saved(secrets: &Secrets) -> Saved {
        Saved {
            trusted: secrets.cert(CA).unwrap().to_owned(),
            signer: secrets.cert(crate::pki::SIGNER).unwrap().to_owned(),
            key: Some(secrets.pair(CA).unwrap().key.clone()),
            etcd: Some(secrets.pair(ETCD_CA).unwrap().clone()),
            front_proxy: None,
            service_account_key: secrets.service_account_key().clone(),
            encryption_key: secrets.encryption_key().cloned(),
        }
    }

    #[test]
    fn who_signs_stays_and_what_was_signed_is_new() {
        let machine = machine("encryption: {provider: secretbox}\n");
        let (given, now) = (Given::default(), SystemTime::now());
        let (before, _) = ensure(&machine, &given, &Assets::default(), now).unwrap();
        let adopted = adopt(&saved(&before)).unwrap();
        let (after, issued) = ensure(&machine, &given, &adopted, now).unwrap();
        for name in [CA, ETCD_CA] {
            assert_eq!(before.pair(name).unwrap(), after.pair(name).unwrap());
        }
        assert_eq!(before.service_account_key(), after.service_account_key());
        assert_eq!(before.service_account_pub(), after.service_account_pub());
        assert_eq!(before.encryption_key(), after.encryption_key());
        let proxy = |secrets: &Secrets| secrets.pair(FRONT_PROXY_CA).unwrap().clone();
        assert_ne!(proxy(&before), proxy(&after));
        let names: Vec<_> = issued.iter().map(|issued| issued.name).collect();
        assert!(names.contains(&"tls/apiserver") && names.contains(&FRONT_PROXY_CA));
        assert!(
            !names.contains(&CA) && !names.contains(&ETCD_CA),
            "{names:?}"
        );
    }

    #[test]
    fn in_a_rotation_both_authorities_stay_trusted() {
        let machine = machine("");
        let (given, now) = (Given::default(), SystemTime::now());
        let (mut secrets, _) = ensure(&machine, &given, &Assets::default(), now).unwrap();
        for step in [Step::Trust, Step::Reissue] {
            let order = Order {
                step: Some(step),
                ..Order::default()
            };
            let mut earlier = Assets::default();
            for (name, pair) in secrets.pairs() {
                earlier.add(format!("{name}.crt"), pair.cert.as_bytes());
                earlier.add(format!("{name}.key"), pair.key.expose());
            }
            for (name, cert) in secrets.certs() {
                earlier.add(format!("{name}.crt"), cert);
            }
            earlier.add(
                "tls/service-account.key",
                secrets.service_account_key().expose(),
            );
            earlier.add("tls/service-account.pub", secrets.service_account_pub());
            earlier.add(INVENTORY, secrets.inventory().unwrap());
            (secrets, _) = ensure_with(&machine, &given, &earlier, now, &order).unwrap();
            let adopted = adopt(&saved(&secrets)).unwrap();
            let (after, _) = ensure(&machine, &given, &adopted, now).unwrap();
            assert_eq!(
                secrets.cert(CA).unwrap(),
                after.cert(CA).unwrap(),
                "{step:?}"
            );
            let signer = crate::pki::SIGNER;
            assert_eq!(secrets.cert(signer).unwrap(), after.cert(signer).unwrap());
        }
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused() {
        let machine = machine("");
        let (given, now) = (Given::default(), SystemTime::now());
        let (secrets, _) = ensure(&machine, &given, &Assets::default(), now).unwrap();
        let other = Saved {
            key: Some(secrets.pair(ETCD_CA).unwrap().key.clone()),
            ..saved(&secrets)
        };
        let error = format!("{:#}", adopt(&other).unwrap_err());
        assert!(error.starts_with("tls/ca: its key"), "{error}");
    }
}
