//! QEMU's machine protocol, as far as the harness needs it: one command, one answer.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long QEMU may take to answer; it takes a millisecond unless the machine is very busy.
const ANSWER: Duration = Duration::from_secs(30);

/// A connection in command mode.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Takes over a fresh connection: reads the greeting and leaves negotiation mode.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream
            .set_read_timeout(Some(ANSWER))
            .context("cannot set a deadline for QEMU")?;
        let mut qmp = Self {
            reader: BufReader::new(stream),
        };
        qmp.message()?;
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns what it returns.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.reader.get_mut(), "{request}").context("cannot ask QEMU")?;
        loop {
            let mut message = self.message()?;
            if let Some(error) = message.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            // Anything else is an event, which nobody here waits for.
            if let Some(value) = message.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// What the human monitor prints for a command that has no QMP counterpart.
    pub fn monitor(&mut self, line: &str) -> Result<String> {
        let answer = self.execute("human-monitor-command", &json!({ "command-line": line }))?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    fn message(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.reader
            .read_line(&mut line)
            .context("QEMU does not answer")?;
        serde_json::from_str(&line).with_context(|| format!("QEMU said {line:?}, not JSON"))
    }
}

/// The host's port of a `hostfwd` rule to `guest_port`, from what `info usernet` prints: columns
/// protocol[state], descriptor, source address, source port, destination address, destination port.
pub fn forwarded_port(usernet: &str, guest_port: u16) -> Option<u16> {
    usernet.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [kind, _, _, host, _, guest, ..] = columns.as_slice() else {
            return None;
        };
        let ours = kind.starts_with("TCP[HOST_FORWARD]") && guest.parse() == Ok(guest_port);
        ours.then(|| host.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn reads_the_port_that_was_chosen() {
        let text = "Hub -1 (n0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  TCP[HOST_FORWARD]  13       127.0.0.1 40123       10.0.2.15  6443     0     0\r\n";
        assert_eq!(forwarded_port(text, 6443), Some(40123));
        assert_eq!(forwarded_port(text, 22), None);
    }

    #[test]
    fn events_are_passed_over_and_errors_told() {
        let (here, there) = UnixStream::pair().unwrap();
        let qemu = thread::spawn(move || {
            let mut there = BufReader::new(there);
            writeln!(there.get_mut(), "{{\"QMP\": {{}}}}").unwrap();
            for answer in [
                "{\"return\": {}}",
                "{\"event\": \"X\"}\n{\"return\": \"hi\"}",
                "{\"error\": {\"class\": \"no\"}}",
            ] {
                there.read_line(&mut String::new()).unwrap();
                writeln!(there.get_mut(), "{answer}").unwrap();
            }
        });
        let mut qmp = Qmp::new(here).unwrap();
        assert_eq!(qmp.monitor("info x").unwrap(), "hi");
        assert!(
            qmp.monitor("y")
                .unwrap_err()
                .to_string()
                .contains("refuses")
        );
        qemu.join().unwrap();
    }
}
