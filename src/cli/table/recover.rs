//! The command that makes a control plane of what is left of one.

use crate::cli::{Command, Flag};

use super::{ASSET_DIR, OUTPUT, ROOT};

pub const RECOVER: Command = Command {
    name: "recover",
    argument: "",
    summary: "make an asset directory of what is left of a cluster",
    details: "From a live API, a live etcd (without a source: this node's) or an etcd snapshot, whose data it restores on this \
              machine. Then `slipway start` launches it. --plan says what is there, what is missing and what would be \
              written. Can be killed and run again at any time.",
    options: &[
        Flag {
            name: "plan",
            value: "",
            help: "only say what would be done; exits 6 if something is missing",
        },
        Flag {
            name: "snapshot",
            value: "FILE",
            help: "read from an etcd snapshot, or a backup's folder, and restore it",
        },
        Flag {
            name: "bundle",
            value: "FILE",
            help: "the backup's sealed keys; default what lies beside the snapshot",
        },
        Flag {
            name: "identity",
            value: "FILE",
            help: "the age identity that opens it",
        },
        Flag {
            name: "etcd-servers",
            value: "LIST",
            help: "read from etcd, client URLs; default https://127.0.0.1:2379",
        },
        Flag {
            name: "kubeconfig",
            value: "FILE",
            help: "read from the API server that it leads to",
        },
        Flag {
            name: "encryption-config",
            value: "FILE",
            help: "the API server's, if Secrets are encrypted in etcd",
        },
        Flag {
            name: "component",
            value: "LIST",
            help: "recover these alone, e.g. kube-scheduler",
        },
        Flag {
            name: "forget-node",
            value: "LIST",
            help: "nodes that are gone for good, for `start` to delete",
        },
        Flag {
            name: "recovery-dir",
            value: "DIR",
            help: "write an asset directory there, and nothing else",
        },
        Flag {
            name: "config",
            value: "FILE",
            help: "this machine's document; default the kept one",
        },
        Flag {
            name: "ca",
            value: "FILE",
            help: "the cluster's authority, certificate and key (PEM)",
        },
        Flag {
            name: "etcd-ca",
            value: "FILE",
            help: "etcd's; default a new one if it is lost",
        },
        Flag {
            name: "front-proxy-ca",
            value: "FILE",
            help: "the front proxy's; default a new one if it is lost",
        },
        Flag {
            name: "service-account-key",
            value: "FILE",
            help: "the key that signs ServiceAccounts' tokens (PEM)",
        },
        Flag {
            name: "etcd-ca-path",
            value: "FILE",
            help: "whom to trust there; default what this node has",
        },
        Flag {
            name: "etcd-certificate-path",
            value: "FILE",
            help: "what to show there",
        },
        Flag {
            name: "etcd-private-key-path",
            value: "FILE",
            help: "its key",
        },
        Flag {
            name: "etcd-prefix",
            value: "PATH",
            help: "of the API server's keys; default /registry",
        },
        Flag {
            name: "pod-manifest-path",
            value: "DIR",
            help: "the kubelet's static pods; default /etc/kubernetes/manifests",
        },
        ASSET_DIR,
        ROOT,
        OUTPUT,
    ],
};
