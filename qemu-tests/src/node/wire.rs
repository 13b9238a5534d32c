//! What the harness and the node's first process say to each other.
//!
//! One sequenced-packet socket: a packet is one [`Order`] in JSON; an order to run a program brings
//! four descriptors: its standard input, output and error, and a pipe on which the node answers with
//! [`Answer`] lines. A pipe per program, so that nobody has to sort answers, and its end without a
//! last answer means that the node went down. `nsenter` was the road not taken: killing it does not
//! kill what it runs, and it cannot tell what a program used.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result, bail};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};

/// The largest packet; a command line with its environment fits many times over.
const PACKET: usize = 64 * 1024;

/// From the harness to the node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Start a program; brings four descriptors.
    Run(Run),
    /// Send a signal to a program, by the number it has inside.
    Signal {
        /// Process id in the node's namespace.
        pid: i32,
        /// Signal number.
        signal: i32,
    },
}

/// A program to start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Run {
    /// Program and arguments; the program is looked up in the node's PATH.
    pub argv: Vec<String>,
    /// Variables beside the node's own environment.
    pub env: Vec<(String, String)>,
}

/// From the node to the harness, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The program runs; its process id inside.
    Started(i32),
    /// The program could not be started, and why.
    Failed(String),
    /// The program ended.
    Ended(Ended),
}

/// How a program ended and what it used.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// The wait status, as wait(2) encodes it.
    pub status: i32,
    /// User and system CPU time in milliseconds.
    pub cpu_ms: f64,
    /// Largest resident set in KiB.
    pub peak_rss_kib: i64,
    /// From its start to its end; 0 where nobody took the time.
    #[serde(default)]
    pub wall_ms: f64,
}

impl Ended {
    /// The exit code; `None` if a signal ended the program.
    pub fn code(&self) -> Option<i32> {
        libc::WIFEXITED(self.status).then(|| libc::WEXITSTATUS(self.status))
    }
}

/// Sends one order.
pub fn send(socket: BorrowedFd<'_>, order: &Order, descriptors: &[RawFd]) -> Result<()> {
    let packet = serde_json::to_vec(order)?;
    let rights = [ControlMessage::ScmRights(descriptors)];
    let rights = if descriptors.is_empty() {
        &[][..]
    } else {
        &rights[..]
    };
    let flags = MsgFlags::MSG_NOSIGNAL;
    let parts = [IoSlice::new(&packet)];
    sendmsg::<()>(socket.as_raw_fd(), &parts, rights, flags, None).context("the node is down")?;
    Ok(())
}

/// Receives one order; `None` when the harness is gone.
pub fn receive(socket: BorrowedFd<'_>) -> Result<Option<(Order, Vec<OwnedFd>)>> {
    let mut packet = vec![0; PACKET];
    let mut parts = [IoSliceMut::new(&mut packet)];
    let mut space = nix::cmsg_space!([RawFd; 4]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just made these descriptors for this message, and nobody else
            // knows their numbers, so each is owned here and only here.
            descriptors.extend(
                numbers
                    .iter()
                    .map(|&fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    let length = message.bytes;
    if length == 0 {
        return Ok(None);
    }
    if length == PACKET {
        bail!("an order longer than {PACKET} bytes");
    }
    Ok(Some((
        serde_json::from_slice(&packet[..length])?,
        descriptors,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    #[test]
    fn an_order_brings_its_descriptors() {
        let kind = SockType::SeqPacket;
        let (here, there) =
            socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let run = Run {
            argv: vec!["true".into()],
            env: vec![],
        };
        send(here.as_fd(), &Order::Run(run), &[writer.as_raw_fd()]).unwrap();
        drop((here, writer));
        let (order, descriptors) = receive(there.as_fd()).unwrap().unwrap();
        assert!(matches!(order, Order::Run(run) if run.argv == ["true"]));
        let fd = descriptors.into_iter().next().unwrap();
        std::fs::File::from(fd).write_all(b"x").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert!(receive(there.as_fd()).unwrap().is_none());
    }
}
