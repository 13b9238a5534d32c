//! Base64 (RFC 4648 §4), as files carry it: broken into lines.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::STANDARD as STRICT;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes that a program wrote as text, whose white space does not count; `None` if anything else is
/// in it, or it is cut off.
pub fn strict(text: &[u8]) -> Option<Vec<u8>> {
    STRICT.decode(without_space(text)).ok()
}

/// As [`strict`], but for what passed through people and consoles: the padding may be missing.
pub fn lenient(text: &[u8]) -> Option<Vec<u8>> {
    LENIENT.decode(without_space(text)).ok()
}

fn without_space(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(u8::is_ascii_whitespace) {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    plain.extend(text.iter().filter(|byte| !byte.is_ascii_whitespace()));
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_do_not_matter_and_padding_only_to_the_strict() {
        for text in ["aGVsbG8=", "aGVsbG8", " aGVs\r\n bG8=\n"] {
            let hello = Some(b"hello".to_vec());
            assert_eq!(lenient(text.as_bytes()), hello);
            let want = hello.filter(|_| text.contains('='));
            assert_eq!(strict(text.as_bytes()), want, "{text}");
        }
        for decode in [strict, lenient] {
            assert_eq!(decode(b""), Some(Vec::new()));
            for text in ["aGVsbG8!", "a", "apiVersion: x", "aGVs=bG8"] {
                assert_eq!(decode(text.as_bytes()), None, "{text}");
            }
        }
    }
}
