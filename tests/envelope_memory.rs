//! Hostile envelopes of the largest size that is read: each is answered within a bounded heap, and
//! so is a large one that is meant well.

#![allow(clippy::unwrap_used)]

mod heap;

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use slipway::metadata::envelope::{self, DOCUMENT, MAX_TEXT, Offline};

/// What any envelope may take at its peak.
const MAX_HEAP: usize = 64 * 1024 * 1024;
/// What an ordinary one of 1 MiB may take.
const MAX_ORDINARY: usize = 12 * 1024 * 1024;
const SIZE: usize = MAX_TEXT as usize;
const MIB: usize = 1024 * 1024;

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `start`, and then `piece` as often as there is room.
fn fill(start: &str, piece: &str) -> String {
    format!(
        "{start}{}",
        piece.repeat((SIZE - start.len()) / piece.len())
    )
}

fn ignition(storage: &str) -> String {
    format!("{{\"ignition\": {{\"version\": \"3.4.0\"}}, \"storage\": {{{storage}")
}

/// What yaml-rust2 would have to remember, and what a reader would.
fn cloud_configs() -> Vec<String> {
    let content = "write_files:\n- path: /etc/x\n  content: ";
    let cases = [
        ("[: ", "a,"),
        ("[", "a #\n"),
        ("[", "\"\""),
        ("[", "\"a\":"),
        ("x: [", "!a "),
        ("x: [", "[a,"),
        ("x: [a: |\n [", "a,"),
        ("x: |\n x\n? [", "*a "),
        ("write_files: [", "{path: a,"),
        ("write_files: [", "? "),
        ("write_files:\n", "- path: x\n"),
        ("write_files:\n- {a: ", "'',"),
        (content, "a"),
        (content, "|\n\n"),
        ("", "- "),
        ("", "? "),
        ("", "%TAG !a! b\n"),
        ("", "&a "),
        ("x: |\n", " [a,\n"),
    ];
    let fill = |(start, piece)| fill(&format!("#cloud-config\n{start}"), piece);
    let mut all: Vec<_> = cases.into_iter().map(fill).collect();
    let keys: String = (0..SIZE / 10).map(|n| format!("{n:x}: y\n")).collect();
    all.push(format!("#cloud-config\n{keys}"));
    all
}

fn ignitions() -> Vec<String> {
    let header = "{\"name\": \"\"},";
    let resource = format!(
        "{{\"httpHeaders\": [{}{{\"name\": \"\"}}]}},",
        header.repeat(15)
    );
    let file = format!(
        "{{\"path\": \"a\", \"append\": [{}{{}}]}},",
        resource.repeat(15)
    );
    let starts = [
        "\"files\": [",
        "\"files\": [{\"path\": \"a\", \"append\": [",
    ];
    let pieces = ["{},", "{\"path\": \"a\"},", "\\n", &resource, &file, header];
    let mut all = Vec::new();
    for start in starts {
        all.extend(pieces.map(|piece| fill(&ignition(start), piece)));
    }
    all.extend(["[", "{\"a\":"].map(|piece| fill(&ignition("\"files\": ["), piece)));
    let distinct = (0..1023).map(|n| file.replacen("\"a\"", &format!("\"{n}\""), 1));
    all.push(ignition("\"files\": [") + &distinct.collect::<String>());
    all
}

/// 16 MiB of zeros in few bytes, in every way that something can be packed.
fn bombs() -> Vec<String> {
    let bomb = STANDARD.encode(pack(&vec![0; 16 * MIB - 1]));
    let source = format!("{{\"source\": \"data:;base64,{bomb}\", \"compression\": \"gzip\"}}");
    let file = format!(
        "\"files\": [{{\"path\": \"/etc/a\", \"contents\": {source}, \"append\": [{source}]}}]}}}}"
    );
    let write = format!("- {{path: /etc/a, encoding: gz+b64, content: {bomb}}}\n");
    let child = ignition(&format!(
        "\"files\": [{}",
        "{\"path\": \"a\", \"append\": [{},{},{},{}]},".repeat(99_000)
    ));
    let nested = (0..5).fold(child, |child, _| {
        let child = STANDARD.encode(pack(child.as_bytes()));
        format!("{{\"ignition\": {{\"version\": \"3.4.0\", \"config\": {{\"merge\": [{{\"source\": \"data:;base64,{child}\", \"compression\": \"gzip\"}}]}}}}}}")
    });
    vec![
        ignition(&file),
        format!("#cloud-config\nwrite_files:\n{}", write.repeat(9)),
        nested,
    ]
}

fn messages() -> Vec<String> {
    let start = "Content-Type: multipart/mixed; boundary=b\n\n--b\n";
    let body = fill(
        &format!("{start}Content-Transfer-Encoding: base64\n\n"),
        "aaaa",
    );
    let pieces = ["--b\n", "a: b\n", "a: b\n c\n", "\n--b\n", "\n"];
    let mut all: Vec<_> = pieces.map(|piece| fill(start, piece)).to_vec();
    all.push(fill("Content-Type: ", "a"));
    all.push(body);
    all
}

#[test]
fn envelopes_stay_within_bounds() {
    let texts = [cloud_configs(), ignitions(), bombs(), messages()].concat();
    let mut all: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    all.push(pack(b"").repeat(SIZE / 20));
    all.push(pack(all.last().unwrap()));
    for bytes in all {
        let begin = String::from_utf8_lossy(bytes.get(..60).unwrap_or(&bytes)).into_owned();
        let (_, peak) = heap::peak(|| envelope::open(&bytes, &Offline));
        assert!(peak < MAX_HEAP, "{begin:?} took {} KiB", peak / 1024);
    }
    ordinary();
}

/// One large file beside the document.
fn ordinary() {
    let file = STANDARD.encode(vec![7; MIB]);
    let text = ignition(&format!(
        "\"files\": [{{\"path\": \"/etc/large\", \"contents\": {{\"source\": \"data:;base64,{file}\"}}}}, \
         {{\"path\": \"{DOCUMENT}\", \"contents\": {{\"source\": \"data:,a\"}}}}]}}}}"
    ));
    let (delivery, peak) = heap::peak(|| envelope::open(text.as_bytes(), &Offline));
    assert_eq!(delivery.unwrap().entries.len(), 1);
    assert!(peak < MAX_ORDINARY, "took {} KiB", peak / 1024);
}
