//! Hashes that say what bytes must be, in Ignition's notation: `sha512-HEX` or `sha256-HEX`.
//!
//! The hash is of the unpacked bytes, as Ignition has it, so that it stays the same when somebody
//! compresses the file.

use anyhow::{Result, anyhow};
use ring::digest::{self, Algorithm, SHA256, SHA512};

use super::invalid;
use crate::exit::{Exit, fail};
use crate::hash::hex;

/// Checks that `bytes` have the hash `expected`.
///
/// # Errors
/// [`Exit::Refused`] if they have another; [`Exit::Invalid`] if `expected` is not a hash.
pub fn verify(bytes: &[u8], expected: &str) -> Result<()> {
    let (name, algorithm, wanted) = parse(expected)?;
    let found = hex(digest::digest(algorithm, bytes).as_ref());
    if found.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let error = anyhow!(
        "{} bytes have the hash {name}-{found}, but {name}-{wanted} is expected; \
         correct the hash if the change was meant",
        bytes.len()
    );
    Err(fail(Exit::Refused, error))
}

/// Checks that `expected` can be the hash of something.
///
/// # Errors
/// [`Exit::Invalid`] if it cannot.
pub fn check_form(expected: &str) -> Result<()> {
    parse(expected).map(drop)
}

fn parse(expected: &str) -> Result<(&'static str, &'static Algorithm, &str)> {
    let (name, hex) = expected.split_once('-').unwrap_or((expected, ""));
    let (name, algorithm) = match name {
        "sha512" => ("sha512", &SHA512),
        "sha256" => ("sha256", &SHA256),
        _ => {
            let error = "the verification hash must be sha512-HEX or sha256-HEX";
            return Err(invalid(error));
        }
    };
    let digits = algorithm.output_len() * 2;
    if hex.len() != digits || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(invalid(format!(
            "the verification hash {name} must have {digits} hexadecimal digits"
        )));
    }
    Ok((name, algorithm, hex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_right_hash_is_taken() {
        let long = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                    47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
        verify(b"", &format!("sha256-{EMPTY}")).unwrap();
        verify(b"", &format!("sha256-{}", EMPTY.to_uppercase())).unwrap();
        verify(b"", &format!("sha512-{long}")).unwrap();
    }

    #[test]
    fn another_hash_is_refused_and_shown() {
        let error = verify(b"x", &format!("sha256-{EMPTY}")).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        let text = error.to_string();
        assert!(text.contains("sha256-2d711642b726b044"), "{text}");
        assert!(text.contains(EMPTY), "{text}");
    }

    #[test]
    fn what_is_no_hash_is_invalid() {
        let cases = [
            "",
            "sha256",
            "sha256-",
            "sha256-00",
            "md5-00",
            EMPTY,
            "SHA256-",
        ];
        let odd = format!("sha256-{}", "é".repeat(32));
        let wrong = format!("sha512-{EMPTY}");
        for case in cases.into_iter().chain([&*odd, &*wrong]) {
            let error = verify(b"", case).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Invalid, "{case}");
        }
    }
}
