//! What a file holds, but for what is new each time: keys and certificates that nobody kept, their hashes and dates, and the
//! bootstrap token. Two recoveries that make them anew have files of the same shape.

use anyhow::{Context as _, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use slipway::assets::Assets;
use slipway::pki::BOOTSTRAP_TOKEN;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
/// Shorter words are nobody's key, hash or date.
const SHORTEST: usize = 20;
/// Seconds since 1970.
const SECONDS: usize = 10;
const DATE: &str = "0000-00-00T00:00:00Z";

/// What may differ and what must not.
pub struct Shape<'a> {
    /// PEM that people kept: it stays as it is.
    kept: &'a str,
    /// The token and its halves, as they may be written.
    token: Vec<String>,
}

impl<'a> Shape<'a> {
    /// For the files of a recovery that led to this asset directory.
    pub fn new(assets: &Assets, kept: &'a str) -> Result<Shape<'a>> {
        let token = assets.get(BOOTSTRAP_TOKEN).context("no bootstrap token")?;
        let token = String::from_utf8(token.bytes.expose().to_vec())?;
        let (id, secret) = token.trim().split_once('.').context("half a token")?;
        let plain = [token.trim(), id, secret];
        // YAML quotes what looks like a number.
        let quoted = plain.map(|text| format!("\"{text}\""));
        let encoded = plain.map(|text| STANDARD.encode(text));
        let token = [quoted, encoded, plain.map(str::to_owned)].concat();
        Ok(Shape { kept, token })
    }

    /// The shape of a file.
    pub fn of(&self, bytes: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for half in &self.token {
            text = text.replace(half, "TOKEN");
        }
        self.words(&dates(&self.pem(&text)))
    }

    fn pem(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, block, after)) = block(rest) {
            out += before;
            let kind = block.lines().next().unwrap_or_default();
            let is_kept = self.kept.contains(block.trim_end());
            out += if is_kept { block } else { kind };
            rest = after;
        }
        out + rest
    }

    /// Base64 is what it stands for.
    fn words(&self, text: &str) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            out += &self.word(word);
            let next = after.find(is_word).unwrap_or(after.len());
            out += &after[..next];
            rest = &after[next..];
        }
        out
    }

    fn word(&self, word: &str) -> String {
        let all = |is: fn(&u8) -> bool| word.as_bytes().iter().all(is);
        if word.len() >= SECONDS && all(u8::is_ascii_digit) {
            return "SECONDS".to_owned();
        }
        if word.len() < SHORTEST {
            return word.to_owned();
        }
        if all(u8::is_ascii_hexdigit) {
            return "HASH".to_owned();
        }
        let text = STANDARD.decode(word).ok();
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
        text.map_or_else(
            || word.to_owned(),
            |text| format!("({})", self.of(text.as_bytes())),
        )
    }
}

/// The first block of PEM, and what lies around it.
fn block(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find(BEGIN)?;
    let end = begin + text[begin..].find(END)?;
    let end = text[end..].find('\n').map_or(text.len(), |line| end + line);
    Some((&text[..begin], &text[begin..end], &text[end..]))
}

fn dates(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let is_date = |window: &[u8]| {
        let pairs = window.iter().zip(DATE.as_bytes());
        pairs.into_iter().all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        })
    };
    for at in 0..bytes.len().saturating_sub(DATE.len() - 1) {
        if is_date(&bytes[at..at + DATE.len()]) {
            bytes[at..at + DATE.len()].copy_from_slice(DATE.as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(body: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn what_is_new_each_time_has_the_same_shape_and_nothing_else_has() {
        let kept = certificate("KEPT");
        let shape = |token: &str| Shape {
            kept: &kept,
            token: vec![token.to_owned()],
        };
        let of = |token: &str, body: &str, date: &str, word: &str| {
            let inner = STANDARD.encode(certificate(body));
            let text = format!(
                "{kept}{}a: {inner}\nb: {date} {token} {word}",
                certificate(body)
            );
            shape(token).of(text.as_bytes())
        };
        let one = of("abc", "AA==", "2026-01-02T03:04:05Z", "x");
        let other = of("def", "BBBB\nCC==", "2027-01-02T03:04:05Z", "x");
        assert_eq!(one, other);
        assert!(one.contains("KEPT") && one.contains(DATE), "{one}");
        for different in [
            of("abc", "AA==", "2026-01-02T03:04:05Z", "y"),
            of("abc", "KEPT", "2026-01-02T03:04:05Z", "x"),
            of("abc", "AA==", "today", "x"),
        ] {
            assert_ne!(one, different);
        }
    }
}
