//! The targets: a parser each.

use std::sync::LazyLock;

use slipway::age;
use slipway::backup::bundle;
use slipway::config;
use slipway::metadata::cmdline;
use slipway::metadata::envelope::{
    self, Gathered, Offline, cloud_config, data_url, gzip, ignition, mime,
};
use slipway::metadata::settings::Settings;
use slipway::metadata::source::{hyperv::pool, ovf, seed, smbios};
use slipway::pki::csr;
use slipway::recover::decode;
use slipway::recover::encryption::Providers;
use slipway::recover::snapshot::Snapshot;

/// A parser that takes whatever comes.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

pub const ALL: &[Target] = &[
    target("document", |bytes| drop(config::parse(bytes))),
    target("envelope", |bytes| drop(envelope::open(bytes, &Offline))),
    target("cmdline", |bytes| {
        let line = String::from_utf8_lossy(bytes);
        drop(cmdline::words(&line));
        drop(Settings::parse(&line));
    }),
    target("gzip", |bytes| {
        drop(gzip::unpack(bytes, envelope::MAX_TEXT))
    }),
    target("data-url", |bytes| {
        drop(data_url::decode(&String::from_utf8_lossy(bytes)));
    }),
    target("ignition", |bytes| {
        drop(ignition::open(bytes, &Offline, &mut Gathered::default()));
    }),
    target("cloud-config", |bytes| {
        drop(cloud_config::open(bytes, &mut Gathered::default()));
    }),
    target("mime", |bytes| drop(mime::parse(bytes))),
    target("smbios", |bytes| {
        smbios::strings(bytes, 1).for_each(drop);
        smbios::strings(bytes, 11).for_each(drop);
    }),
    target("ovf", |bytes| {
        drop(ovf::custom_data(bytes));
        drop(ovf::property(bytes, "user-data"));
        if let Ok(Some(rest)) = ovf::without(bytes, &["user-data"]) {
            let left = ovf::property(rest.as_bytes(), "user-data");
            assert!(
                matches!(left, Ok(None)),
                "a property is left, or cut in two"
            );
        }
    }),
    target("kvp", |bytes| {
        drop(pool::document(bytes));
        drop(pool::without_ours(bytes));
    }),
    target("csr", |bytes| {
        drop(csr::parse(bytes));
        drop(csr::parse_der(bytes));
    }),
    target("stored-object", |bytes| drop(decode::object("x", bytes))),
    target("encrypted", |bytes| {
        // The key under which the seeds were stored.
        let key = b"/registry/secrets/stored/mine";
        let opened = PROVIDERS.decrypt("secrets", key, bytes);
        if let Ok(plain) = opened {
            drop(decode::object("x", plain.expose()));
        }
    }),
    target("age", |bytes| {
        drop(age::recipients_of(bytes));
        drop(age::identities(bytes));
    }),
    target("bundle", |bytes| drop(bundle::read(bytes))),
    target("seed", |bytes| {
        drop(seed::user_data(&String::from_utf8_lossy(bytes)))
    }),
    target("snapshot", |bytes| {
        if let Ok(snapshot) = Snapshot::of(bytes.to_vec()) {
            drop(snapshot.verify(&mut |_, _| ()));
            drop(snapshot.examine(&mut |_| true));
        }
    }),
];

/// Every provider, with the keys that the scenario `recover-decoder` stored the seeds with.
static PROVIDERS: LazyLock<Providers> = LazyLock::new(|| {
    let provider = |kind: &str, secret: &str| {
        format!("  - {kind}: {{keys: [{{name: one, secret: {secret}}}]}}\n")
    };
    let (long, short) = (
        "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
        "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB",
    );
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n\
         - resources: [secrets]\n  providers:\n  - identity: {{}}\n{}{}{}",
        provider("aescbc", long),
        provider("aesgcm", short),
        provider("secretbox", long)
    );
    match Providers::parse(text.as_bytes()) {
        Ok(providers) => providers,
        // Without them nothing would be tried.
        Err(_) => std::process::abort(),
    }
});

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}
