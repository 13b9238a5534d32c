//! Whose TCP sockets are whose, from the kernel's own tables.
//!
//! Where several processes listen on one port, an answer does not tell which of them gave it, but a connection stays with
//! the process that accepted it, and /proc says who holds its socket. The road not taken is to ask the process
//! itself (`process_start_time_seconds` of its /metrics): that costs a megabyte an answer and a right to read it, and a clock
//! that is set moves the figure.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;
use std::path::Path;

use anyhow::{Context, Result};

use super::files::below;

/// This network namespace's, of both families; a kernel may lack the second.
const TABLES: [(&str, bool); 2] = [("/proc/self/net/tcp", true), ("/proc/self/net/tcp6", false)];
/// The state TCP_LISTEN.
const LISTEN: &str = "0A";

/// A TCP socket of this network namespace. Addresses of IPv4 are of IPv4 also where the socket takes both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// Whether it takes connections.
    pub listens: bool,
    /// Its number; 0 for a connection that nobody has accepted yet.
    pub inode: u64,
}

/// All TCP sockets of this network namespace.
pub fn tcp(root: &Path) -> Result<Vec<Socket>> {
    let mut all = Vec::new();
    for (path, required) in TABLES {
        match fs::read_to_string(below(root, path)) {
            Ok(text) => all.extend(text.lines().filter_map(socket)),
            Err(error) if required => {
                return Err(error).with_context(|| format!("cannot read {path}"));
            }
            Err(_) => {}
        }
    }
    Ok(all)
}

/// A line of a table; the first line of each has names.
fn socket(line: &str) -> Option<Socket> {
    let fields: Vec<_> = line.split_whitespace().collect();
    Some(Socket {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        listens: *fields.get(3)? == LISTEN,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// `HEX:PORT`, where HEX is words of 32 bits as this machine stores them.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for start in (0..ip.len()).step_by(8) {
        let word = u32::from_str_radix(ip.get(start..start + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip: IpAddr = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => Ipv4Addr::from(four).into(),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// The sockets that a process holds, with the numbers by which it does. One that has ended holds none.
pub fn held(root: &Path, pid: i32) -> Vec<(u64, RawFd)> {
    let folder = below(root, format!("/proc/{pid}/fd"));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let held = entries.filter_map(|entry| {
        let link = fs::read_link(entry.path()).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some((
            inode.parse().ok()?,
            entry.file_name().to_str()?.parse().ok()?,
        ))
    });
    held.collect()
}

/// The sockets that any of these processes holds.
pub fn held_by(root: &Path, pids: &[i32]) -> BTreeSet<u64> {
    let all = pids.iter().flat_map(|pid| held(root, *pid));
    all.map(|(inode, _)| inode).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn addresses_of_both_families() {
        let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        let four = word([10, 77, 0, 2]);
        let expected = "10.77.0.2:6443".parse().ok();
        assert_eq!(address(&format!("{four}:192B")), expected);
        let mapped = [
            word([0; 4]),
            word([0; 4]),
            word([0, 0, 0xff, 0xff]),
            four.clone(),
        ];
        assert_eq!(address(&format!("{}:192B", mapped.concat())), expected);
        let any = format!("{}:0000", "0".repeat(32));
        assert_eq!(address(&any), "[::]:0".parse().ok());
        for bad in ["", "local_address", "0A:1", &format!("{four}{four}:1")] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_line_of_the_table() {
        let line = "   0: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65532        0 4711 1 0 100 0 0 10 0";
        let socket = socket(line).unwrap();
        assert!(socket.listens && socket.inode == 4711 && socket.local.port() == 6443);
        assert_eq!(super::socket("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn a_connection_is_its_holders() {
        let root = Path::new("/");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_server, _) = listener.accept().unwrap();
        let (local, remote) = (client.peer_addr().unwrap(), client.local_addr().unwrap());
        let all = tcp(root).unwrap();
        let is_it = |one: &&Socket| (one.local, one.remote) == (local, remote);
        let inode = all.iter().find(is_it).unwrap().inode;
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(held_by(root, &[pid]).contains(&inode));
        assert!(all.iter().any(|one| one.listens && one.local == local));
        assert!(held(root, i32::MAX).is_empty());
    }
}
