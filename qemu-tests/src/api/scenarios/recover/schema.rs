//! Makes src/recover/decode/schema.txt from Kubernetes' own sources, of the version that the payload is built from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::proto;
use super::types::{Field, Package};
use crate::process;
use crate::scenario::Context;

/// Where it is kept.
const SCHEMA: &str = "src/recover/decode/schema.txt";
/// Module, folder, our name of the package, what qualifiers mean in it.
type Source = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);
const META: (&str, &str) = ("metav1", "meta");
const SOURCES: [Source; 5] = [
    ("k8s.io/api", "core/v1", "core", &[META]),
    ("k8s.io/api", "apps/v1", "apps", &[META, ("v1", "core")]),
    ("k8s.io/api", "coordination/v1", "coordination", &[META]),
    ("k8s.io/api", "rbac/v1", "rbac", &[META]),
    ("k8s.io/apimachinery", "pkg/apis/meta/v1", "meta", &[]),
];
/// What is recovered, or looked at on the way.
const KINDS: [(&str, &str, &[&str]); 4] = [
    (
        "core",
        "v1",
        &["ConfigMap", "Node", "Pod", "Secret", "ServiceAccount"],
    ),
    (
        "apps",
        "apps/v1",
        &[
            "ControllerRevision",
            "DaemonSet",
            "Deployment",
            "ReplicaSet",
        ],
    ),
    ("coordination", "coordination.k8s.io/v1", &["Lease"]),
    (
        "rbac",
        "rbac.authorization.k8s.io/v1",
        &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
    ),
];
/// Types that write themselves, by what the decoder calls them.
const SPECIAL: [(&str, &str); 6] = [
    ("meta.Time", "Time"),
    ("meta.MicroTime", "MicroTime"),
    ("meta.FieldsV1", "JSON"),
    ("runtime.RawExtension", "JSON"),
    ("resource.Quantity", "Quantity"),
    ("intstr.IntOrString", "IntOrString"),
];
const HEAD: &str = "\
# What Kubernetes VERSION stores as protobuf, and how it answers in JSON. Made from its types.go by
# `UPDATE_GOLDEN=1 ./x test --tier api recover-schema`; decode/schema.rs says how to read it.
";

/// The committed table is the one that comes out now.
pub fn current(context: &Context) -> Result<()> {
    let table = generate(&context.repo.join("image/payload/kubernetes"))?;
    let path = context.repo.join(SCHEMA);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return fs::write(&path, table).with_context(|| format!("cannot write {SCHEMA}"));
    }
    let kept = fs::read_to_string(&path).with_context(|| format!("cannot read {SCHEMA}"))?;
    let differs = kept
        .lines()
        .zip(table.lines())
        .find(|(kept, now)| kept != now);
    ensure!(
        kept == table,
        "{SCHEMA} is not what Kubernetes' types say: {differs:?}; make it with UPDATE_GOLDEN=1"
    );
    Ok(())
}

fn generate(module: &Path) -> Result<String> {
    let mut folders: BTreeMap<&str, (PathBuf, String)> = BTreeMap::new();
    for (name, ..) in SOURCES {
        if !folders.contains_key(name) {
            folders.insert(name, download(module, name)?);
        }
    }
    let mut tables = Tables::default();
    for (name, folder, package, imports) in SOURCES {
        let at = folders[name].0.join(folder);
        let source = fs::read_to_string(at.join("types.go"));
        let source = source.with_context(|| format!("cannot read types.go in {}", at.display()))?;
        let source = Package::read(imports, &source)?;
        tables.packages.insert(package, source);
        let described = fs::read_to_string(at.join("generated.proto"))?;
        tables.described.insert(package, proto::read(&described)?);
    }
    let version = folders["k8s.io/api"].1.replacen("v0.", "1.", 1);
    let mut text = HEAD.replace("VERSION", &version);
    for (package, api_version, kinds) in KINDS {
        for kind in kinds {
            writeln!(text, "= {api_version} {kind}")?;
            tables.add(package, kind)?;
        }
    }
    for (name, (_, lines)) in &tables.messages {
        write!(text, "{name}\n{lines}")?;
    }
    Ok(text)
}

/// Where Go keeps a module, and which version it is.
fn download(module: &Path, name: &str) -> Result<(PathBuf, String)> {
    let mut download = Command::new("go");
    download
        .args(["mod", "download", "-json", name])
        .current_dir(module)
        .env("GOWORK", "off");
    let said: Value = serde_json::from_str(&process::output(&mut download)?)?;
    let text = |key: &str| {
        said[key]
            .as_str()
            .with_context(|| format!("Go names no {key} of {name}"))
    };
    Ok((text("Dir")?.into(), text("Version")?.to_owned()))
}

#[derive(Default)]
struct Tables {
    packages: BTreeMap<&'static str, Package>,
    described: BTreeMap<&'static str, proto::Messages>,
    /// By name: the package it is from, and its lines.
    messages: BTreeMap<String, (String, String)>,
}

impl Tables {
    /// Adds a struct and every one that it leads to.
    fn add(&mut self, package: &str, name: &str) -> Result<()> {
        if let Some((other, _)) = self.messages.get(name) {
            ensure!(other == package, "{name} is in {other} and in {package}");
            return Ok(());
        }
        self.messages
            .insert(name.to_owned(), (package.to_owned(), String::new()));
        let source = self.packages.get(package).context("no such package")?;
        let fields = source
            .fields(name)
            .with_context(|| format!("{package}.{name}"))?;
        let mut lines = String::new();
        let mut numbers = BTreeMap::new();
        for field in &fields {
            let (shape, base) = self.shape(package, &field.go)?;
            let class = self.lead(package, name, field, &base)?;
            let json = if field.json.is_empty() {
                "."
            } else {
                &field.json
            };
            let omits = match (field.omits_zero, field.omits_empty) {
                (true, _) => "!",
                (false, true) => "?",
                (false, false) => "",
            };
            writeln!(lines, "{} {json}{omits} {shape}{class}", field.number)?;
            numbers.insert(field.number, proto::class(&shape, &class));
        }
        let described = self
            .described
            .get(package)
            .and_then(|messages| messages.get(name));
        let described = described.with_context(|| format!("no message {package}.{name}"))?;
        ensure!(
            *described == numbers,
            "{package}.{name}: types.go says {numbers:?}, generated.proto {described:?}"
        );
        if let Some(entry) = self.messages.get_mut(name) {
            entry.1 = lines;
        }
        Ok(())
    }

    /// What the table calls a field's type; a message is added to it.
    fn lead(&mut self, package: &str, owner: &str, field: &Field, base: &str) -> Result<String> {
        if let Some((_, special)) = SPECIAL.iter().find(|(go, _)| *go == base) {
            ensure!(
                !field.omits_zero || *special == "Time",
                "{owner}.{}: omitzero",
                field.json
            );
            return Ok((*special).to_owned());
        }
        ensure!(!field.omits_zero, "{owner}.{}: omitzero", field.json);
        if matches!(base, "string" | "int32" | "int64" | "bool" | "bytes") {
            return Ok(base.to_owned());
        }
        let (from, name) = base
            .split_once('.')
            .with_context(|| format!("{package}.{owner}: {base}?"))?;
        self.add(from, name)?;
        Ok(name.to_owned())
    }

    /// `*`, `[]`, `{}` or nothing, and what it is of: a scalar or `package.Name`.
    fn shape(&self, package: &str, go: &str) -> Result<(String, String)> {
        if let Some(of) = go.strip_prefix('*') {
            return Ok(("*".to_owned(), self.scalar(package, of)?));
        }
        if go == "[]byte" {
            return Ok((String::new(), "bytes".to_owned()));
        }
        if let Some(of) = go.strip_prefix("[]") {
            return Ok(("[]".to_owned(), self.scalar(package, of)?));
        }
        if let Some(of) = go.strip_prefix("map[") {
            let (key, of) = of.split_once(']').context("a map without a key")?;
            ensure!(self.scalar(package, key)? == "string", "a map by {key}");
            return Ok(("{}".to_owned(), self.scalar(package, of)?));
        }
        let base = self.resolve(package, go)?;
        match self.named_of(&base) {
            Some((from, of)) if of.starts_with("map[") || of.starts_with("[]") => {
                self.shape(&from, &of)
            }
            _ => Ok((String::new(), self.scalar(package, go)?)),
        }
    }

    /// A type that is neither a list nor a map, followed to what it stands for.
    fn scalar(&self, package: &str, go: &str) -> Result<String> {
        if go == "[]byte" {
            return Ok("bytes".to_owned());
        }
        ensure!(
            !go.starts_with(['*', '[']),
            "{package}: {go} within another"
        );
        let base = self.resolve(package, go)?;
        match self.named_of(&base) {
            Some((from, of)) => {
                ensure!(!of.starts_with("map["), "{package}: {go} within another");
                self.scalar(&from, &of)
            }
            None => Ok(base),
        }
    }

    /// `package.Name`, or the scalar.
    fn resolve(&self, package: &str, go: &str) -> Result<String> {
        if matches!(go, "string" | "int32" | "int64" | "bool")
            || go == "types.UID"
            || go == "types.NodeName"
        {
            return Ok(if go.starts_with("types.") {
                "string"
            } else {
                go
            }
            .to_owned());
        }
        if go.starts_with(|first: char| first.is_ascii_lowercase()) && !go.contains('.') {
            bail!("{package}: the type {go} is not known");
        }
        let Some((qualifier, name)) = go.split_once('.') else {
            return Ok(format!("{package}.{go}"));
        };
        let imports = self
            .packages
            .get(package)
            .map_or(&[][..], |package| package.imports);
        let means = imports.iter().find(|(imported, _)| *imported == qualifier);
        Ok(format!(
            "{}.{name}",
            means.map_or(qualifier, |(_, means)| means)
        ))
    }

    fn named_of(&self, base: &str) -> Option<(String, String)> {
        let (package, name) = base.split_once('.')?;
        let of = self.packages.get(package)?.named(name)?;
        Some((package.to_owned(), of.to_owned()))
    }
}
