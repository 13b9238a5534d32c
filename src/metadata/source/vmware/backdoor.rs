//! The message channel between a guest and VMware (open-vm-tools: lib/message/message.c and
//! lib/include/backdoor_def.h).
//!
//! A message goes through registers, four bytes a call. The faster way by string instructions is
//! not taken: it needs memory that both sides agree on, which a confidential machine does not have, and
//! a document is small. Everything but the call itself is tested with a host that is none.

use std::fmt;

use anyhow::{Context as _, Result, anyhow};

use super::GuestInfo;
use crate::metadata::source::MAX_BYTES;

/// In eax, "VMXh".
const MAGIC: u32 = 0x564d_5868;
/// In the lower half of ecx: a message.
const MESSAGE: u32 = 0x1e;
/// In the lower half of edx.
const PORT: u32 = 0x5658;
/// "RPCI", and that calls carry the cookies.
const PROTOCOL: u32 = 0xc943_5052;

/// The steps of a message, in the upper half of ecx.
const OPEN: u32 = 0;
const SEND_SIZE: u32 = 1;
const SEND: u32 = 2;
const RECEIVE_SIZE: u32 = 3;
const RECEIVE: u32 = 4;
const RECEIVED: u32 = 5;
const CLOSE: u32 = 6;

/// What the host answers there.
const SUCCESS: u32 = 0x01;
const HAS_REPLY: u32 = 0x02;

/// The registers of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
    pub esi: u32,
    pub edi: u32,
}

/// Whoever answers calls.
pub trait Host {
    fn call(&mut self, given: Registers) -> Registers;
}

/// An open channel.
pub struct Channel<H: Host> {
    host: H,
    /// Until then the numbers below are nobody's, or another's.
    open: bool,
    /// What the host wants to see in every call: edx's upper half, esi and edi.
    id: u32,
    cookies: (u32, u32),
}

impl<H: Host> fmt::Debug for Channel<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}

impl<H: Host> Channel<H> {
    /// # Errors
    /// If the host opens none.
    pub fn open(host: H) -> Result<Self> {
        let mut channel = Self {
            host,
            open: false,
            id: 0,
            cookies: (0, 0),
        };
        let got = channel.step(OPEN, PROTOCOL, "open a channel")?;
        channel.open = true;
        channel.id = got.edx >> 16;
        channel.cookies = (got.esi, got.edi);
        Ok(channel)
    }

    fn call(&mut self, step: u32, ebx: u32) -> Registers {
        self.host.call(Registers {
            eax: MAGIC,
            ebx,
            ecx: step << 16 | MESSAGE,
            edx: self.id << 16 | PORT,
            esi: self.cookies.0,
            edi: self.cookies.1,
        })
    }

    fn step(&mut self, step: u32, ebx: u32, what: &str) -> Result<Registers> {
        let got = self.call(step, ebx);
        match got.ecx >> 16 & SUCCESS {
            0 => Err(anyhow!("VMware refuses to {what}")),
            _ => Ok(got),
        }
    }

    /// Sends a message and gives the reply to it.
    fn ask(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        let size = u32::try_from(message.len()).context("the message is too long")?;
        self.step(SEND_SIZE, size, "take a message")?;
        for part in message.chunks(4) {
            let mut word = [0; 4];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.step(SEND, u32::from_le_bytes(word), "take a message")?;
        }
        self.reply()
    }

    fn reply(&mut self) -> Result<Vec<u8>> {
        let got = self.step(RECEIVE_SIZE, 0, "answer")?;
        if got.ecx >> 16 & HAS_REPLY == 0 || got.edx >> 16 != SEND_SIZE {
            return Err(anyhow!("VMware does not answer"));
        }
        let size = usize::try_from(got.ebx)?;
        if u64::from(got.ebx) > MAX_BYTES {
            return Err(anyhow!(
                "VMware answers with {size} bytes, which is too much"
            ));
        }
        let mut reply = Vec::with_capacity(size + 3);
        while reply.len() < size {
            let got = self.step(RECEIVE, SUCCESS, "answer")?;
            if got.edx >> 16 != SEND {
                return Err(anyhow!("VMware breaks off its answer"));
            }
            reply.extend(got.ebx.to_le_bytes());
        }
        reply.truncate(size);
        self.step(RECEIVED, SUCCESS, "end its answer")?;
        Ok(reply)
    }
}

impl<H: Host> Drop for Channel<H> {
    fn drop(&mut self) {
        if self.open {
            // A channel that cannot be closed is VMware's to clean up.
            let _ = self.call(CLOSE, 0);
        }
    }
}

/// A reply begins with `1 ` or, if there is no such variable, `0 `.
impl<H: Host> GuestInfo for Channel<H> {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        let reply = self.ask(format!("info-get {key}").as_bytes())?;
        match reply.split_first_chunk() {
            Some((b"1 ", value)) => Ok(Some(value.to_vec())),
            Some((b"0 ", _)) => Ok(None),
            _ => Err(anyhow!("VMware's answer about {key} makes no sense")),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let reply = self.ask(format!("info-set {key} {value}").as_bytes())?;
        match reply.first() {
            Some(b'1') => Ok(()),
            _ => Err(anyhow!("VMware refuses to set {key}")),
        }
    }
}

#[cfg(test)]
mod tests;
