//! The whole command line, as data.
//!
//! One table, [`COMMANDS`], names every command with its options; parsing, `--help`, completions and
//! the man page are read from it, so none of them can be forgotten. lexopt splits the arguments; a
//! derive-style parser would cost more bytes than the API client.

mod backup;
mod certs;
mod checkpoint;
mod complete;
mod document;
mod former;
mod help;
mod parse;
mod plan;
mod recover;
mod run;

pub use parse::{Invocation, parse};
pub use run::run;

/// A command of slipway.
#[derive(Debug)]
pub struct Command {
    /// Its word on the command line.
    pub name: &'static str,
    /// What follows the options, e.g. `FILE`; empty if nothing does.
    pub argument: &'static str,
    /// One sentence for `slipway --help`.
    pub summary: &'static str,
    /// Further sentences for `slipway COMMAND --help` and the man page.
    pub details: &'static str,
    /// Its options.
    pub options: &'static [Flag],
}

/// An option of a command.
#[derive(Debug)]
pub struct Flag {
    /// Its name without the dashes.
    pub name: &'static str,
    /// What its value is called; empty for a switch.
    pub value: &'static str,
    /// One sentence, with the default.
    pub help: &'static str,
}

const ROOT: Flag = Flag {
    name: "root",
    value: "DIR",
    help: "prefix of every path that is read or written; default /",
};
const OUTPUT: Flag = Flag {
    name: "output",
    value: "text|json",
    help: "how the result is printed; default text",
};
const ASSET_DIR: Flag = Flag {
    name: "asset-dir",
    value: "DIR",
    help: "the asset directory; default /var/lib/slipway/assets",
};

/// Every command, in the order of a machine's boot.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "fetch",
        argument: "",
        summary: "read the machine document from its source and keep it",
        details: "Runs in the initrd. On later boots the kept document is used, unless --refetch.",
        options: &[
            Flag {
                name: "target",
                value: "DIR",
                help: "where the real root is mounted; default /",
            },
            Flag {
                name: "config",
                value: "FILE",
                help: "read the document from FILE instead of a source",
            },
            Flag {
                name: "platform",
                value: "NAME",
                help: "the source; default: slipway.platform= of the kernel command line",
            },
            Flag {
                name: "refetch",
                value: "",
                help: "read the source although a document is kept",
            },
            Flag {
                name: "print",
                value: "",
                help: "only show the document, its secrets masked",
            },
            Flag {
                name: "offline",
                value: "",
                help: "leave a source that needs the network to a later fetch",
            },
            ROOT,
            OUTPUT,
        ],
    },
    Command {
        name: "validate",
        argument: "FILE",
        summary: "check a machine document and print every problem",
        details: "FILE - is standard input. Exits 3 if there is a problem. Writes nothing.",
        options: &[OUTPUT],
    },
    Command {
        name: "convert",
        argument: "FILE",
        summary: "wrap a machine document for a platform's tools",
        details: "FILE - is standard input. Prints it, or writes the file user-data (and meta-data) with --output-dir. \
                  Warns where a platform takes no user data of that size.",
        options: &[
            Flag {
                name: "to",
                value: "FORM",
                help: "ignition, cloud-config or nocloud; required",
            },
            Flag {
                name: "output-dir",
                value: "DIR",
                help: "write files there; for nocloud, make a disk labelled cidata of it",
            },
        ],
    },
    Command {
        name: "schema",
        argument: "",
        summary: "print the JSON Schema of the machine document",
        details: "Draft 2020-12; editors complete and check a document with it.",
        options: &[],
    },
    Command {
        name: "render",
        argument: "",
        summary: "make the asset directory from the machine document",
        details: "With --config it touches nothing outside --asset-dir and needs no node. Without, it renders the \
                  kept document and installs the kubelet's and etcd's files. Existing keys are kept; files that \
                  somebody edited are kept and named. The original's flags are answered with the field to use.",
        options: &[
            Flag {
                name: "config",
                value: "FILE",
                help: "render this document, into --asset-dir only",
            },
            ASSET_DIR,
            Flag {
                name: "overwrite",
                value: "",
                help: "replace files that were edited since they were rendered",
            },
            ROOT,
            OUTPUT,
        ],
    },
    Command {
        name: "plan",
        argument: "",
        summary: "show what render would change, or start with --live",
        details: "Writes nothing. Exits 0 if that is nothing, 7 if it is something. Secrets are masked, keys shown by fingerprint. --live \
                  asks the API server about every object, as a dry run that touches nothing.",
        options: &[
            Flag {
                name: "config",
                value: "FILE",
                help: "plan for this document instead of the kept one",
            },
            ASSET_DIR,
            Flag {
                name: "overwrite",
                value: "",
                help: "as if render were told to replace edited files",
            },
            Flag {
                name: "live",
                value: "",
                help: "compare with the cluster instead of the asset directory",
            },
            Flag {
                name: "kubeconfig",
                value: "FILE",
                help: "how to reach it; default the asset directory's auth/kubeconfig",
            },
            ROOT,
            OUTPUT,
        ],
    },
    Command {
        name: "start",
        argument: "",
        summary: "launch the cluster from the asset directory and hand over to it",
        details: "Can be killed and run again at any time. Once the cluster runs itself, it says so and touches nothing.",
        options: &[
            ASSET_DIR,
            Flag {
                name: "pod-manifest-path",
                value: "DIR",
                help: "the kubelet's static pods; default /etc/kubernetes/manifests",
            },
            Flag {
                name: "required-pods",
                value: "LIST",
                help: "NAMESPACE/WORKLOAD,… that must be Ready first; default the control plane, with checkpoints",
            },
            Flag {
                name: "strict",
                value: "",
                help: "stop at the first manifest that the server refuses",
            },
            Flag {
                name: "force-conflicts",
                value: "",
                help: "take back fields that others changed since the handover",
            },
            ROOT,
            OUTPUT,
        ],
    },
    Command {
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
    },
    Command {
        name: "status",
        argument: "",
        summary: "show what the launch does or waits for, since when and why",
        details: "Reads the stage record; it needs no API. --watch follows it until the launch ends.",
        options: &[
            Flag {
                name: "watch",
                value: "",
                help: "follow until the launch ends",
            },
            ROOT,
            OUTPUT,
        ],
    },
    Command {
        name: "certs",
        argument: "[list | renew [NAME…] | rotate STEP]",
        summary: "list certificates, renew them, or rotate their authority",
        details: "list reads the asset directory and what this node's kubelet was issued, no API. renew makes new ones for those with less than a third of \
                  their life left, installs this node's files, updates the cluster's Secrets and restarts what \
                  reads them, one at a time. rotate takes the steps trust, reissue and drop to another authority of the \
                  cluster. Each can be killed and run again at any time.",
        options: &[
            Flag {
                name: "all",
                value: "",
                help: "renew every certificate but the authorities",
            },
            Flag {
                name: "kubeconfig",
                value: "FILE",
                help: "credentials; default the administrator of the asset directory",
            },
            Flag {
                name: "force-conflicts",
                value: "",
                help: "take back fields of Secrets that others changed",
            },
            ASSET_DIR,
            ROOT,
            OUTPUT,
        ],
    },
    Command {
        name: "backup",
        argument: "[list | take | verify [NAME…]]",
        summary: "take a backup of this node's etcd, list backups, or verify them",
        details: "take writes a snapshot of etcd, reads it back, and seals what a restore needs beside it (authorities, \
                  keys, encryption configuration, the machine document) to the public keys of backup.recipients; then \
                  it removes what is more than backup.keep. verify reads the named ones, or all; with --identity it \
                  opens the bundle too and compares it with the snapshot. A run that was killed leaves no half backup.",
        options: &[
            Flag {
                name: "folder",
                value: "DIR",
                help: "where backups lie; default backup.folder of the machine document",
            },
            Flag {
                name: "recipients",
                value: "LIST",
                help: "age1…,… in place of backup.recipients",
            },
            Flag {
                name: "identity",
                value: "FILE",
                help: "the secret key, as age-keygen writes it, that opens bundles",
            },
            ASSET_DIR,
            ROOT,
            OUTPUT,
        ],
    },
    Command {
        name: "checkpoint",
        argument: "node | cluster",
        summary: "keep checkpoints on a node, or approve certificates",
        details: "node, a unit of the image, copies pods that are annotated, and has the kubelet start a copy when nobody else \
                  brings the control plane back. cluster, a DaemonSet's pod, approves requests of kubelets for certificates, or \
                  denies them with the reason.",
        options: &[
            Flag {
                name: "kubeconfig",
                value: "FILE",
                help: "the API server and our credentials; default that of the control plane's pods",
            },
            Flag {
                name: "node-names",
                value: "LIST",
                help: "of nodes, each with at most one *; required",
            },
            Flag {
                name: "node-addresses",
                value: "LIST",
                help: "networks of nodes' addresses; required",
            },
            Flag {
                name: "control-plane-names",
                value: "LIST",
                help: "of nodes with a control plane; required",
            },
            Flag {
                name: "forbidden-names",
                value: "LIST",
                help: "of the API server alone; required",
            },
            Flag {
                name: "forbidden-addresses",
                value: "LIST",
                help: "of the API server alone; required",
            },
            Flag {
                name: "health-address",
                value: "ADDRESS",
                help: "where GET /readyz is answered; default 127.0.0.1:10260, on a node 10261",
            },
            Flag {
                name: "node-health",
                value: "ADDRESS",
                help: "where the node's unit answers it, asked too",
            },
            ASSET_DIR,
            ROOT,
            OUTPUT,
        ],
    },
    Command {
        name: "completions",
        argument: "SHELL",
        summary: "print completions for bash, zsh or fish",
        details: "",
        options: &[],
    },
    Command {
        name: "man",
        argument: "",
        summary: "print the manual page",
        details: "",
        options: &[],
    },
];

/// The command of that name.
pub fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}
