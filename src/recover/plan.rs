//! What a recovery found and would do, for a person and for a program.

use serde_json::{Value, json};

use super::nodes::Node;
use super::prepare::{Options, Prepared, Writing};
use crate::assets::Assets;
use crate::pki::NEW;

/// For a person: one thing a line, its kind first.
pub fn text(options: &Options, prepared: &Prepared) -> String {
    let mut out = String::new();
    let mut line = |what: &str, text: &str| {
        out += &format!("{what:<10} {}\n", text.replace('\n', "\n           "));
    };
    let found = &prepared.found;
    let count = found.understood.objects.len();
    let revision = found.revision;
    line(
        "source",
        &format!(
            "{}, revision {revision}, {count} objects of the control plane",
            found.source
        ),
    );
    for node in &prepared.nodes {
        line("node", &node.text());
    }
    for missing in &prepared.missing {
        line("missing", &missing.to_string());
    }
    if let Some(writing) = &prepared.writing {
        for (name, component) in &writing.assembled.components {
            line("component", &format!("{name}, image {}", component.image));
        }
        // Mostly nothing was there; only another reason tells anybody something.
        let (plain, reasoned): (Vec<_>, Vec<_>) =
            writing.issued.iter().partition(|one| one.reason == NEW);
        for issued in reasoned {
            line("new", &format!("{}: {}", issued.name, issued.reason));
        }
        if !plain.is_empty() {
            let names: Vec<_> = plain.iter().map(|one| one.name).collect();
            line("new", &names.join(", "));
        }
        let changes = changes(&writing.earlier, &writing.assembled.assets);
        line(
            "writes",
            &format!("{}: {changes}", options.folder.display()),
        );
        if writing.recovery.snapshot.is_some() {
            line(
                "restores",
                "etcd's data, as a new cluster of this member alone",
            );
        }
        for name in &writing.recovery.forget_nodes {
            line("forgets", name);
        }
    }
    for note in notes(prepared) {
        line("note", note);
    }
    out
}

/// For a program.
pub fn json(options: &Options, prepared: &Prepared) -> Value {
    let found = &prepared.found;
    let missing = prepared.missing.iter();
    let missing =
        missing.map(|one| json!({ "what": one.what, "why": one.why, "supply": one.supply }));
    let mut all = json!({
        "source": found.source,
        "revision": found.revision,
        "objects": found.understood.objects.len(),
        "nodes": prepared.nodes.iter().map(Node::json).collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(),
        "notes": notes(prepared).collect::<Vec<_>>(),
    });
    if let Some(writing) = &prepared.writing {
        let components = writing.assembled.components.iter();
        let components = components.map(|(name, one)| json!({ "name": name, "image": one.image }));
        let issued = writing.issued.iter();
        let issued = issued.map(|one| json!({ "name": one.name, "reason": one.reason }));
        all["writes"] = json!({
            "folder": options.folder,
            "files": changed(&writing.earlier, &writing.assembled.assets).collect::<Vec<_>>(),
            "components": components.collect::<Vec<_>>(),
            "issued": issued.collect::<Vec<_>>(),
            "restoresEtcd": writing.recovery.snapshot.is_some(),
            "forgets": writing.recovery.forget_nodes,
        });
    }
    all
}

/// What a person should know.
pub fn notes(prepared: &Prepared) -> impl Iterator<Item = &str> {
    let writing = prepared.writing.iter();
    let own = writing.flat_map(|writing: &Writing| &writing.assembled.notes);
    let read = prepared.found.understood.notes.iter();
    read.chain(own).map(String::as_str)
}

fn changed<'a>(earlier: &'a Assets, assets: &'a Assets) -> impl Iterator<Item = &'a str> {
    let all = assets
        .iter()
        .filter(|(path, asset)| earlier.get(path) != Some(asset));
    all.map(|(path, _)| path)
}

/// E.g. `92 files, 3 of them new or changed`.
fn changes(earlier: &Assets, assets: &Assets) -> String {
    let count = changed(earlier, assets).count();
    format!("{} files, {count} of them new or changed", assets.len())
}
