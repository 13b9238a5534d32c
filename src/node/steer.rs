//! Which of several processes that share a port gets a new connection.
//!
//! The kernel spreads connections over all listeners of a shared port (SO_REUSEPORT) as soon as they listen, so an API server that
//! is still starting makes its share of the callers wait, and refuses whom it does not know yet. A program on
//! the group of listeners changes that: the one that has listened longest gets everything, and the next one once that has
//! closed. A caller that marks its packets (SO_MARK, which needs CAP_NET_ADMIN) gets the second, so that somebody can see how far it
//! is. What goes to loopback is spread as before: an API server is its own client there (under a certificate that only it
//! knows, so the other one's listener is no use to it) and never starts if it does not meet itself.
//!
//! The program stays with the group for as long as anybody listens. Where there is no second listener, or sockets that do not take the
//! program (MPTCP's, for which Go listens unless it is told not to), callers are spread as before. It is the old form of such programs (no BPF system call), which any kernel since 4.5 takes.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result};
use nix::libc;

/// The mark of who wants the second. kube-proxy's own are 0x4000 and 0x8000.
pub const MARK: u32 = 0x0005_11b0;

/// Where a program finds what the kernel knows of a packet (SKF_AD_OFF): its mark and its protocol.
const KNOWN: u32 = (-0x1000_i32).cast_unsigned();
const PACKET_MARK: u32 = KNOWN + 20;
const PROTOCOL: u32 = KNOWN;
/// Where its network header is (SKF_NET_OFF), and in that of IPv4 and of IPv6 the destination.
const HEADER: u32 = (-0x10_0000_i32).cast_unsigned();
const DESTINATION: u32 = HEADER + 16;
const DESTINATION_6: u32 = HEADER + 24;
/// ETH_P_IP
const IPV4: u32 = 0x0800;
/// The listener with this number: the first that listened is 0. What no listener has means "spread".
const FIRST: u32 = 0;
const SECOND: u32 = 1;
const SPREAD: u32 = 0xffff;

/// BPF_LD | BPF_W | BPF_ABS
const LOAD: u16 = 0x20;
/// BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF: u16 = 0x15;
/// BPF_ALU | BPF_AND | BPF_K
const AND: u16 = 0x54;
/// BPF_RET | BPF_K
const RETURN: u16 = 0x06;

/// Jumps go so many steps on, if the value is that one, and if it is not.
const PROGRAM: [libc::sock_filter; 18] = [
    step(LOAD, PACKET_MARK),
    jump(MARK, 15, 0),
    step(LOAD, PROTOCOL),
    jump(IPV4, 0, 3),
    step(LOAD, DESTINATION),
    step(AND, 0xff00_0000),
    jump(0x7f00_0000, 8, 9),
    // ::1, of which the last word is not 0.
    step(LOAD, DESTINATION_6),
    jump(0, 0, 7),
    step(LOAD, DESTINATION_6 + 4),
    jump(0, 0, 5),
    step(LOAD, DESTINATION_6 + 8),
    jump(0, 0, 3),
    step(LOAD, DESTINATION_6 + 12),
    jump(1, 0, 1),
    step(RETURN, SPREAD),
    step(RETURN, FIRST),
    step(RETURN, SECOND),
];

const fn step(code: u16, k: u32) -> libc::sock_filter {
    let (jt, jf) = (0, 0);
    libc::sock_filter { code, jt, jf, k }
}

const fn jump(k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    let code = JUMP_IF;
    libc::sock_filter { code, jt, jf, k }
}

/// Gives new connections of a port to the process that has listened longest, from one of the listeners: a process and its number of
/// the socket. Doing it again changes nothing.
pub fn first_come(pid: i32, number: RawFd) -> Result<()> {
    let listener = borrow(pid, number)
        .with_context(|| format!("cannot reach the listening socket of process {pid}"))?;
    attach(&listener).context("the kernel does not take a program for the shared port")
}

/// Another process' socket (pidfd_getfd). It stays open as long as anybody has it, so it is let go at once.
fn borrow(pid: i32, number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: both calls take plain numbers.
    let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: as above; the descriptor lives across the call.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) })
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(result) {
        // SAFETY: the kernel has just made it for us, and nobody else knows it.
        Ok(number) if number >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn attach(listener: &OwnedFd) -> io::Result<()> {
    let mut steps = PROGRAM;
    let program = libc::sock_fprog {
        len: PROGRAM.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program, whose steps live across the call, and reads no more than its size.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket,
        sockopt,
    };

    use super::*;

    fn listener(port: u16) -> TcpListener {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        setsockopt(&socket, sockopt::ReusePort, &true).unwrap();
        bind(socket.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port)).unwrap();
        listen(&socket, Backlog::new(64).unwrap()).unwrap();
        TcpListener::from(socket)
    }

    /// What the scenarios show of addresses that others reach cannot be had here; the kernel takes the program, though, and
    /// nobody is kept from himself.
    #[test]
    fn loopback_is_spread_over_all() {
        let first = listener(0);
        let port = first.local_addr().unwrap().port();
        let here = i32::try_from(std::process::id()).unwrap();
        first_come(here, first.as_raw_fd()).unwrap();
        let second = listener(port);
        let connect = |_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let clients: Vec<_> = (0..64).map(connect).collect();
        let accepted = |listener: &TcpListener| listener.incoming().map_while(Result::ok).count();
        let (one, other) = (accepted(&first), accepted(&second));
        assert_eq!(one + other, clients.len());
        assert!(one > 0 && other > 0, "{one} and {other}");
        let error = first_come(i32::MAX, 0).unwrap_err();
        assert!(format!("{error:#}").contains("cannot reach the listening socket"));
    }
}
