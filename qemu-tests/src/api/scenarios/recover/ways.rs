//! The ways in which an API server may store.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A way to store.
pub struct Way {
    pub name: &'static str,
    /// The provider's name and the length of its key; everything is encrypted by it.
    pub provider: Option<(&'static str, usize)>,
    pub flags: &'static [&'static str],
    /// What a Secret's value and a custom resource's begin with.
    pub begins: [&'static [u8]; 2],
}

const PROTOBUF: &[u8] = b"k8s\0";
const JSON: &[u8] = b"{";
const CBOR: &[u8] = &[0xd9, 0xd9, 0xf7];
pub const WAYS: [Way; 6] = [
    Way {
        name: "identity",
        provider: None,
        flags: &[],
        begins: [PROTOBUF, JSON],
    },
    Way {
        name: "json",
        provider: None,
        flags: &["--storage-media-type=application/json"],
        begins: [JSON, JSON],
    },
    Way {
        name: "cbor",
        provider: None,
        flags: &["--feature-gates=CBORServingAndStorage=true"],
        begins: [PROTOBUF, CBOR],
    },
    Way {
        name: "aescbc",
        provider: Some(("aescbc", 32)),
        flags: &[],
        begins: [b"k8s:enc:aescbc:v1:one:"; 2],
    },
    Way {
        name: "aesgcm",
        provider: Some(("aesgcm", 24)),
        flags: &["--feature-gates=CBORServingAndStorage=true"],
        begins: [b"k8s:enc:aesgcm:v1:one:"; 2],
    },
    Way {
        name: "secretbox",
        provider: Some(("secretbox", 32)),
        flags: &[],
        begins: [b"k8s:enc:secretbox:v1:one:"; 2],
    },
];

/// Everything encrypted, by a key of that name and that byte.
pub fn configuration((kind, length): (&str, usize), name: &str, byte: u8) -> String {
    let secret = STANDARD.encode(vec![byte; length]);
    format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n\
         - resources: ['*.*']\n  providers:\n  - {kind}:\n      keys:\n      - name: {name}\n        secret: {secret}\n"
    )
}
