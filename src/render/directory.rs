//! The asset directory on disk: `slipway render --config FILE --asset-dir DIR`.
//!
//! Touches nothing but DIR and, while it works, `.DIR.slipway-new` and `.DIR.slipway-lock` beside it.
//! What would be written is known before anything is ([`plan`]), and `slipway plan` stops there.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};

use super::merge::{self, RECORD};
use super::{keys, owner, render, render_worker, worker};
use crate::assets::{Assets, BOOTSTRAP_MANIFESTS, STATIC_MANIFESTS};
use crate::config::Machine;
use crate::config::machine::{ControlPlane, Role};
use crate::exit::{Exit, fail};
use crate::node::files::make_folder;
use crate::node::{lock, tree};
use crate::pki::{self, BOOTSTRAP_TOKEN, Given, INVENTORY, Issued, Order, Secrets};

pub use super::merge::{Change, Merged, What};

/// What of an incomplete rendering goes away when it is not rendered: answered requests and authorities.
const OVER: [&str; 2] = ["tls/csr/", "tls/ca"];

/// What a render did, for the console.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// How many files were rendered.
    pub files: usize,
    /// How many certificates are among them; none of a worker's.
    pub certificates: usize,
    /// The type of keys that are made, e.g. `P-256`.
    pub key_type: &'static str,
    /// The last day of the cluster's authority, e.g. `2036-11-20`.
    pub ca_until: String,
    /// Certificates that were issued in this run, and why.
    pub issued: Vec<Issued>,
    /// What there is to say about the bootstrap token: that it is new, or that it has ended.
    pub token: Option<String>,
    /// Files that differ from what was on disk; none means that nothing was written.
    pub changes: Vec<Change>,
    /// What is in the directory now.
    pub assets: Assets,
}

impl Rendered {
    /// One line, e.g. `57 files, 17 certificates (P-256, CA until 2036-11-20), kubelet config`.
    pub fn summary(&self) -> String {
        let Self {
            files,
            certificates,
            key_type,
            ca_until,
            ..
        } = self;
        if *certificates == 0 {
            return format!("{files} files of a worker, kubelet config");
        }
        format!(
            "{files} files, {certificates} certificates ({key_type}, CA until {ca_until}), kubelet config"
        )
    }
}

/// What a render would do.
pub struct Planned {
    /// What is in the folder.
    pub earlier: Assets,
    /// What the document renders to.
    pub rendered: Assets,
    /// What is to be in the folder, and how it differs.
    pub merged: Merged,
    /// The keys and certificates, new ones among them; a worker has none.
    pub secrets: Option<Secrets>,
    /// Certificates that are new, and why.
    pub issued: Vec<Issued>,
}

/// Plans to render `machine` into `folder`, keeping earlier keys and what a person edited there, unless
/// `overwrite`. Writes nothing. `dated` gives the time for new certificates, and is asked only if there
/// will be any.
///
/// Fails with [`Exit::Refused`] if the folder is in use for something else, or if a key that the
/// cluster depends on is missing from it.
pub fn plan(
    machine: &Machine,
    given: &Given,
    folder: &Path,
    dated: impl FnOnce() -> Result<SystemTime>,
    overwrite: bool,
) -> Result<Planned> {
    plan_with(machine, given, folder, dated, overwrite, &Order::default())
}

fn plan_with(
    machine: &Machine,
    given: &Given,
    folder: &Path,
    dated: impl FnOnce() -> Result<SystemTime>,
    overwrite: bool,
    order: &Order,
) -> Result<Planned> {
    let earlier = load(folder)?;
    refuse_foreign(folder, &earlier)?;
    refuse_other_role(machine, folder, &earlier)?;
    plan_from(machine, given, earlier, dated, overwrite, order)
}

/// As [`plan`], with `earlier` in place of what a folder holds.
pub fn plan_from(
    machine: &Machine,
    given: &Given,
    earlier: Assets,
    dated: impl FnOnce() -> Result<SystemTime>,
    overwrite: bool,
    order: &Order,
) -> Result<Planned> {
    let (secrets, issued) = match machine.role {
        Role::Worker => (None, Vec::new()),
        Role::ControlPlane => {
            let now = SystemTime::now();
            let (secrets, issued) = pki::ensure_dated(machine, given, &earlier, now, order, dated)?;
            (Some(secrets), issued)
        }
    };
    let whole = |rendered: Assets| {
        let merged = merge::merge(&earlier, &rendered, overwrite)?;
        anyhow::Ok((rendered, merged))
    };
    let (rendered, merged) = match &secrets {
        None => whole(render_worker(machine, &given.join_token()?)?)?,
        // Keys and requests are kept even if nothing else can be made: the answers belong to these.
        Some(secrets) if secrets.complete().is_err() => {
            let part = keys(secrets)?;
            let merged = merge::merge_part(&earlier, &part, &OVER, overwrite)?;
            (part, merged)
        }
        Some(secrets) => whole(render(machine, secrets)?)?,
    };
    Ok(Planned {
        earlier,
        rendered,
        merged,
        secrets,
        issued,
    })
}

/// Renders a control plane into nothing, with keys that are thrown away: whether it can be rendered.
pub fn rehearse(machine: &Machine, given: &Given) -> Result<()> {
    let (secrets, _) = pki::ensure(machine, given, &Assets::default(), SystemTime::now())?;
    render(machine, &secrets).map(drop)
}

/// Does what [`plan`] plans; writes nothing if nothing changed.
///
/// Fails with [`Exit::Refused`] also while another render has the folder, and if somebody else has to sign
/// first: what they need is written then.
pub fn to_directory(
    machine: &Machine,
    given: &Given,
    folder: &Path,
    dated: impl FnOnce() -> Result<SystemTime>,
    overwrite: bool,
) -> Result<Rendered> {
    to_directory_with(machine, given, folder, dated, overwrite, &Order::default())
}

/// As [`to_directory`], and does what is ordered of certificates.
pub fn to_directory_with(
    machine: &Machine,
    given: &Given,
    folder: &Path,
    dated: impl FnOnce() -> Result<SystemTime>,
    overwrite: bool,
    order: &Order,
) -> Result<Rendered> {
    let _lock = lock::take(folder)?;
    let planned = plan_with(machine, given, folder, dated, overwrite, order)?;
    tree::update(folder, &planned.earlier, &planned.merged.assets)?;
    let token = token_news(&planned, given);
    let secrets = planned.secrets.as_ref();
    secrets.map_or(Ok(()), |secrets| make_places(folder, secrets))?;
    let complete = secrets.map_or(Ok(()), Secrets::complete);
    complete.with_context(|| folder.display().to_string())?;
    Ok(Rendered {
        files: planned.rendered.len(),
        certificates: secrets.map_or(0, |secrets| secrets.pairs().count()),
        key_type: pki::key_type(machine),
        ca_until: secrets.map(Secrets::ca_until).unwrap_or_default(),
        issued: planned.issued,
        token,
        changes: planned.merged.changes,
        assets: planned.merged.assets,
    })
}

/// The folders that answers belong in: a tree of files has none that is empty.
fn make_places(folder: &Path, secrets: &Secrets) -> Result<()> {
    for waiting in secrets.waiting() {
        let place = folder.join(&waiting.certificate);
        make_folder(place.parent().unwrap_or(folder), 0o700)?;
    }
    Ok(())
}

/// Where nobody is let in by a token, it is no news.
fn token_news(planned: &Planned, given: &Given) -> Option<String> {
    let secrets = planned.secrets.as_ref().filter(|one| one.can_sign())?;
    let token = secrets.bootstrap_token();
    let expires = &token.expires;
    let kept = |assets: &Assets| Some(assets.get(BOOTSTRAP_TOKEN)?.bytes.clone());
    if kept(&planned.earlier) != kept(&planned.rendered) {
        return Some(format!(
            "a new bootstrap token, good until {expires}: auth/kubeconfig-kubelet"
        ));
    }
    if token.is_good(SystemTime::now()) {
        return None;
    }
    let next = match given.token {
        Some(_) => "nodes that are to join need another join.token in the document",
        None => "`slipway certs renew` makes another one",
    };
    Some(format!("the bootstrap token ended on {expires}: {next}"))
}

/// Reads an asset directory, also a hand-made one; one that is not there is empty.
pub fn load(folder: &Path) -> Result<Assets> {
    tree::read(folder, owner)
}

/// A node that was a worker has nothing that a control plane can be made of, and the other way round its
/// etcd and keys would be left lying about.
fn refuse_other_role(machine: &Machine, folder: &Path, earlier: &Assets) -> Result<()> {
    let (sign, was, is) = match machine.role {
        Role::Worker => (INVENTORY, "control-plane", "worker"),
        Role::ControlPlane => (worker::BOOTSTRAP, "worker", "control-plane"),
    };
    if earlier.get(sign).is_none() {
        return Ok(());
    }
    let folder = folder.display();
    Err(fail(
        Exit::Refused,
        anyhow!(
            "{folder} was rendered for role: {was}, and the document says {is} now: a node does not change its \
             role; write role: {was} again, or set the node up anew"
        ),
    ))
}

/// Fails with [`Exit::Refused`] if a launched node's control plane would become another kind: what serves
/// now would be taken away before the other is there. Looks at the directory as it is before a render.
pub fn refuse_conversion(machine: &Machine, folder: &Path) -> Result<()> {
    let mut kinds = [
        (BOOTSTRAP_MANIFESTS, "self-hosted"),
        (STATIC_MANIFESTS, "static"),
    ];
    if machine.control_plane == ControlPlane::Static {
        kinds.reverse();
    }
    let [(wanted, should), (other, is)] = kinds;
    let is_other = folder.join(other).exists() && !folder.join(wanted).exists();
    if machine.role == Role::Worker || !is_other {
        return Ok(());
    }
    Err(fail(
        Exit::Refused,
        anyhow!(
            "this node was launched with controlPlane: {is}, and the document says {should} now: a launched \
             control plane is not converted; nothing was written\nnext step: write controlPlane: {is} in \
             the document again, or set the node up anew"
        ),
    ))
}

pub(crate) fn refuse_foreign(folder: &Path, earlier: &Assets) -> Result<()> {
    if earlier.is_empty() || earlier.get(RECORD).is_some() {
        return Ok(());
    }
    Err(fail(
        Exit::Refused,
        anyhow!(
            "{} is not empty and was not written by slipway render; name an empty folder",
            folder.display()
        ),
    ))
}
