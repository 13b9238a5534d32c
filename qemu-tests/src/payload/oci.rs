//! Writing OCI image archives of one uncompressed layer, bit for bit the same from the same files.
//!
//! Format: the OCI image layout in a tar, as `ctr images import` reads it
//! (opencontainers/image-spec, image-layout.md). No compression: the archives are unpacked once,
//! on the machine that made them.

use crate::cache::hex;
use anyhow::{Context, Result};
use ring::digest::{self, SHA256};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// Where programs are looked for in every image.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin";

/// One thing in a layer. Everything belongs to root and has no time.
#[derive(Clone, Debug)]
pub enum Node {
    /// A folder with a mode.
    Folder(u32),
    /// The content of a file on this machine; executable.
    Program(PathBuf),
    /// A file of this text, mode 0644.
    Text(String),
    /// A symbolic link to this.
    Link(String),
}

/// An image to write.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its full name with tag, as manifests write it.
    pub name: String,
    /// The one-word entry point.
    pub entrypoint: String,
    /// `user:group` it runs as; empty for root.
    pub user: String,
    /// What is in it, by path without a leading slash.
    pub layer: BTreeMap<String, Node>,
}

/// Writes the archive to `path`.
pub fn write(image: &Image, path: &Path) -> Result<()> {
    let mut layer = layer(&image.layer)?;
    let layer_digest = digest_of(&mut layer)?;
    let layer_size = layer.metadata().context("cannot size the layer")?.len();
    let config = serde_json::to_vec(&config(image, &layer_digest))?;
    let manifest = serde_json::to_vec(&manifest(&config, &layer_digest, layer_size))?;
    let index = serde_json::to_vec(&index(image, &manifest))?;

    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut archive = Builder::new(file);
    append(
        &mut archive,
        "oci-layout",
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    append(&mut archive, "index.json", &index)?;
    for blob in [&manifest, &config] {
        append(&mut archive, &blob_path(&sha256(blob)), blob)?;
    }
    let mut header = header(EntryType::Regular, 0o644, layer_size);
    archive.append_data(&mut header, blob_path(&layer_digest), layer)?;
    archive
        .into_inner()?
        .flush()
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The layer's tar, in an unnamed file: its digest has to be known before it is written out.
fn layer(nodes: &BTreeMap<String, Node>) -> Result<File> {
    let file = tempfile::tempfile().context("cannot create a temporary file for a layer")?;
    let mut tar = Builder::new(file);
    for (path, node) in with_parents(nodes) {
        add(&mut tar, &path, &node).with_context(|| format!("cannot add /{path} to a layer"))?;
    }
    let mut file = tar.into_inner()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// The nodes, and a folder of mode 0755 for every parent that has none of its own.
fn with_parents(nodes: &BTreeMap<String, Node>) -> BTreeMap<String, Node> {
    let mut all = nodes.clone();
    for path in nodes.keys() {
        for parent in Path::new(path)
            .ancestors()
            .skip(1)
            .filter(|p| !p.as_os_str().is_empty())
        {
            all.entry(parent.to_string_lossy().into_owned())
                .or_insert(Node::Folder(0o755));
        }
    }
    all
}

fn add(tar: &mut Builder<File>, path: &str, node: &Node) -> Result<()> {
    match node {
        Node::Folder(mode) => {
            let mut header = header(EntryType::Directory, *mode, 0);
            tar.append_data(&mut header, format!("{path}/"), io::empty())?;
        }
        Node::Program(source) => {
            let file = File::open(source).with_context(|| format!("no {}", source.display()))?;
            let mut header = header(EntryType::Regular, 0o755, file.metadata()?.len());
            tar.append_data(&mut header, path, file)?;
        }
        Node::Text(text) => append(tar, path, text.as_bytes())?,
        Node::Link(target) => {
            let mut header = header(EntryType::Symlink, 0o777, 0);
            tar.append_link(&mut header, path, target)?;
        }
    }
    Ok(())
}

fn append(tar: &mut Builder<File>, path: &str, bytes: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, 0o644, bytes.len() as u64);
    Ok(tar.append_data(&mut header, path, bytes)?)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn config(image: &Image, layer_digest: &str) -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": [image.entrypoint], "Env": [PATH],
            "User": image.user, "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    })
}

fn manifest(config: &[u8], layer_digest: &str, layer_size: u64) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": sha256(config), "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer_digest, "size": layer_size,
        }],
    })
}

fn index(image: &Image, manifest: &[u8]) -> Value {
    let tag = image.name.rsplit(':').next().unwrap_or_default();
    json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": sha256(manifest), "size": manifest.len(),
            "platform": {"architecture": "amd64", "os": "linux"},
            // The first is containerd's, which wants the full name; the second is the standard's.
            "annotations": {
                "io.containerd.image.name": image.name,
                "org.opencontainers.image.ref.name": tag,
            },
        }],
    })
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(digest::digest(&SHA256, bytes).as_ref()))
}

/// The digest of a file's content; leaves it at its start.
fn digest_of(file: &mut File) -> Result<String> {
    let mut context = digest::Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        context.update(&buffer[..count]);
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(format!("sha256:{}", hex(context.finish().as_ref())))
}

/// Folders and files that programs expect of any root file system.
pub fn base() -> BTreeMap<String, Node> {
    let passwd = "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n\
                  nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
    let group = "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n";
    BTreeMap::from([
        ("tmp".to_owned(), Node::Folder(0o1777)),
        ("run".to_owned(), Node::Folder(0o755)),
        ("var".to_owned(), Node::Folder(0o755)),
        ("etc/ssl/certs".to_owned(), Node::Folder(0o755)),
        ("etc/passwd".to_owned(), Node::Text(passwd.to_owned())),
        ("etc/group".to_owned(), Node::Text(group.to_owned())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn image(folder: &Path) -> Image {
        let program = folder.join("hello");
        fs::write(&program, "#!").unwrap();
        let mut layer = base();
        layer.insert("usr/bin/hello".to_owned(), Node::Program(program));
        layer.insert("usr/bin/hi".to_owned(), Node::Link("hello".to_owned()));
        Image {
            name: "example.com/hello:v1".to_owned(),
            entrypoint: "/usr/bin/hello".to_owned(),
            user: String::new(),
            layer,
        }
    }

    fn members(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (path, content)
        });
        entries.collect()
    }

    #[test]
    fn every_blob_is_where_its_digest_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello.tar");
        write(&image(folder.path()), &path).unwrap();
        let members = members(&fs::read(path).unwrap());
        let blob = |digest: &Value| {
            let content = &members[&blob_path(digest.as_str().unwrap())];
            assert_eq!(Value::from(sha256(content)), *digest);
            content.clone()
        };
        let index: Value = serde_json::from_slice(&members["index.json"]).unwrap();
        let annotations = &index["manifests"][0]["annotations"];
        assert_eq!(
            annotations["io.containerd.image.name"],
            "example.com/hello:v1"
        );
        let manifest: Value =
            serde_json::from_slice(&blob(&index["manifests"][0]["digest"])).unwrap();
        let config: Value = serde_json::from_slice(&blob(&manifest["config"]["digest"])).unwrap();
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            manifest["layers"][0]["digest"]
        );
        let layer = blob(&manifest["layers"][0]["digest"]);
        let names: Vec<String> = self::members(&layer).into_keys().collect();
        assert!(names.contains(&"usr/bin/hi".to_owned()), "{names:?}");
        assert!(names.contains(&"usr/bin/".to_owned()), "{names:?}");
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("1"), folder.path().join("2"));
        let image = image(folder.path());
        write(&image, &one).unwrap();
        write(&image, &two).unwrap();
        assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap());
    }
}
