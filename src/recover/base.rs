//! What the rendering of a recovered cluster begins with: the asset directory that is there, or keys that were saved.

use std::path::Path;

use anyhow::{Result, anyhow};

use super::keys::{self, Look};
use super::missing::Missing;
use crate::assets::Assets;
use crate::exit::{Exit, WithExit, fail};
use crate::pki::{self, INVENTORY};
use crate::render::directory;

/// Where keys come from.
#[derive(Clone, Debug)]
pub enum Base {
    /// The asset directory, which is this cluster's.
    Directory(Assets),
    /// One that holds the saved keys and nothing else.
    Saved(Assets),
}

/// Chooses it. `earlier` is what lies in `folder`; `launched` whether a cluster was ever started from there.
///
/// # Errors
/// [`Exit::Refused`] if it is another cluster's, or nobody's that slipway knows; or if saved keys cannot be used.
/// The inner error is what is missing.
pub fn choose(
    folder: &Path,
    earlier: Assets,
    launched: bool,
    look: &Look<'_>,
) -> Result<Result<Base, Vec<Missing>>> {
    directory::refuse_foreign(folder, &earlier)?;
    if earlier.get(INVENTORY).is_some() {
        if keys::is_same_cluster(look, &earlier) {
            return Ok(Ok(Base::Directory(earlier)));
        }
        if launched {
            return Err(fail(
                Exit::Refused,
                anyhow!(
                    "{} belongs to another cluster, which was launched on this machine, or to this one with an authority \
                     that is newer than what was read\nnext step: if its authority was rotated since, give the newer one: \
                     --ca FILE (tls/ca.crt and tls/ca.key there); else recover on a machine of its own (with launch: wait \
                     in its document), or name another --recovery-dir",
                    folder.display()
                ),
            ));
        }
    }
    if let Some(bundle) = look.bundle {
        if !keys::is_same_cluster(look, bundle) {
            return Err(fail(
                Exit::Refused,
                anyhow!(
                    "the bundle is of another cluster than the one that was read: their authorities differ\nnext step: \
                     name the bundle that lies beside the snapshot"
                ),
            ));
        }
        return Ok(Ok(Base::Saved(bundle.clone())));
    }
    match keys::save(look) {
        Ok(saved) => Ok(Ok(Base::Saved(pki::adopt(&saved).exit(Exit::Refused)?))),
        Err(missing) => Ok(Err(missing)),
    }
}
