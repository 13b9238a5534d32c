//! Every command, one constant each.

mod boot;
mod life;
mod recover;

use super::{Command, Flag};

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
    boot::FETCH,
    boot::VALIDATE,
    boot::CONVERT,
    boot::SCHEMA,
    boot::RENDER,
    boot::PLAN,
    boot::START,
    recover::RECOVER,
    life::STATUS,
    life::CERTS,
    life::BACKUP,
    life::CHECKPOINT,
    life::COMPLETIONS,
    life::MAN,
];
