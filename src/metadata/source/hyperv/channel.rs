//! The kernel's side of the pairs: messages of one size, read and answered in turn (Linux
//! include/uapi/linux/hyperv.h, `struct hv_kvp_msg`; drivers/hv/hv_kvp.c).
//!
//! Whoever registers is the daemon. The host then gives every pair that a person set, and asks
//! things of its own in between, which all have to be answered or the kernel gives up on us.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::pool::{KEY, RECORD, VALUE};
use crate::metadata::deadline::Deadline;

/// After the first pair, the host is done when no other follows for as long.
pub const QUIET: Duration = Duration::from_secs(1);
/// Bytes of every message.
const MESSAGE: usize = 7432;
/// The operation, the pool and two bytes of padding, or the result; then the type and the two
/// sizes, four bytes each; then the key and the value.
const SIZES: usize = 8;
const PAIR: usize = 16;

/// Operations.
const GET: u8 = 0;
const SET: u8 = 1;
const DELETE: u8 = 2;
const ENUMERATE: u8 = 3;
const REGISTER: u8 = 100;

/// Results: it was done, there is no (further) one, and that it cannot be done.
const OK: u32 = 0;
const NO_MORE: u32 = 0x8007_0103;
const FAIL: u32 = 0x8000_4005;

/// The pool of the pairs that a person sets on the host.
const EXTERNAL: u8 = 0;
/// More pairs than a document of the largest size has.
const MAX_PAIRS: usize = 4096;

/// A message from the kernel.
#[derive(Debug, PartialEq, Eq)]
enum Message {
    /// It knows us.
    Registered,
    /// The host gives a pair of the pool that people set: its record, as in a pool file.
    Pair(Box<[u8]>),
    /// Something else, and the result that answers it.
    Other(u32),
}

/// Registers and takes pairs until the host is `quiet` or the deadline has passed. Gives them as a pool
/// file would hold them.
///
/// # Errors
/// If the kernel speaks another language.
pub fn listen<D: Read + Write + AsFd>(
    device: &mut D,
    deadline: Deadline,
    quiet: Duration,
) -> Result<Vec<u8>> {
    send(device, &register())?;
    let mut pool = Vec::new();
    let mut last = None;
    while pool.len() < MAX_PAIRS * RECORD {
        let still = |last: Instant| quiet.saturating_sub(last.elapsed());
        let left = last.map_or(deadline.left(), |last| still(last).min(deadline.left()));
        if left.is_zero() {
            break;
        }
        let Some(bytes) = receive(device, left)? else {
            continue;
        };
        let result = match message(&bytes)? {
            Message::Registered => continue,
            Message::Pair(record) => {
                pool.extend_from_slice(&record);
                last = Some(Instant::now());
                OK
            }
            Message::Other(result) => result,
        };
        send(device, &answer(bytes, result))?;
    }
    Ok(pool)
}

fn send(device: &mut impl Write, bytes: &[u8]) -> Result<()> {
    // One message is one write.
    let sent = device.write(bytes).context("the kernel takes no message")?;
    match sent == bytes.len() {
        true => Ok(()),
        false => Err(anyhow!("the kernel takes only a part of a message")),
    }
}

/// The next message, or `None` if there is none yet.
fn receive<D: Read + AsFd>(device: &mut D, left: Duration) -> Result<Option<Vec<u8>>> {
    // A pause of nothing would be no pause.
    let left = left.max(Duration::from_millis(1));
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(
        &mut [PollFd::new(device.as_fd(), PollFlags::POLLIN)],
        timeout,
    ) {
        Ok(0) | Err(Errno::EINTR) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(error).context("cannot wait for a message"),
    }
    let mut bytes = vec![0; MESSAGE];
    match device.read(&mut bytes) {
        Ok(MESSAGE) => Ok(Some(bytes)),
        Ok(len) => Err(anyhow!(
            "the kernel's message has {len} bytes, not {MESSAGE}"
        )),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error).context("the kernel gives no message"),
    }
}

fn register() -> Vec<u8> {
    let mut bytes = vec![0; MESSAGE];
    if let Some(operation) = bytes.first_mut() {
        *operation = REGISTER;
    }
    bytes
}

/// A message as the answer to itself.
fn answer(mut message: Vec<u8>, result: u32) -> Vec<u8> {
    if let Some(head) = message.first_chunk_mut() {
        *head = result.to_le_bytes();
    }
    message
}

fn message(bytes: &[u8]) -> Result<Message> {
    let (Some(&operation), Some(&pool)) = (bytes.first(), bytes.get(1)) else {
        return Err(anyhow!("the kernel's message is empty"));
    };
    Ok(match operation {
        REGISTER => Message::Registered,
        SET if pool == EXTERNAL => {
            let record = record(bytes).context("the kernel's message is cut")?;
            Message::Pair(record.into())
        }
        SET => Message::Other(OK),
        GET | DELETE | ENUMERATE => Message::Other(NO_MORE),
        _ => Message::Other(FAIL),
    })
}

/// The key and the value, each as long as it says, and padded.
fn record(bytes: &[u8]) -> Option<Vec<u8>> {
    let (key_size, rest) = bytes.get(SIZES..)?.split_first_chunk()?;
    let (value_size, _) = rest.split_first_chunk()?;
    let size = |size: &[u8; 4]| usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
    let (key, rest) = bytes.get(PAIR..)?.split_at_checked(KEY)?;
    let (value, _) = rest.split_at_checked(VALUE)?;
    let mut record = Vec::with_capacity(RECORD);
    record.extend(key.iter().take(size(key_size)));
    record.resize(KEY, 0);
    record.extend(value.iter().take(size(value_size)));
    record.resize(RECORD, 0);
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::super::pool;
    use super::*;
    use proptest::prelude::*;
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;
    use std::thread;

    /// A message as the kernel sends it.
    fn given(operation: u8, pool: u8, key: &str, value: &str) -> Vec<u8> {
        let mut bytes = vec![operation, pool, 0, 0];
        for number in [1, key.len() as u32 + 1, value.len() as u32 + 1] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(key.as_bytes());
        bytes.resize(PAIR + KEY, 0);
        bytes.extend(value.as_bytes());
        bytes.resize(MESSAGE, 0);
        bytes
    }

    /// What is heard of a kernel that sends these, and its answers; the first is the registration.
    fn converse(messages: Vec<Vec<u8>>) -> (Result<Vec<u8>>, Vec<Vec<u8>>) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let kernel = thread::spawn(move || {
            let mut heard = Vec::new();
            let mut hear = || {
                let mut bytes = vec![0; MESSAGE + 1];
                let len = theirs.recv(&mut bytes).unwrap();
                bytes.truncate(len);
                heard.push(bytes);
            };
            hear();
            for message in messages {
                let last = message.len() != MESSAGE;
                theirs.send(&message).unwrap();
                match message[0] == REGISTER || last {
                    true => {}
                    false => hear(),
                }
            }
            heard
        });
        let mut device = File::from(OwnedFd::from(ours));
        let deadline = Deadline::after(Duration::from_secs(60));
        let got = listen(&mut device, deadline, Duration::from_millis(50));
        (got, kernel.join().unwrap())
    }

    #[test]
    fn pairs_are_taken_and_everything_is_answered() {
        let (got, heard) = converse(vec![
            given(REGISTER, 0, "3.1", ""),
            given(ENUMERATE, 2, "", ""),
            given(SET, 0, "slipway.machine.0", "hel"),
            given(5, 0, "", ""),
            given(SET, 1, "slipway.machine", "of another pool"),
            given(SET, 0, "slipway.machine.1", "lo"),
        ]);
        assert_eq!(pool::document(&got.unwrap()).unwrap().unwrap(), b"hello");
        assert!(heard.iter().all(|message| message.len() == MESSAGE));
        let heads: Vec<_> = heard.iter().map(|message| message[..4].to_vec()).collect();
        let registration = vec![REGISTER, 0, 0, 0];
        let results = [NO_MORE, OK, FAIL, OK, OK].map(|result| result.to_le_bytes().to_vec());
        assert_eq!(heads, [&[registration][..], &results].concat());
    }

    #[test]
    fn a_kernel_of_another_size_is_not_understood() {
        let (got, _) = converse(vec![vec![SET; 12]]);
        let text = got.unwrap_err().to_string();
        assert!(text.contains("12 bytes, not 7432"), "{text}");
    }

    #[test]
    fn silence_ends_with_the_deadline() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let mut device = File::from(OwnedFd::from(ours));
        let deadline = Deadline::after(Duration::from_millis(20));
        assert_eq!(listen(&mut device, deadline, QUIET).unwrap(), b"");
        drop(theirs);
    }

    #[test]
    fn sizes_cut_what_an_earlier_message_left() {
        let mut bytes = given(SET, 0, "keystale", "valuestale");
        bytes[SIZES..SIZES + 4].copy_from_slice(&3_u32.to_le_bytes());
        bytes[SIZES + 4..PAIR].copy_from_slice(&5_u32.to_le_bytes());
        let want = pool::file(&[("key", "value")]);
        assert_eq!(message(&bytes).unwrap(), Message::Pair(want.into()));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            if let Ok(Message::Pair(record)) = message(&bytes) {
                prop_assert_eq!(record.len(), RECORD);
            }
        }
    }
}
