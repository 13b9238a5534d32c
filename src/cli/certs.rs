//! `slipway certs`: the words after it choose what is done.

use std::time::SystemTime;

use anyhow::{Result, anyhow};

use super::parse::Words;
use super::run::{asset_dir, machine, output, print, root, secrets};
use crate::certs::{self, Options};
use crate::exit::{Exit, fail};
use crate::node::clock;
use crate::pki::{Order, Step};
use crate::report::Reporter;

/// Lists, renews or rotates.
pub fn run(words: &Words) -> Result<()> {
    let arguments = words.arguments()?;
    match arguments.split_first() {
        None => list(words),
        Some((&"list", [])) => list(words),
        Some((&"renew", names)) => renew(words, names),
        Some((&"rotate", [step])) => rotate(words, step),
        Some(_) => Err(fail(
            Exit::Usage,
            anyhow!(
                "certs does not know {:?}; see slipway certs --help",
                arguments.join(" ")
            ),
        )),
    }
}

fn list(words: &Words) -> Result<()> {
    let listed = certs::list::show(&asset_dir(words), &root(words), output(words)?)?;
    print(&listed.text)?;
    match listed.damaged {
        0 => Ok(()),
        count => Err(anyhow!(
            "{count} certificates are damaged; of those in the asset directory `slipway render` tells what to do"
        )),
    }
}

fn renew(words: &Words, names: &[&str]) -> Result<()> {
    let order = Order {
        renew: names.iter().map(|&name| name.to_owned()).collect(),
        renew_all: words.has("all"),
        ..Order::default()
    };
    on_this_node(words, |options, reporter| {
        certs::renew(options, &order, reporter)
    })
}

fn rotate(words: &Words, step: &str) -> Result<()> {
    let step = match step {
        "trust" => Step::Trust,
        "reissue" => Step::Reissue,
        "drop" => Step::Drop,
        other => {
            let error = anyhow!("certs rotate takes trust, reissue or drop, not {other:?}");
            return Err(fail(Exit::Usage, error));
        }
    };
    on_this_node(words, |options, reporter| {
        certs::rotate(options, step, reporter)
    })
}

/// Does something with the kept document and the asset directory.
fn on_this_node(
    words: &Words,
    act: impl FnOnce(&Options<'_>, &mut Reporter) -> Result<()>,
) -> Result<()> {
    let mut reporter = Reporter::new("certs", output(words)?, None);
    let root = root(words);
    let machine = machine(words)?;
    let given = secrets(&machine, &root)?;
    let dated = || -> Result<SystemTime> {
        let limit = machine.timeouts.clock;
        clock::settled(&root, machine.clock, limit, |text| log::info!("{text}"))
    };
    let options = Options {
        root: root.clone(),
        asset_dir: asset_dir(words),
        kubeconfig: words.path("kubeconfig"),
        force: words.has("force-conflicts"),
        machine: &machine,
        given: &given,
        dated: &dated,
    };
    act(&options, &mut reporter)
}
