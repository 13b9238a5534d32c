//! A recovery that is killed after each of its changes to the file system, and run again.
//!
//! What it leads to is what a run leads to that nobody killed: the same paths, permissions, owners and bytes, and nothing
//! beside. Where there is no asset directory, certificates are made anew: they lie in the same places, below the authorities
//! that were kept, and fit their keys and the copies of them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::wait::WaitStatus;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::json;
use slipway::assets::Assets;
use slipway::exit::Exit;
use slipway::pki::{self, Action, Listed};
use slipway::render::{directory, install};
use slipway::start::MARKER;

use super::left::{ASSETS, Left, ends};
use super::shape::Shape;
use super::tree::{Entry, Tree};
use crate::process;
use crate::scenario::Context;
use crate::tracer::{self, End};

const IMAGE: &str = "registry.example.com/kube-scheduler:changed";
/// How many points are taken at a time, each below a root of its own.
const WORKERS: usize = 2;
/// Every how many changes there is a point without an asset directory: each costs more, and most are alike.
const STRIDE: usize = 3;

pub fn everywhere(context: &Context) -> Result<()> {
    let mut left = Left::of(context)?;
    left.set_image("deployment/kube-scheduler", IMAGE)?;
    left.stop_api()?;
    let with = with_assets(&left).context("with an asset directory")?;
    let without = without_assets(&left).context("without an asset directory")?;
    ensure!(with > 100 && without > 10, "few points: {with}, {without}");
    println!(
        "  killed after {with} changes with an asset directory, after {without} (one in {STRIDE}) without"
    );
    context.keep_result(&json!({"points_with_assets": with, "points_without": without}))
}

/// Takes point after point, until there is none; how many there were.
fn points(left: &Left, take: impl Fn(&Path, usize) -> Result<bool> + Sync) -> Result<usize> {
    let work = |worker: usize| {
        let root = left.root(&format!("root-{worker}"));
        let mut taken = 0;
        while take(&root, worker + taken * WORKERS)? {
            taken += 1;
        }
        anyhow::Ok(taken)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| scope.spawn(move || work(worker)))
            .collect();
        let all = workers.into_iter();
        all.map(|one| one.join().unwrap_or_else(|_| bail!("it panicked")))
            .sum()
    })
}

/// Everything is known before, so everything is the same.
fn with_assets(left: &Left) -> Result<usize> {
    let mut start = left.with_assets()?;
    // As if it had been launched.
    let marker = MARKER.trim_start_matches('/').to_owned();
    start.0.insert(marker, Entry::empty());
    let command = |root: &Path| left.recover_from_etcd(root);
    let expected = whole(left, &start, &command)?;
    let changed = start.differs(&expected, |_, _| false).len();
    ensure!(changed > 20, "a recovery changes {changed} files");
    points(left, |root, point| {
        start.write(root)?;
        if !kill(&mut command(root)?, point + 1)? {
            return Ok(false);
        }
        let again = || {
            ends(&mut command(root)?, Exit::Done)?;
            same(left, &expected, root, |_, _| false)
        };
        again().with_context(|| format!("killed after change {}", point + 1))?;
        Ok(true)
    })
}

/// What one run leads to, and another after it.
fn whole(left: &Left, start: &Tree, command: &dyn Fn(&Path) -> Result<Command>) -> Result<Tree> {
    let root = left.root("whole");
    start.write(&root)?;
    ends(&mut command(&root)?, Exit::Done)?;
    let expected = Tree::read(&root)?;
    let beside = expected.0.keys().find(|path| path.contains(".slipway"));
    ensure!(beside.is_none(), "{beside:?} is left over");
    ends(&mut command(&root)?, Exit::Done)?;
    same(left, &expected, &root, |_, _| false).context("run twice")?;
    Ok(expected)
}

/// What is below the root, against what should be.
fn same(
    left: &Left,
    expected: &Tree,
    root: &Path,
    same: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<()> {
    let found = Tree::read(root)?;
    let differs = expected.differs(&found, same);
    if differs.is_empty() {
        return Ok(());
    }
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    left.show(expected, &format!("{name}-expected"))?;
    left.show(&found, &format!("{name}-found"))?;
    bail!("{} differences: {differs:#?}", differs.len())
}

/// Whether it was killed after so many changes: it may have ended before, well.
fn kill(command: &mut Command, after: usize) -> Result<bool> {
    for end in [Command::stdout, Command::stderr] {
        end(command, Stdio::null());
    }
    match tracer::kill_after(command, after)? {
        (End::Killed, _) => Ok(true),
        (End::Itself(WaitStatus::Exited(_, 0)), _) => Ok(false),
        (End::Itself(status), changes) => bail!("{status:?} after {changes} changes"),
    }
}

/// What signs is kept, what is signed is new.
fn without_assets(left: &Left) -> Result<usize> {
    let empty = Tree::default();
    let command = |root: &Path| {
        let mut command = left.recover_from_etcd(root)?;
        left.kept.supply(&mut command);
        Ok(command)
    };
    let expected = whole(left, &empty, &command)?;
    let (kept, whole) = (left.authorities()?, left.root("whole"));
    let expected_shape = Shape::new(&directory::load(&whole.join(ASSETS))?, &kept)?;
    fits(&whole)?;
    points(left, |root, point| {
        let change = 1 + point * STRIDE;
        empty.write(root)?;
        if !kill(&mut command(root)?, change)? {
            return Ok(false);
        }
        let again = || {
            ends(&mut command(root)?, Exit::Done)?;
            let shape = Shape::new(&directory::load(&root.join(ASSETS))?, &kept)?;
            let alike = |one: &[u8], other: &[u8]| expected_shape.of(one) == shape.of(other);
            same(left, &expected, root, alike)?;
            fits(root)
        };
        again().with_context(|| format!("killed after change {change}"))?;
        Ok(true)
    })
}

/// Whether certificates are valid below their authorities, fit their keys, and are the ones that this machine's programs
/// have.
fn fits(root: &Path) -> Result<()> {
    let folder = root.join(ASSETS);
    let assets = directory::load(&folder)?;
    let listed = pki::list(&assets, SystemTime::now())?;
    ensure!(listed.len() > 10, "{} certificates", listed.len());
    for one in &listed {
        ensure!(one.action == Action::None, "{}: {}", one.name, one.reason);
        fits_its_key(&assets, &one.name).with_context(|| one.name.clone())?;
    }
    for authority in listed.iter().filter(|one| one.issuer == one.name) {
        let of = listed.iter().filter(|one| one.issuer == authority.name);
        is_valid(&folder, authority, of)?;
    }
    for (path, asset) in assets.iter() {
        let Some(place) = install::place(path).filter(|place| *place != "/etc/hostname") else {
            continue;
        };
        let there = fs::read(root.join(place.trim_start_matches('/')))?;
        ensure!(there == asset.bytes.expose(), "{place} is not {path}");
    }
    Ok(())
}

fn fits_its_key(assets: &Assets, name: &str) -> Result<()> {
    let file = |ending| assets.get(&format!("{name}.{ending}"));
    let (Some(certificate), Some(key)) = (file("crt"), file("key")) else {
        return Ok(());
    };
    let chain = CertificateDer::pem_slice_iter(certificate.bytes.expose());
    let key = PrivateKeyDer::from_pem_slice(key.bytes.expose())?;
    let key = any_supported_type(&key)?;
    Ok(CertifiedKey::new(chain.collect::<Result<_, _>>()?, key).keys_match()?)
}

fn is_valid<'a>(
    folder: &Path,
    authority: &Listed,
    signed: impl Iterator<Item = &'a Listed>,
) -> Result<()> {
    let file = |one: &Listed| folder.join(format!("{}.crt", one.name));
    let mut openssl = Command::new("openssl");
    openssl.arg("verify").arg("-CAfile").arg(file(authority));
    process::output(openssl.args(signed.map(file))).map(drop)
}
