use super::*;
use std::collections::BTreeMap;

const COOKIES: (u32, u32) = (0x1234_5678, 0x9abc_def0);

/// A VMware that holds to the protocol, and panics where the guest does not.
#[derive(Default)]
struct Fake {
    variables: BTreeMap<String, String>,
    open: bool,
    left: usize,
    message: Vec<u8>,
    reply: Vec<u8>,
    /// The step that fails.
    broken: Option<u32>,
}

impl Fake {
    fn with(list: &[(&str, &str)]) -> Self {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Self {
            variables: list.iter().map(owned).collect(),
            ..Self::default()
        }
    }

    fn obey(&mut self) {
        let message = String::from_utf8(std::mem::take(&mut self.message)).unwrap();
        let reply = match message.split_once(' ') {
            Some(("info-get", key)) => match self.variables.get(key) {
                Some(value) => format!("1 {value}"),
                None => "0 No value found".to_owned(),
            },
            Some(("info-set", rest)) if rest.starts_with("guestinfo.") => {
                let (key, value) = rest.split_once(' ').unwrap();
                self.variables.insert(key.to_owned(), value.to_owned());
                "1 ".to_owned()
            }
            _ => "0 Unknown command".to_owned(),
        };
        self.reply = reply.into_bytes();
    }

    fn sent(&mut self, word: u32) {
        let bytes = word.to_le_bytes();
        let take = self.left.min(4);
        assert!(take > 0, "more than was announced");
        self.message.extend(&bytes[..take]);
        self.left -= take;
    }
}

impl Host for &mut Fake {
    fn call(&mut self, given: Registers) -> Registers {
        let (step, mut got) = (given.ecx >> 16, given);
        assert_eq!(
            (given.eax, given.ecx & 0xffff, given.edx & 0xffff),
            (MAGIC, MESSAGE, PORT)
        );
        if step == OPEN {
            assert_eq!(given.ebx, PROTOCOL);
            self.open = self.broken != Some(OPEN);
            got.edx = 7 << 16 | PORT;
            (got.esi, got.edi) = COOKIES;
        } else {
            assert!(self.open, "step {step} without a channel");
            assert_eq!(
                (given.edx >> 16, given.esi, given.edi),
                (7, COOKIES.0, COOKIES.1)
            );
        }
        let mut status = SUCCESS;
        match step {
            SEND_SIZE => self.left = given.ebx as usize,
            SEND => self.sent(given.ebx),
            RECEIVE_SIZE => {
                assert_eq!(self.left, 0);
                self.obey();
                status |= HAS_REPLY;
                got.ebx = self.reply.len() as u32;
                got.edx = SEND_SIZE << 16;
            }
            RECEIVE => {
                let mut word = [0xff; 4];
                let take = self.reply.len().min(4);
                word[..take].copy_from_slice(&self.reply[..take]);
                self.reply.drain(..take);
                got.ebx = u32::from_le_bytes(word);
                got.edx = SEND << 16;
            }
            CLOSE => self.open = false,
            _ => {}
        }
        if self.broken == Some(step) {
            status = 0;
        }
        got.ecx = status << 16;
        got
    }
}

#[test]
fn variables_of_every_length() {
    for len in 0..12 {
        let value = "x".repeat(len);
        let mut host = Fake::with(&[("guestinfo.userdata", &value)]);
        let mut channel = Channel::open(&mut host).unwrap();
        let got = channel.get("guestinfo.userdata").unwrap().unwrap();
        assert_eq!(got, value.as_bytes());
        assert_eq!(channel.get("guestinfo.other").unwrap(), None);
        drop(channel);
        assert!(!host.open, "the channel stays open");
    }
}

#[test]
fn what_is_set_is_read() {
    let mut host = Fake::default();
    let mut channel = Channel::open(&mut host).unwrap();
    channel.set("guestinfo.userdata", "---").unwrap();
    channel.set("guestinfo.userdata.encoding", "").unwrap();
    assert_eq!(channel.get("guestinfo.userdata").unwrap().unwrap(), b"---");
    assert_eq!(
        channel.get("guestinfo.userdata.encoding").unwrap().unwrap(),
        b""
    );
    assert!(channel.set("machine.id", "x").is_err());
}

#[test]
fn a_host_that_refuses_ends_in_an_error() {
    for step in [OPEN, SEND_SIZE, SEND, RECEIVE_SIZE, RECEIVE, RECEIVED] {
        let mut host = Fake::with(&[("guestinfo.userdata", "x")]);
        host.broken = Some(step);
        let got =
            Channel::open(&mut host).and_then(|mut channel| channel.get("guestinfo.userdata"));
        let text = got.unwrap_err().to_string();
        assert!(text.starts_with("VMware refuses to"), "{step}: {text}");
    }
}

/// Answers every call alike.
struct Constant(Registers);

impl Host for Constant {
    fn call(&mut self, _: Registers) -> Registers {
        self.0
    }
}

#[test]
fn an_answer_without_end_is_not_taken() {
    let endless = Registers {
        ebx: u32::MAX,
        ecx: (SUCCESS | HAS_REPLY) << 16,
        edx: SEND_SIZE << 16,
        ..Registers::default()
    };
    let mut channel = Channel::open(Constant(endless)).unwrap();
    let text = channel.get("guestinfo.userdata").unwrap_err().to_string();
    assert!(text.contains("too much"), "{text}");
}
