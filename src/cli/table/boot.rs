//! The commands of a machine's boot, from its document to a launched cluster, and what shows their parts.

use crate::cli::{Command, Flag};

use super::{ASSET_DIR, OUTPUT, ROOT};

pub const FETCH: Command = Command {
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
};

pub const VALIDATE: Command = Command {
    name: "validate",
    argument: "FILE",
    summary: "check a machine document and print every problem",
    details: "FILE - is standard input. Exits 3 if there is a problem. Writes nothing.",
    options: &[OUTPUT],
};

pub const CONVERT: Command = Command {
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
};

pub const SCHEMA: Command = Command {
    name: "schema",
    argument: "",
    summary: "print the JSON Schema of the machine document",
    details: "Draft 2020-12; editors complete and check a document with it.",
    options: &[],
};

pub const RENDER: Command = Command {
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
};

pub const PLAN: Command = Command {
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
};

pub const START: Command = Command {
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
};
