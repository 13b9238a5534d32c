//! Looks into a snapshot as a plan does: its hash, its facts, and the keys that contain a word.

use std::env;
use std::path::Path;

use anyhow::{Context, Result};
use slipway::recover::snapshot::Snapshot;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().context("no snapshot is named")?;
    let word = arguments.next().context("no word is given")?;
    let snapshot = Snapshot::open(Path::new(&path))?;
    let integrity = snapshot.verify(&mut |_, _| ())?;
    let (facts, found) = snapshot.examine(&mut |key| contains(key, word.as_bytes()))?;
    println!("{integrity:?}\n{facts:?}");
    println!("{} keys with {word:?}", found.len());
    Ok(())
}

fn contains(key: &[u8], word: &[u8]) -> bool {
    key.windows(word.len()).any(|part| part == word)
}
