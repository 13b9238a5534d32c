//! A kubeconfig as a value: where the server is, whom to trust, who we are.
//!
//! Only the current context counts, as with kubectl. What the client cannot do (exec plugins,
//! passwords, proxies, unverified TLS) is refused by name rather than ignored: a request without
//! the credentials that somebody wrote down would fail later with a poorer message.
//! Format: <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::config::yaml;
use crate::secret::Secret;
pub use crate::transport::Server;

/// Everything a client needs to know, read and decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the server is.
    pub server: Server,
    /// The name to expect in the server's certificate, if not the server's host.
    pub tls_server_name: Option<String>,
    /// The PEM bundle of those who may have signed the server's certificate; always there for TLS.
    pub ca_pem: Vec<u8>,
    /// Our certificate chain and its key, both PEM.
    pub certificate: Option<(Vec<u8>, Secret)>,
    /// Our bearer token.
    pub token: Option<Secret>,
}

/// A kubeconfig whose references to files are not read yet.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    server: Server,
    tls_server_name: Option<String>,
    ca: Option<Material>,
    certificate: Option<Material>,
    key: Option<Material>,
    token: Option<Material>,
}

/// Embedded bytes, or the file that holds them.
#[derive(Clone, Debug)]
enum Material {
    Inline(Secret),
    File(PathBuf),
}

/// Reads the kubeconfig at `path` and the files it refers to, relative to its folder.
pub fn load(path: &Path) -> Result<Config> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::read(path)
        .map_err(anyhow::Error::from)
        .and_then(|bytes| parse(&bytes))
        .and_then(|parsed| {
            parsed.resolve(|file| {
                let file = folder.join(file);
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
            })
        })
        .with_context(|| format!("cannot use the kubeconfig {}", path.display()))
}

/// Reads a kubeconfig that embeds everything.
pub fn parse_embedded(bytes: &[u8]) -> Result<Config> {
    parse(bytes)?.resolve(|file| bail!("it refers to the file {}; embed it", file.display()))
}

/// Understands a kubeconfig, YAML or JSON.
pub fn parse(bytes: &[u8]) -> Result<Kubeconfig> {
    let text = std::str::from_utf8(bytes).context("it is not UTF-8")?;
    let document = only_document(text)?;
    let current = string(&document, "current-context").context("it has no current-context")?;
    let context = named(&document, "contexts", "context", current)?;
    let cluster_name = string(context, "cluster").context("its context names no cluster")?;
    let cluster = named(&document, "clusters", "cluster", cluster_name)?;
    let nobody = Value::Null;
    let user = match string(context, "user") {
        Some(name) => named(&document, "users", "user", name)?,
        None => &nobody,
    };
    refuse(cluster, &["proxy-url"])?;
    refuse(
        user,
        &[
            "exec",
            "auth-provider",
            "username",
            "password",
            "as",
            "as-groups",
        ],
    )?;
    ensure!(
        cluster["insecure-skip-tls-verify"] != true,
        "it says insecure-skip-tls-verify, which is not supported; embed the CA"
    );
    Ok(Kubeconfig {
        server: server(string(cluster, "server").context("its cluster names no server")?)?,
        tls_server_name: string(cluster, "tls-server-name").map(str::to_owned),
        ca: material(cluster, "certificate-authority")?,
        certificate: material(user, "client-certificate")?,
        key: material(user, "client-key")?,
        token: token(user),
    })
}

impl Kubeconfig {
    /// Reads what it refers to; `read` gets paths as they are written in the kubeconfig.
    pub fn resolve(self, read: impl Fn(&Path) -> Result<Vec<u8>>) -> Result<Config> {
        let read = |material: Option<Material>| match material {
            None => Ok(None),
            Some(Material::Inline(bytes)) => Ok(Some(bytes)),
            Some(Material::File(path)) => read(&path).map(|bytes| Some(Secret::new(bytes))),
        };
        let ca = read(self.ca)?;
        ensure!(
            ca.is_some() || !self.server.tls,
            "its cluster has no certificate-authority; slipway trusts no other authority"
        );
        let certificate = match (read(self.certificate)?, read(self.key)?) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.expose().to_vec(), key)),
            (Some(_), None) => bail!("its user has a client-certificate but no client-key"),
            (None, Some(_)) => bail!("its user has a client-key but no client-certificate"),
        };
        Ok(Config {
            server: self.server,
            tls_server_name: self.tls_server_name,
            ca_pem: ca.map(|ca| ca.expose().to_vec()).unwrap_or_default(),
            certificate,
            token: read(self.token)?.map(|token| Secret::new(token.expose().trim_ascii())),
        })
    }
}

/// What quotes the text is left out of the message: it may quote a key.
fn only_document(text: &str) -> Result<Value> {
    let mut documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => match error.location() {
            Some(at) => bail!("it is not YAML; see line {}", at.line()),
            None => bail!("it is not YAML"),
        },
    };
    match documents.pop() {
        Some(document) if documents.is_empty() => Ok(document),
        _ => bail!("it is not one YAML document"),
    }
}

fn string<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str().filter(|text| !text.is_empty())
}

/// The entry of a list of named things, e.g. of `clusters`: `{name, cluster}`.
fn named<'a>(document: &'a Value, list: &str, what: &str, name: &str) -> Result<&'a Value> {
    document[list]
        .as_array()
        .and_then(|entries| entries.iter().find(|entry| entry["name"] == name))
        .map(|entry| &entry[what])
        .with_context(|| format!("it has no {what} named {name:?} in {list}"))
}

fn refuse(value: &Value, keys: &[&str]) -> Result<()> {
    match keys.iter().find(|key| !value[**key].is_null()) {
        None => Ok(()),
        Some(key) => {
            bail!("it uses {key}, which is not supported; use a client certificate or a token")
        }
    }
}

/// Understands a server URL, `https://HOST[:PORT][/PREFIX]` or `http://…`.
pub fn server(url: &str) -> Result<Server> {
    Server::parse(url).map_err(|error| anyhow!("its server {error:#}"))
}

/// `KEY-data` in base64, or else `KEY`, a file; the embedded one wins, as with kubectl.
fn material(value: &Value, key: &str) -> Result<Option<Material>> {
    let data_key = format!("{key}-data");
    if let Some(encoded) = string(value, &data_key) {
        let packed: String = encoded.split_ascii_whitespace().collect();
        let bytes = STANDARD
            .decode(packed)
            .with_context(|| format!("its {data_key} is no base64"))?;
        return Ok(Some(Material::Inline(Secret::new(bytes))));
    }
    Ok(string(value, key).map(|path| Material::File(path.into())))
}

/// `tokenFile` wins over `token`, as with kubectl: it is the one that somebody renews.
fn token(user: &Value) -> Option<Material> {
    let file = string(user, "tokenFile").map(|path| Material::File(path.into()));
    file.or_else(|| string(user, "token").map(|token| Material::Inline(Secret::new(token))))
}

#[cfg(test)]
mod tests;
