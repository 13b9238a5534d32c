//! The three ciphers of k8s.io/apiserver, pkg/storage/value/encrypt, one direction.
//!
//! Whatever is wrong, the answer is the same: why a decryption fails is told to nobody. Stored values are at rest, so
//! no timing can be watched from outside.

use aes::cipher::StreamCipher;
use aes::cipher::consts::U12;
use aes::cipher::{Block, BlockCipherDecrypt, BlockModeDecrypt, BlockSizeUser, KeyInit, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::{AeadInOut, Nonce};
use poly1305::Poly1305;
use salsa20::XSalsa20;

/// Of AES: the block, and the vector before what is encrypted in CBC.
const BLOCK: usize = 16;
/// The nonce before what is encrypted in GCM.
const GCM_NONCE: usize = 12;
/// The nonce of secretbox, and the tag behind it.
const BOX_NONCE: usize = 24;
const BOX_TAG: usize = 16;

/// AES-CBC with PKCS#7 padding, which authenticates nothing: a wrong key shows in the padding only, most times.
pub fn cbc(key: &[u8], stored: &[u8]) -> Option<Vec<u8>> {
    match key.len() {
        16 => cbc_of::<Aes128>(key, stored),
        24 => cbc_of::<Aes192>(key, stored),
        32 => cbc_of::<Aes256>(key, stored),
        _ => None,
    }
}

fn cbc_of<C>(key: &[u8], stored: &[u8]) -> Option<Vec<u8>>
where
    C: BlockCipherDecrypt + KeyInit + BlockSizeUser,
    cbc::Decryptor<C>: BlockModeDecrypt<BlockSize = C::BlockSize> + KeyIvInit,
{
    let (vector, encrypted) = stored.split_at_checked(BLOCK)?;
    let mut plain = encrypted.to_vec();
    let (blocks, rest) = Block::<C>::slice_as_chunks_mut(&mut plain);
    if !rest.is_empty() {
        return None;
    }
    let mut decryptor = cbc::Decryptor::<C>::new_from_slices(key, vector).ok()?;
    decryptor.decrypt_blocks(blocks);
    let padding = usize::from(*plain.last()?);
    let (_, padded) = plain.split_at_checked(plain.len().checked_sub(padding)?)?;
    // Go's takes more than a block of padding as well; nobody writes it.
    let sound =
        (1..=BLOCK).contains(&padding) && padded.iter().all(|byte| usize::from(*byte) == padding);
    plain.truncate(plain.len() - padded.len());
    sound.then_some(plain)
}

/// AES-GCM; `key_of_etcd` is authenticated too, so a value that was moved to another key is refused.
pub fn gcm(key: &[u8], key_of_etcd: &[u8], stored: &[u8]) -> Option<Vec<u8>> {
    match key.len() {
        16 => gcm_of::<AesGcm<Aes128, U12>>(key, key_of_etcd, stored),
        24 => gcm_of::<AesGcm<Aes192, U12>>(key, key_of_etcd, stored),
        32 => gcm_of::<AesGcm<Aes256, U12>>(key, key_of_etcd, stored),
        _ => None,
    }
}

fn gcm_of<C: AeadInOut + aes_gcm::KeyInit>(
    key: &[u8],
    also: &[u8],
    stored: &[u8],
) -> Option<Vec<u8>> {
    let (nonce, encrypted) = stored.split_at_checked(GCM_NONCE)?;
    let nonce = <&Nonce<C>>::try_from(nonce).ok()?;
    let mut plain = encrypted.to_vec();
    let cipher = C::new_from_slice(key).ok()?;
    cipher.decrypt_in_place(nonce, also, &mut plain).ok()?;
    Some(plain)
}

/// NaCl's secretbox: the key stream's first 32 bytes are the key of the tag, the rest is on the text.
pub fn secretbox(key: &[u8], stored: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = stored.split_at_checked(BOX_NONCE)?;
    let (tag, encrypted) = rest.split_at_checked(BOX_TAG)?;
    let mut stream = XSalsa20::new_from_slices(key, nonce).ok()?;
    let mut tag_key = poly1305::Key::default();
    stream.try_apply_keystream(&mut tag_key).ok()?;
    let computed = Poly1305::new(&tag_key).compute_unpadded(encrypted);
    if computed.as_slice() != tag {
        return None;
    }
    let mut plain = encrypted.to_vec();
    stream.try_apply_keystream(&mut plain).ok()?;
    Some(plain)
}
