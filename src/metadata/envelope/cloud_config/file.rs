//! One entry of `write_files`.
//!
//! An unknown key is refused here and not skipped, because `permission:` for `permissions:` would
//! publish a private key.

use std::str::FromStr;

use anyhow::{Context, Result};
use yaml_rust2::scanner::TScalarStyle;

use super::events::{Reader, Scalar, is_null};
use crate::config::quote;
use crate::exit::{Exit, WithExit};
use crate::metadata::envelope::data_url::base64;
use crate::metadata::envelope::{Entry, Gathered, Id, What, gzip};
use crate::secret::Secret;

const KEYS: &str = "path, content, encoding, owner, permissions, append, defer";

#[derive(Default)]
struct File {
    path: Option<String>,
    content: Option<String>,
    encoding: Encoding,
    owner: (Option<Id>, Option<Id>),
    mode: Option<u32>,
    append: bool,
    /// The keys so far.
    seen: Vec<String>,
}

/// How `content` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Encoding {
    base64: bool,
    gzip: bool,
}

/// Reads a file, from the mapping's first key to its end.
pub fn read(reader: &mut Reader<'_>, gathered: &mut Gathered) -> Result<()> {
    let mut file = File::default();
    while let Some(key) = reader.key()? {
        if file.seen.contains(&key) {
            let key = quote(&key);
            return Err(reader.error(&format!("the key {key} is there twice")));
        }
        let value = reader.scalar(&key)?;
        if !is_null(&value.text, value.style) {
            file.set(&key, value)
                .map_err(|message| reader.error(&message))?;
        }
        file.seen.push(key);
    }
    match file.path.take() {
        Some(path) => file
            .give(&path, gathered)
            .with_context(|| format!("cannot use the file {}", quote(&path))),
        None => Err(reader.error("the file that ends here has no path")),
    }
}

impl File {
    fn set(&mut self, key: &str, value: Scalar) -> Result<(), String> {
        match key {
            "path" => self.path = Some(value.text),
            "content" => self.content = Some(value.text),
            "encoding" => self.encoding = value.text.parse()?,
            "owner" => self.owner = owner(&value.text),
            "permissions" => self.mode = Some(mode(&value)?),
            "append" => self.append = truth(key, &value.text)?,
            // Users that it would wait for are none of ours to make.
            "defer" => drop(truth(key, &value.text)?),
            _ => {
                let key = quote(key);
                return Err(format!(
                    "write_files has no key {key} that slipway knows: {KEYS}"
                ));
            }
        }
        Ok(())
    }

    fn give(self, path: &str, gathered: &mut Gathered) -> Result<()> {
        let content = self.content.unwrap_or_default().into_bytes();
        let bytes = self.encoding.decode(content, gathered.left())?;
        let Some(bytes) = gathered.file(path, bytes, self.append)? else {
            return Ok(());
        };
        let bytes = Secret::new(bytes);
        let (user, group) = self.owner;
        gathered.push(Entry {
            path: path.to_owned(),
            what: match self.append {
                true => What::Append(bytes),
                false => What::File(bytes),
            },
            mode: self.mode,
            user,
            group,
            overwrite: true,
        })
    }
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut encoding = Self::default();
        let text = text.trim().to_ascii_lowercase();
        if matches!(text.as_str(), "" | "text/plain") {
            return Ok(encoding);
        }
        for word in text.split('+') {
            let flag = match word {
                "b64" | "base64" => &mut encoding.base64,
                "gz" | "gzip" => &mut encoding.gzip,
                _ => return Err("encoding must be b64, gz+b64 or text/plain".to_owned()),
            };
            if std::mem::replace(flag, true) {
                return Err("encoding names the same twice".to_owned());
            }
        }
        match encoding.gzip && !encoding.base64 {
            // YAML has bytes only under the tag !!binary, which is base64 as well.
            true => Err("encoding gz alone has no bytes to unpack in YAML text; \
                         pack the content in base64 and write gz+b64, without a tag"
                .to_owned()),
            false => Ok(encoding),
        }
    }
}

impl Encoding {
    fn decode(self, mut content: Vec<u8>, max: u64) -> Result<Vec<u8>> {
        if self.base64 {
            // In its place: both are not needed at once, and may be large.
            content = base64(&content).exit(Exit::Invalid)?;
        }
        match self.gzip {
            true => gzip::unpack(&content, max),
            false => Ok(content),
        }
    }
}

/// `user:group`; either may be a number, and missing.
fn owner(text: &str) -> (Option<Id>, Option<Id>) {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    (id(user.trim()), id(group.trim()))
}

fn id(text: &str) -> Option<Id> {
    match (text, text.parse()) {
        ("", _) => None,
        (_, Ok(number)) => Some(Id::Number(number)),
        (name, _) => Some(Id::Name(name.to_owned())),
    }
}

/// Octal digits. A plain number that does not begin with 0 is decimal to cloud-init, which is never
/// what was meant.
fn mode(value: &Scalar) -> Result<u32, String> {
    let text = value.text.trim();
    if value.style == TScalarStyle::Plain && !text.starts_with('0') {
        let advice = "write it in quotes as octal digits, e.g. \"0644\"";
        return Err(format!("permissions must not be a plain number; {advice}"));
    }
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = !digits.is_empty() && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| octal && *mode <= 0o7777)
        .ok_or_else(|| "permissions must be octal digits from \"0000\" to \"7777\"".to_owned())
}

fn truth(key: &str, text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err(format!("{key} must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yaml_rust2::scanner::TScalarStyle::{DoubleQuoted, Plain};

    #[test]
    fn permissions() {
        let cases = [
            ("0644", Plain, Ok(0o644)),
            ("0o600", Plain, Ok(0o600)),
            ("0", Plain, Ok(0)),
            ("644", DoubleQuoted, Ok(0o644)),
            ("04755", DoubleQuoted, Ok(0o4755)),
            ("644", Plain, Err("quotes")),
            ("420", Plain, Err("quotes")),
            ("rw-r--r--", Plain, Err("quotes")),
            ("0688", Plain, Err("octal")),
            ("10000", DoubleQuoted, Err("octal")),
            ("+644", DoubleQuoted, Err("octal")),
            ("", DoubleQuoted, Err("octal")),
            ("77777777777777", DoubleQuoted, Err("octal")),
        ];
        for (text, style, want) in cases {
            let got = mode(&Scalar {
                text: text.to_owned(),
                style,
            });
            match want {
                Ok(want) => assert_eq!(got, Ok(want), "{text}"),
                Err(want) => assert!(got.unwrap_err().contains(want), "{text}"),
            }
        }
    }

    #[test]
    fn owners() {
        let name = |name: &str| Some(Id::Name(name.to_owned()));
        assert_eq!(owner("etcd:etcd"), (name("etcd"), name("etcd")));
        assert_eq!(
            owner("0: 65534"),
            (Some(Id::Number(0)), Some(Id::Number(65534)))
        );
        assert_eq!(owner("etcd"), (name("etcd"), None));
        assert_eq!(owner(":adm"), (None, name("adm")));
        assert_eq!(owner(""), (None, None));
    }

    #[test]
    fn encodings() {
        let both = Encoding {
            base64: true,
            gzip: true,
        };
        for text in ["gz+b64", "gzip+base64", "b64+gz", "GZ+Base64"] {
            assert_eq!(text.parse(), Ok(both), "{text}");
        }
        assert_eq!("text/plain".parse(), Ok(Encoding::default()));
        for text in ["gz", "gzip"] {
            let error = text.parse::<Encoding>().unwrap_err();
            assert!(error.contains("write gz+b64"), "{error}");
        }
        for text in ["b64+b64", "zstd", "gz+", "text/plain+gz"] {
            assert!(text.parse::<Encoding>().is_err(), "{text}");
        }
    }
}
