//! The body: pieces of 64 KiB, each with a counter and whether it is the last, so that none can be
//! changed, moved, left out or added (STREAM, Hoang et al. 2015).

use anyhow::{Result, anyhow, ensure};
use ring::aead::{Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce};

const PIECE: usize = 64 * 1024;
const SEALED_PIECE: usize = PIECE + MAX_TAG_LEN;

/// Appends `plain`, sealed, to `out`.
pub fn seal(key: &LessSafeKey, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let count = plain.len().div_ceil(PIECE).max(1);
    for index in 0..count {
        let piece = &plain[index * PIECE..plain.len().min((index + 1) * PIECE)];
        let mut sealed = piece.to_vec();
        key.seal_in_place_append_tag(nonce(index, index + 1 == count), Aad::empty(), &mut sealed)
            .map_err(|_| anyhow!("cannot seal"))?;
        out.append(&mut sealed);
    }
    Ok(())
}

/// What was sealed.
pub fn open(key: &LessSafeKey, sealed: &[u8]) -> Result<Vec<u8>> {
    let count = sealed.len().div_ceil(SEALED_PIECE);
    let mut plain = Vec::with_capacity(sealed.len());
    for (index, piece) in sealed.chunks(SEALED_PIECE).enumerate() {
        let mut piece = piece.to_vec();
        let nonce = nonce(index, index + 1 == count);
        let opened = key
            .open_in_place(nonce, Aad::empty(), &mut piece)
            .map_err(|_| anyhow!("it is damaged or cut off after {} bytes", plain.len()))?;
        ensure!(
            index == 0 || !opened.is_empty(),
            "it is damaged: its last piece is empty"
        );
        plain.extend_from_slice(opened);
    }
    ensure!(
        count > 0,
        "it is cut off: there is nothing after its header"
    );
    Ok(plain)
}

/// Eleven bytes of counter, and whether it is the last piece.
fn nonce(index: usize, is_last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[3..11].copy_from_slice(&(index as u64).to_be_bytes());
    bytes[11] = is_last.into();
    Nonce::assume_unique_for_key(bytes)
}
