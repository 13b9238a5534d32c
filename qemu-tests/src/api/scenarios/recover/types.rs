//! Go's structs, as types.go of Kubernetes' API packages declares them.
//!
//! A field's tags say all that a decoder needs: `protobuf:"bytes,2,opt,name=data"` the number on the wire,
//! `json:"data,omitempty"` the name in JSON and whether an empty one is left out; generated.proto is made of the
//! same tags and knows nothing of the latter. The files are written by gofmt, a field a line: no parser of Go is
//! needed.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

/// The declarations of one package.
pub struct Package {
    /// What a qualifier in it means: `v1` in apps is core.
    pub imports: &'static [(&'static str, &'static str)],
    structs: BTreeMap<String, Vec<String>>,
    named: BTreeMap<String, String>,
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub number: u32,
    /// Empty: its own fields stand among its neighbours.
    pub json: String,
    pub omits_empty: bool,
    pub omits_zero: bool,
    /// As Go writes it: `*Time`, `map[string][]byte`.
    pub go: String,
}

impl Package {
    /// Reads types.go.
    pub fn read(imports: &'static [(&'static str, &'static str)], source: &str) -> Result<Package> {
        let mut package = Package {
            imports,
            structs: BTreeMap::new(),
            named: BTreeMap::new(),
        };
        let mut lines = without_blocks(source);
        while let Some(line) = lines.next() {
            let Some(declared) = line.strip_prefix("type ") else {
                continue;
            };
            let (type_name, what) = declared.split_once(' ').context("a type without a body")?;
            if what == "struct {" {
                let body = lines.by_ref().take_while(|line| *line != "}");
                let body = body.map(str::to_owned).collect();
                package.structs.insert(type_name.to_owned(), body);
            } else {
                let what = what.trim_start_matches("= ").split(" //").next();
                let what = what.unwrap_or_default().trim().to_owned();
                package.named.insert(type_name.to_owned(), what);
            }
        }
        ensure!(!package.structs.is_empty(), "there are no structs");
        Ok(package)
    }

    /// The fields of a struct; the others may be of a kind that is not understood.
    pub fn fields(&self, type_name: &str) -> Result<Vec<Field>> {
        let body = self
            .structs
            .get(type_name)
            .context("there is no such struct")?;
        body.iter()
            .filter_map(|line| field(line).transpose())
            .collect()
    }

    /// What a name that is no struct stands for.
    pub fn named(&self, type_name: &str) -> Option<&str> {
        self.named.get(type_name).map(String::as_str)
    }
}

/// Without the comments that begin a line with `/*`.
fn without_blocks(source: &str) -> impl Iterator<Item = &str> {
    let mut within = false;
    source.lines().filter(move |line| {
        within |= line.trim_start().starts_with("/*");
        let keep = !within;
        within &= !line.contains("*/");
        keep
    })
}

/// A line of a struct; `None` for comments, for the kind and version that every object begins with, and for what
/// neither encoding has.
fn field(line: &str) -> Result<Option<Field>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with("//") {
        return Ok(None);
    }
    let (declared, tags) = line
        .split_once('`')
        .with_context(|| format!("no tags: {line}"))?;
    let tags = tags.split('`').next().unwrap_or_default();
    let mut words = declared.split_whitespace();
    let first = words.next().with_context(|| format!("no field: {line}"))?;
    let go = words.next().unwrap_or(first);
    if go.ends_with("TypeMeta") {
        return Ok(None);
    }
    let json = tag(tags, "json").with_context(|| format!("no JSON name: {line}"))?;
    let Some(wire) = tag(tags, "protobuf") else {
        bail!("no number on the wire: {line}");
    };
    let mut json = json.split(',');
    let name = json.next().unwrap_or_default();
    ensure!(name != "-", "only on the wire: {line}");
    ensure!(!name.is_empty() || go == first, "no JSON name: {line}");
    let options: Vec<_> = json.collect();
    let known = ["omitempty", "omitzero", "inline"];
    let odd = options.iter().find(|option| !known.contains(option));
    ensure!(odd.is_none(), "an unknown option: {line}");
    let number = wire
        .split(',')
        .nth(1)
        .and_then(|number| number.parse().ok());
    Ok(Some(Field {
        number: number.with_context(|| format!("no number on the wire: {line}"))?,
        json: name.to_owned(),
        omits_empty: options.contains(&"omitempty"),
        omits_zero: options.contains(&"omitzero"),
        go: go.to_owned(),
    }))
}

/// The value of `key:"..."`.
fn tag<'a>(tags: &'a str, key: &str) -> Option<&'a str> {
    let mut rest = tags;
    loop {
        let (name, after) = rest.split_once(":\"")?;
        let (value, after) = after.split_once('"')?;
        if name.trim() == key {
            return Some(value);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_gofmt_writes() {
        let source = "// Volume is one.\ntype Volume struct {\n\tmetav1.TypeMeta `json:\",inline\"`\n\t// +optional\n\
            \tName string `json:\"name,omitempty\" protobuf:\"bytes,1,opt,name=name\"`\n\n\
            \tVolumeSource `json:\"\" protobuf:\"bytes,2,opt,name=volumeSource\"`\n}\n\ntype Mode string // a word\n";
        let package = Package::read(&[], source).unwrap();
        let fields = package.fields("Volume").unwrap();
        assert_eq!(fields.len(), 2);
        assert_eq!((fields[0].number, fields[0].go.as_str()), (1, "string"));
        assert!(fields[0].omits_empty);
        assert_eq!(
            (fields[1].json.as_str(), fields[1].go.as_str()),
            ("", "VolumeSource")
        );
        assert_eq!(package.named("Mode"), Some("string"));
    }

    #[test]
    fn a_field_that_is_not_understood_is_an_error() {
        for line in [
            "A string",
            "A string `json:\"a\"`",
            "A string `protobuf:\"bytes,1,opt,name=a\"`",
            "A string `json:\"a,string\" protobuf:\"bytes,1,opt,name=a\"`",
            "A string `json:\"-\" protobuf:\"bytes,1,opt,name=a\"`",
        ] {
            assert!(field(line).is_err(), "{line}");
        }
    }
}
