//! docs/platforms.md shows the table that the code has, and README.md every name in it. With
//! UPDATE_GOLDEN=1 the page's table is rewritten.

#![allow(clippy::unwrap_used)]

mod cases;

use std::fs;
use std::path::{Path, PathBuf};

use slipway::metadata::platform::{Evidence, Limit, Network, PLATFORMS, Platform};

const BEGIN: &str = "<!-- the table of src/metadata/platform/table.rs; UPDATE_GOLDEN=1 cargo test rewrites it -->\n";
const END: &str = "<!-- end of the table -->\n";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn table() -> String {
    let mut text = "| platform | what is read | needs the network | limit | scrubbed after use | tested in |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    PLATFORMS
        .iter()
        .for_each(|platform| text.push_str(&row(platform)));
    text
}

fn row(platform: &Platform) -> String {
    let names: Vec<_> = [platform.name]
        .iter()
        .chain(platform.aliases)
        .map(|name| format!("`{name}`"))
        .collect();
    let network = match platform.network {
        Network::Never => "no",
        Network::Maybe => "for a part of it",
        Network::Always => "yes",
    };
    let limit = match platform.limit {
        Limit::Ours => "4 MiB (ours)".to_owned(),
        Limit::Bytes(bytes) if bytes % 1024 == 0 => format!("{} KiB", bytes / 1024),
        Limit::Bytes(bytes) => format!("{bytes} bytes"),
        Limit::Part(bytes) => format!("{bytes} bytes a part, 4 MiB (ours)"),
    };
    let tested = match platform.evidence {
        Evidence::Vm => "a virtual machine",
        Evidence::Server => "an HTTP server that behaves as the platform's",
        Evidence::Fixtures => "files and bytes as the platform makes them",
    };
    let scrubbed = if platform.can_wipe() { "yes" } else { "no" };
    let (names, source) = (names.join(", "), platform.source);
    format!("| {names} | {source} | {network} | {limit} | {scrubbed} | {tested} |\n")
}

#[test]
fn the_page_shows_the_table() {
    let page = path("docs/platforms.md");
    let text = fs::read_to_string(&page).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (shown, tail) = rest.split_once(END).unwrap();
    if cases::update() {
        fs::write(page, format!("{head}{BEGIN}{}{END}{tail}", table())).unwrap();
    } else {
        assert_eq!(shown, table(), "UPDATE_GOLDEN=1 rewrites it");
    }
}

#[test]
fn the_readme_names_every_platform() {
    let readme = fs::read_to_string(path("README.md")).unwrap();
    let missing: Vec<_> = PLATFORMS
        .iter()
        .map(|platform| platform.name)
        .filter(|name| !readme.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "README.md lacks {missing:?}");
}
