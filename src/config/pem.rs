//! PEM: whether a text holds what it should, by its blocks alone. What is inside them is judged by the
//! room that makes certificates; here it is about a file that was pasted into the wrong field.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
const CERTIFICATE: &str = "CERTIFICATE";

/// A text of certificates, at least one and none twice. Text around the blocks is allowed, as openssl
/// writes some.
///
/// # Errors
/// What is wrong, without the text itself: it might be a key.
pub fn certificates(text: &str) -> Result<String, String> {
    let blocks = blocks(text)?;
    let mut bodies: Vec<&[u8]> = Vec::new();
    for (index, (label, body)) in blocks.iter().enumerate() {
        let nth = index + 1;
        if label.ends_with("PRIVATE KEY") {
            return Err("holds a private key; keys have a field of their own".to_owned());
        }
        if *label != CERTIFICATE {
            return Err(format!(
                "block {nth} is no CERTIFICATE; only those may be here"
            ));
        }
        if bodies.contains(&body.as_slice()) {
            return Err(format!(
                "certificate {nth} is there already; give each once"
            ));
        }
        bodies.push(body);
    }
    Ok(text.to_owned())
}

/// A text with one private key.
///
/// # Errors
/// What is wrong, without the text itself.
pub fn key(text: &str) -> Result<(), String> {
    match blocks(text)?.as_slice() {
        [("ENCRYPTED PRIVATE KEY", _)] => Err(
            "is encrypted, and nobody is there to ask for its passphrase; decrypt it".to_owned(),
        ),
        [(label, _)] if label.ends_with("PRIVATE KEY") => Ok(()),
        // `openssl ecparam -genkey` writes the curve before the key.
        [("EC PARAMETERS", _), ("EC PRIVATE KEY", _)] => Ok(()),
        _ => Err("is not one private key in PEM".to_owned()),
    }
}

/// The blocks of a text: label and content.
fn blocks(text: &str) -> Result<Vec<(&str, Vec<u8>)>, String> {
    let mut found = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in text.lines().map(str::trim) {
        let label = |dashes| line.strip_prefix(dashes)?.strip_suffix(DASHES);
        match (&mut open, label(BEGIN), label(END)) {
            (None, Some(begun), _) => open = Some((begun, String::new())),
            (Some((begun, body)), None, Some(ended)) if *begun == ended => {
                let body = STANDARD.decode(body.as_bytes()).unwrap_or_default();
                if body.is_empty() {
                    return Err(format!("PEM block {} is not base64", found.len() + 1));
                }
                found.push((*begun, body));
                open = None;
            }
            (Some((_, body)), None, None) => body.push_str(line),
            (None, None, None) => {}
            _ => return Err("is not PEM: a BEGIN or END line stands alone".to_owned()),
        }
    }
    match (open, found.is_empty()) {
        (Some(_), _) => Err("is not PEM: it ends within a block".to_owned()),
        (None, true) => Err(format!("is not PEM: it has no line {BEGIN}...{DASHES}")),
        (None, false) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    #[test]
    fn certificates_and_nothing_else() {
        let (a, b) = (block(CERTIFICATE, "YWFh"), block(CERTIFICATE, "YmJi"));
        let windows = a.replace('\n', "\r\n");
        for good in [
            &a,
            &format!("{a}{b}"),
            &format!("subject=x\n{a}\n"),
            &windows,
        ] {
            assert_eq!(certificates(good).as_ref(), Ok(good));
        }
        let key = block("PRIVATE KEY", "czNjcmV0");
        for (bad, want) in [
            ("s3cret", "no line -----BEGIN"),
            (key.as_str(), "holds a private key"),
            (&format!("{a}{key}"), "holds a private key"),
            (&format!("{a}{a}"), "certificate 2 is there already"),
            (&block("X509 CRL", "YWFh"), "block 1 is no CERTIFICATE"),
            (&block(CERTIFICATE, "s3cret!"), "block 1 is not base64"),
            (&block(CERTIFICATE, ""), "block 1 is not base64"),
            (&a[..40], "ends within a block"),
            (&a[28..], "stands alone"),
            (&format!("{}{b}", &a[..33]), "stands alone"),
        ] {
            let problem = certificates(bad).unwrap_err();
            assert!(
                problem.contains(want) && !problem.contains("s3cret"),
                "{bad}: {problem}"
            );
        }
    }

    #[test]
    fn keys() {
        for label in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
            assert_eq!(key(&block(label, "YWFh")), Ok(()), "{label}");
        }
        let curve = block("EC PARAMETERS", "YWFh") + &block("EC PRIVATE KEY", "YWFh");
        assert_eq!(key(&curve), Ok(()));
        let two = block("PRIVATE KEY", "YWFh").repeat(2);
        for (bad, want) in [
            (two.as_str(), "not one private key"),
            (&block(CERTIFICATE, "YWFh"), "not one private key"),
            (&block("ENCRYPTED PRIVATE KEY", "YWFh"), "is encrypted"),
            ("s3cret", "not PEM"),
        ] {
            let problem = key(bad).unwrap_err();
            assert!(
                problem.contains(want) && !problem.contains("s3cret"),
                "{problem}"
            );
        }
    }
}
