//! What the prober does inside a pod: talk through Services.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use slipway::kube::Config;
use slipway::kube::kubeconfig::Server;
use slipway::secret::Secret;

/// Where a pod finds its ServiceAccount.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The credentials of the pod's ServiceAccount, and its namespace.
pub fn account() -> Result<(Config, String)> {
    let file = |name: &str| {
        std::fs::read(format!("{ACCOUNT}/{name}"))
            .with_context(|| format!("no {name} in {ACCOUNT}"))
    };
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let server = Server {
        tls: true,
        host: variable("KUBERNETES_SERVICE_HOST")?,
        port: variable("KUBERNETES_SERVICE_PORT")?.parse()?,
        prefix: String::new(),
    };
    let config = Config {
        server,
        tls_server_name: None,
        ca_pem: file("ca.crt")?,
        certificate: None,
        token: Some(Secret::new(file("token")?.trim_ascii())),
    };
    Ok((config, String::from_utf8(file("namespace")?)?))
}

/// Prints the addresses of a name, one a line.
pub fn resolve(name: &str) -> Result<()> {
    let mut addresses: Vec<_> = (name, 0).to_socket_addrs()?.map(|one| one.ip()).collect();
    addresses.dedup();
    for address in addresses {
        println!("{address}");
    }
    Ok(())
}

/// Prints the body of `http://HOST:PORT/PATH`.
pub fn get(url: &str) -> Result<()> {
    let rest = url
        .strip_prefix("http://")
        .context("only http:// is understood")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let addresses: Vec<SocketAddr> = host.to_socket_addrs()?.collect();
    let address = addresses
        .first()
        .with_context(|| format!("{host} has no address"))?;
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(address, patience)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("that is no HTTP answer")?;
    if !head.contains(" 200 ") {
        bail!("{}", head.lines().next().unwrap_or_default());
    }
    print!("{body}");
    Ok(())
}

/// Answers every request on `port` with the pod's host name, to both families where there are two.
pub fn serve(port: u16) -> Result<()> {
    let body = std::fs::read_to_string("/etc/hostname")?;
    let length = body.len();
    let doors: [SocketAddr; 2] = [([0_u16; 8], port).into(), ([0_u8; 4], port).into()];
    for stream in TcpListener::bind(&doors[..])?.incoming() {
        let mut stream = stream?;
        // One who hangs up early, as a kubelet's probe may, is not this server's end.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.read(&mut [0; 1024]);
        let _ = write!(
            stream,
            "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
        );
    }
    Ok(())
}
