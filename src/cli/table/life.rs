//! The commands of a launched cluster's life, and slipway's word about itself.

use crate::cli::{Command, Flag};

use super::{ASSET_DIR, OUTPUT, ROOT};

pub const STATUS: Command = Command {
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
};

pub const CERTS: Command = Command {
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
};

pub const BACKUP: Command = Command {
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
};

pub const CHECKPOINT: Command = Command {
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
};

pub const COMPLETIONS: Command = Command {
    name: "completions",
    argument: "SHELL",
    summary: "print completions for bash, zsh or fish",
    details: "",
    options: &[],
};

pub const MAN: Command = Command {
    name: "man",
    argument: "",
    summary: "print the manual page",
    details: "",
    options: &[],
};
