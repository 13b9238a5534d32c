//! Base64 as people and consoles carry it: broken into lines, with or without its padding.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes that a text stands for (RFC 4648 §4; white space is skipped), or `None` if it is no
/// base64.
pub fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    ENGINE.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_padding_do_not_matter() {
        for text in ["aGVsbG8=", "aGVsbG8", " aGVs\r\n bG8=\n"] {
            assert_eq!(base64(text.as_bytes()).as_deref(), Some(&b"hello"[..]));
        }
        assert_eq!(base64(b"").as_deref(), Some(&b""[..]));
        for text in ["aGVsbG8!", "a", "apiVersion: x", "aGVs=bG8"] {
            assert_eq!(base64(text.as_bytes()), None, "{text}");
        }
    }
}
