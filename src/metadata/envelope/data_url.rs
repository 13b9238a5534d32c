//! `data:` URLs (RFC 2397) and the two encodings they use.
//!
//! The media type says nothing that matters here and is skipped. A URL of this kind holds a file's
//! contents, so messages give its length and never the URL.

use std::borrow::Cow;

use anyhow::{Context, Result, bail};

use super::invalid;
use crate::exit::{Exit, WithExit};
use crate::metadata::base64;

/// The bytes in a URL that begins with `data:`.
///
/// # Errors
/// [`Exit::Invalid`] if it is another kind of URL, has no comma, or is badly encoded.
pub fn decode(url: &str) -> Result<Vec<u8>> {
    let (head, data) = strip_scheme(url)
        .and_then(|rest| rest.split_once(','))
        .ok_or_else(|| {
            let what = describe(url);
            invalid(format!("the {what} has no comma before its contents"))
        })?;
    let plain = percent(data.as_bytes()).exit(Exit::Invalid)?;
    let is_base64 = head
        .rsplit(';')
        .next()
        .is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
    match is_base64 && head.contains(';') {
        true => base64(&plain).exit(Exit::Invalid),
        false => Ok(plain.into_owned()),
    }
}

/// What follows `data:`, if the URL is one of this kind.
pub fn strip_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once(':')?;
    scheme.eq_ignore_ascii_case("data").then_some(rest)
}

/// What messages call it.
pub fn describe(url: &str) -> String {
    format!("data URL of {} bytes", url.len())
}

/// Bytes in base64. No error shows a piece of them.
///
/// # Errors
/// If anything else is in it, or it is cut off.
pub fn base64(text: &[u8]) -> Result<Vec<u8>> {
    let len = text.len();
    base64::strict(text)
        .with_context(|| format!("{len} characters are not valid base64; are they cut off?"))
}

fn percent(text: &[u8]) -> Result<Cow<'_, [u8]>> {
    if !text.contains(&b'%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => match (rest.next().and_then(digit), rest.next().and_then(digit)) {
                (Some(high), Some(low)) => plain.push(high << 4 | low),
                _ => bail!("a % in a data URL is not followed by two hexadecimal digits"),
            },
            _ => plain.push(*byte),
        }
    }
    Ok(Cow::Owned(plain))
}

fn digit(byte: &u8) -> Option<u8> {
    char::from(*byte).to_digit(16)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;
    use ::base64::Engine;
    use ::base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    #[test]
    fn decoded() {
        let cases: [(&str, &[u8]); 9] = [
            ("data:,", b""),
            ("data:,A%20brief%20note", b"A brief note"),
            ("data:text/plain;charset=utf-8,a+b", b"a+b"),
            ("DATA:;base64,aGk=", b"hi"),
            ("data:text/plain;BASE64,aGk%3D", b"hi"),
            ("data:;base64,aG\nk=", b"hi"),
            ("data:base64,aGk=", b"aGk="),
            ("data:,%ff%00,", b"\xff\0,"),
            ("data:,é", "é".as_bytes()),
        ];
        for (url, want) in cases {
            assert_eq!(decode(url).unwrap(), want, "{url}");
        }
    }

    #[test]
    fn refused_without_showing_the_contents() {
        for url in [
            "data:secret",
            "https://secret,",
            "",
            "data:,secret%2",
            "data:,secret%zz",
            "data:,secret%+1",
            "data:;base64,secret!",
            "data:;base64,aGk",
            "data:;base64,aGk=secret",
            "data:;base64,aGl=",
        ] {
            let error = decode(url).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Invalid, "{url}");
            assert!(!format!("{error:#}").contains("secret"), "{error:#}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes: Vec<u8>) {
            let based = format!("data:;base64,{}", STANDARD.encode(&bytes));
            prop_assert_eq!(&decode(&based).unwrap(), &bytes);
            let escaped: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(&decode(&format!("data:,{escaped}")).unwrap(), &bytes);
        }

        #[test]
        fn anything_gets_an_answer(rest in "\\PC{0,40}|[%0-9a-fA-F,;=]{0,40}") {
            let _ = decode(&format!("data:{rest}"));
            let _ = decode(&rest);
        }
    }
}
