//! Hostile envelopes of the largest size that is read: each is answered within a bounded heap, and
//! so is a large one that is meant well.

#![allow(clippy::unwrap_used)]

mod heap;

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use slipway::metadata::envelope::{
    self, DOCUMENT, Delivery, MAX_FILES_BYTES, MAX_TEXT, Offline, Remote, What,
};

/// What any envelope may take at its peak.
const MAX_HEAP: usize = 64 * 1024 * 1024;
/// What an ordinary one of 1 MiB may take.
const MAX_ORDINARY: usize = 12 * 1024 * 1024;
const SIZE: usize = MAX_TEXT as usize;
const MIB: usize = 1024 * 1024;

/// The largest file, which leaves room for an empty machine document.
const LARGEST: usize = MAX_FILES_BYTES as usize;

fn pack_as(level: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    pack_as(Compression::fast(), bytes)
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
    all.push(format!(
        "#cloud-config\n[{}{}",
        "a".repeat(SIZE - 9 * 64 * 1024),
        ",a".repeat(4 * 64 * 1024)
    ));
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

/// `len` bytes of which the first `noise` cannot be packed.
fn noisy(len: usize, noise: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(next).take(noise).collect();
    bytes.resize(len, 0);
    bytes
}

/// Texts in as many layers as there may be: packed, in base64, in a message.
fn message(texts: &[&str]) -> String {
    let part = |text: &&str| {
        let body = STANDARD.encode(pack(text.as_bytes()));
        format!("--b\nContent-Transfer-Encoding: base64\n\n{body}\n")
    };
    let parts: String = texts.iter().map(part).collect();
    format!("Content-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n")
}

/// The text, filled up with blanks, in a message.
fn wrapped(mut text: String) -> Vec<u8> {
    text.extend(std::iter::repeat_n(' ', SIZE - text.len()));
    message(&[&text]).into_bytes()
}

/// As much as there may be of files or certificates, and then a text that takes much to read.
fn crowded() -> Vec<String> {
    let data = |bytes: &[u8]| STANDARD.encode(pack(bytes));
    let resource = |bytes: &[u8]| {
        let data = data(bytes);
        format!("{{\"source\": \"data:;base64,{data}\", \"compression\": \"gzip\"}}")
    };
    let most = resource(&vec![0; LARGEST - SIZE]);
    let child = |text: String| {
        format!(
            "{{\"ignition\": {{\"version\": \"3.4.0\", \"config\": {{\"merge\": [{}]}}, \
             \"security\": {{\"tls\": {{\"certificateAuthorities\": [{most}]}}}}}}}}",
            resource(text.as_bytes())
        )
    };
    let file = format!(
        "#cloud-config\nwrite_files:\n- {{path: /etc/a, encoding: gz+b64, content: {}}}\n",
        data(&vec![0; LARGEST])
    );
    let second = |mut text: String| {
        text.truncate(SIZE - file.len());
        message(&[&file, &text])
    };
    let children = ignitions().into_iter().map(child);
    children
        .chain(cloud_configs().into_iter().map(second))
        .collect()
}

/// A server that gives as much as is taken, packed or not.
struct Large {
    packed: Vec<u8>,
}

impl Remote for Large {
    fn get(
        &self,
        url: &str,
        _: &[(String, String)],
        _: &[Vec<u8>],
        max: u64,
    ) -> anyhow::Result<Vec<u8>> {
        Ok(match url {
            "https://h/packed" => self.packed.clone(),
            "https://h/most" => vec![7; max as usize - MIB],
            _ => vec![7; max as usize],
        })
    }
}

/// What is meant well as far as anybody can tell, and takes the most: a file of the largest size, out
/// of envelopes that are alive with it.
fn largest() -> Vec<(&'static str, Vec<u8>)> {
    let noise = 9 * MIB / 4;
    let data = |len, noise| STANDARD.encode(pack(&noisy(len, noise)));
    let source = |data: &str| format!("\"data:;base64,{data}\", \"compression\": \"gzip\"");
    let files = |source: &str, more: &str| {
        ignition(&format!(
            "\"files\": [{{\"path\": \"/etc/a\", \"contents\": {{\"source\": {source}}}{more}}}, \
             {{\"path\": \"{DOCUMENT}\", \"contents\": {{\"source\": \"data:,\"}}}}]}}}}"
        ))
    };
    let append = |source: &str| format!(", \"append\": [{{\"source\": {source}}}]");
    let (whole, half) = (data(LARGEST, noise), data(LARGEST / 2, noise / 2));
    let odd = data(LARGEST - LARGEST / 2, noise / 2);
    let last = append(&source(&data(MIB, 0)));
    let write = |content: &str, more: &str| {
        format!("- {{path: /etc/a, encoding: gz+b64{more}, content: {content}}}\n")
    };
    let cloud_config = |files: &str| {
        format!("#cloud-config\nwrite_files:\n- {{path: {DOCUMENT}, content: ''}}\n{files}")
    };
    let two = write(&half, "") + &write(&odd, ", append: true");
    let packed = |source: &str| format!("{source}, \"compression\": \"gzip\"");
    vec![
        ("Ignition", files(&source(&whole), "")),
        ("fragments", files(&source(&half), &append(&source(&odd)))),
        ("a body and a fragment", files("\"https://h/most\"", &last)),
        ("#cloud-config", cloud_config(&write(&whole, ""))),
        ("#cloud-config, appended", cloud_config(&two)),
        ("body", files("\"https://h/all\"", "")),
        ("packed body", files(&packed("\"https://h/packed\""), "")),
    ]
    .into_iter()
    .map(|(name, text)| (name, wrapped(text)))
    .collect()
}

fn size(delivery: &Delivery) -> usize {
    let entries = delivery.entries.iter();
    let sizes = entries.map(|entry| match &entry.what {
        What::File(bytes) | What::Append(bytes) => bytes.expose().len(),
        What::Folder | What::Link { .. } => 0,
    });
    sizes.sum()
}

/// Each takes less than [`MAX_HEAP`], and is opened to its end.
fn largest_stay_within_bounds() {
    let packed = pack_as(Compression::none(), &noisy(LARGEST - 2 * 1024, LARGEST));
    let large = Large { packed };
    for (name, bytes) in largest() {
        let (delivery, peak) = heap::peak(|| envelope::open(&bytes, &large));
        let size = size(&delivery.unwrap());
        assert!(peak < MAX_HEAP, "{name} took {} KiB", peak / 1024);
        assert!(size > LARGEST - 8 * 1024, "{name} has {size} bytes");
    }
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
    let texts = [cloud_configs(), ignitions(), bombs(), crowded(), messages()].concat();
    let mut all: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    all.push(pack(b"").repeat(SIZE / 20));
    all.push(pack(all.last().unwrap()));
    for bytes in all {
        let begin = String::from_utf8_lossy(bytes.get(..60).unwrap_or(&bytes)).into_owned();
        let (_, peak) = heap::peak(|| envelope::open(&bytes, &Offline));
        assert!(peak < MAX_HEAP, "{begin:?} took {} KiB", peak / 1024);
    }
    largest_stay_within_bounds();
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
