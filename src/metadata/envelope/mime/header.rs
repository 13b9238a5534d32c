//! The header fields of a message or part: folded lines, names in any case (RFC 5322 §2.2), and
//! the parameters of a field (RFC 2045 §5.1).

use anyhow::Result;

use crate::metadata::envelope::invalid;

/// All fields of a message together; a mail's are a few hundred bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Fields in their order, each unfolded.
#[derive(Debug, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// Takes the fields off what follows them. There may be none.
///
/// # Errors
/// If something there is no field, or they do not end.
pub fn split(bytes: &[u8]) -> Result<(Headers, &[u8])> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if at > MAX_BYTES {
            return Err(invalid(format!(
                "the headers of a message or part have more than {MAX_BYTES} bytes; is a blank \
                 line missing after them?"
            )));
        }
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        match (text.starts_with([' ', '\t']), fields.last_mut()) {
            (true, Some((_, value))) => value.push_str(&text),
            _ if text.is_empty() => break,
            _ => fields.push(field(&text)?),
        }
    }
    let rest = bytes.get(at..).unwrap_or_default();
    Ok((Headers(fields), rest))
}

fn field(text: &str) -> Result<(String, String)> {
    let named = |(name, _): &(&str, &str)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let (name, value) = text.split_once(':').filter(named).ok_or_else(|| {
        invalid("a line among the headers of a message or part is none; is a blank line missing?")
    })?;
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}

impl Headers {
    /// The first field of a name in lower case; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(other, _)| other == name);
        field.map_or("", |(_, value)| value)
    }

    /// The whole Content-Type; what RFC 2045 §5.2 says if there is none.
    pub fn content_type(&self) -> &str {
        match self.get("content-type") {
            "" => "text/plain",
            other => other,
        }
    }

    /// The media type alone, in lower case.
    pub fn kind(&self) -> String {
        let kind = self.content_type().split(';').next().unwrap_or_default();
        kind.trim().to_ascii_lowercase()
    }
}

/// A parameter of a field, quoted there or not.
pub fn parameter(field: &str, name: &str) -> Option<String> {
    let (_, mut rest) = field.split_once(';')?;
    loop {
        let (key, value) = rest.split_once('=')?;
        let (value, after) = value_of(value.trim_start());
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after.trim_start().strip_prefix(';')?;
    }
}

/// A parameter's value, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return (value.to_owned(), after);
    };
    let mut value = String::new();
    let mut rest = quoted.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' => value.extend(rest.next()),
            _ => value.push(c),
        }
    }
    (value, rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_and_in_any_case() {
        let text = b"MIME-version: 1.0\r\nCONTENT-Type: multipart/Mixed;\r\n\tboundary=\"a b\"\r\n\r\nbody";
        let (headers, rest) = split(text).unwrap();
        assert_eq!(rest, b"body");
        assert_eq!(headers.get("mime-version"), "1.0");
        assert_eq!(headers.kind(), "multipart/mixed");
        let boundary = parameter(headers.content_type(), "boundary");
        assert_eq!(boundary.as_deref(), Some("a b"));
    }

    #[test]
    fn parameters() {
        let cases = [
            ("a/b; boundary=x", Some("x")),
            (
                "a/b;charset=\"boundary=no\"; Boundary = \"=\\\"=\" ; c=d",
                Some("=\"="),
            ),
            ("a/b; charset=utf-8 ; boundary=x;", Some("x")),
            ("a/b; boundary", None),
            ("a/b", None),
            ("a/b; boundary=\"open", Some("open")),
        ];
        for (field, want) in cases {
            assert_eq!(parameter(field, "boundary").as_deref(), want, "{field}");
        }
    }

    #[test]
    fn no_headers_and_bad_ones() {
        let (headers, rest) = split(b"\nbody").unwrap();
        assert_eq!(
            (headers.kind().as_str(), rest),
            ("text/plain", &b"body"[..])
        );
        assert!(split(b"no header\n\n").is_err());
        assert!(split(b" folded: first\n\n").is_err());
        assert!(split("a: b\n".repeat(5000).as_bytes()).is_err());
    }
}
