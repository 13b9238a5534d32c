//! Programs taken from the Debian root file system into images, with the libraries they need.

use super::oci::Node;
use crate::process;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Debian keeps programs and libraries below /usr; these keep the old paths working, which the
/// dynamic linker's own name is one of.
const MERGED: [(&str, &str); 4] = [
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
];

/// Adds `program` (an absolute path) of the tree `rootfs`, and every library that it loads.
pub fn program(layer: &mut BTreeMap<String, Node>, rootfs: &Path, program: &str) -> Result<()> {
    for (link, target) in MERGED {
        layer.insert(link.to_owned(), Node::Link(target.to_owned()));
    }
    file(layer, rootfs, program)?;
    for library in libraries(rootfs, program)? {
        file(layer, rootfs, &library)?;
    }
    Ok(())
}

/// Adds every file of a folder of the tree, e.g. a program's extensions.
pub fn folder(layer: &mut BTreeMap<String, Node>, rootfs: &Path, path: &str) -> Result<()> {
    let folder = rootfs.join(path.trim_start_matches('/'));
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let name = entry?.file_name();
        file(layer, rootfs, &format!("{path}/{}", name.to_string_lossy()))?;
    }
    Ok(())
}

fn file(layer: &mut BTreeMap<String, Node>, rootfs: &Path, path: &str) -> Result<()> {
    let path = merged(path.trim_start_matches('/'));
    let source = rootfs.join(&path);
    source
        .metadata()
        .with_context(|| format!("the root file system has no /{path}"))?;
    layer.insert(path, Node::Program(source));
    Ok(())
}

/// The path as it is without the links of [`MERGED`].
fn merged(path: &str) -> String {
    for (link, target) in MERGED {
        if let Some(rest) = path.strip_prefix(link).filter(|rest| rest.starts_with('/')) {
            return format!("{target}{rest}");
        }
    }
    path.to_owned()
}

/// The absolute paths of the libraries, and of the dynamic linker, that `program` loads.
fn libraries(rootfs: &Path, program: &str) -> Result<Vec<String>> {
    let listed = process::output(Command::new("chroot").arg(rootfs).args(["ldd", program]))?;
    Ok(paths(&listed))
}

/// The paths in what ldd prints: `libc.so.6 => /lib/….so.6 (0x…)` and `/lib64/ld-….so.2 (0x…)`.
fn paths(ldd: &str) -> Vec<String> {
    let words = ldd
        .lines()
        .filter_map(|line| line.split_whitespace().find(|w| w.starts_with('/')));
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_ldd_prints() {
        let ldd = "\tlinux-vdso.so.1 (0x0)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x1)\n\t/lib64/ld.so.2 (0x2)\n";
        assert_eq!(paths(ldd), ["/lib/x/libc.so.6", "/lib64/ld.so.2"]);
    }

    #[test]
    fn paths_are_those_below_usr() {
        assert_eq!(merged("lib/x/libc.so.6"), "usr/lib/x/libc.so.6");
        assert_eq!(merged("lib64/ld.so.2"), "usr/lib64/ld.so.2");
        assert_eq!(merged("usr/sbin/nft"), "usr/sbin/nft");
        assert_eq!(merged("library/x"), "library/x");
    }
}
