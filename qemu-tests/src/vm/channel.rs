//! Commands in the guest, over a virtio port: how a test looks inside an image without ssh or shell.
//!
//! The image is the production one, unchanged: the unit that listens comes with QEMU's firmware
//! configuration as a system credential (systemd.system-credentials(7)), which only whoever starts
//! the machine can give. A request is one line of shell; the answer is its exit code, the length of
//! what it printed, and that.

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The virtio port's name.
pub const PORT: &str = "dev.slipway.harness";
/// The unit's name: as long as the limit of fw_cfg names allows.
pub const UNIT: &str = "t.service";
/// fw_cfg entries and the files that [`write_guest_side`] makes for them.
pub const FW_CFG: &[(&str, &str)] = &[
    (
        "opt/io.systemd.credentials/systemd.extra-unit.t.service",
        "channel.service",
    ),
    ("opt/dev.slipway.harness/channel", "channel.sh"),
];
/// What the guest's side says once it listens.
const READY: &str = "ready";

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// Standard output and error.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// What it printed, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim_end().to_owned()
    }
}

/// The host's end.
#[derive(Debug)]
pub struct Channel {
    stream: BufReader<UnixStream>,
    ready: bool,
}

/// Puts the guest's side where [`FW_CFG`] names it; it begins with the shell commands `setup`.
pub fn write_guest_side(folder: &Path, setup: &str) -> Result<()> {
    let script = include_str!("channel.sh").replace("@SETUP@\n", setup);
    for (name, text) in [
        ("channel.service", include_str!("channel.service")),
        ("channel.sh", &script),
    ] {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

impl Channel {
    /// The channel over a connected socket.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream: BufReader::new(stream),
            ready: false,
        }
    }

    /// Runs a line of shell as root. `deadline` is for each part of the answer, and for the guest to
    /// come up if nothing was asked yet.
    pub fn run(&mut self, command: &str, deadline: Duration) -> Result<Answer> {
        ensure!(
            !command.contains('\n'),
            "a command in the guest is one line"
        );
        self.exchange(command, deadline)
            .with_context(|| format!("in the guest: {command}"))
    }

    /// As [`Self::run`]; an exit code other than 0 is an error that shows what was printed.
    pub fn expect(&mut self, command: &str, deadline: Duration) -> Result<Answer> {
        let answer = self.run(command, deadline)?;
        if answer.code != 0 {
            bail!(
                "in the guest: {command}: exit code {}: {}",
                answer.code,
                answer.text()
            );
        }
        Ok(answer)
    }

    fn exchange(&mut self, command: &str, deadline: Duration) -> Result<Answer> {
        self.stream.get_ref().set_read_timeout(Some(deadline))?;
        if !self.ready {
            ensure!(
                self.line()? == READY,
                "the channel does not begin with {READY:?}"
            );
            self.ready = true;
        }
        writeln!(self.stream.get_mut(), "{command}")?;
        let head = self.line()?;
        let (code, length) = head
            .split_once(' ')
            .with_context(|| format!("no answer's head: {head:?}"))?;
        let mut bytes = vec![0; length.trim().parse().context("no length")?];
        self.stream
            .read_exact(&mut bytes)
            .context("the answer is cut short")?;
        Ok(Answer {
            code: code.parse().context("no exit code")?,
            bytes,
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream
            .read_line(&mut line)
            .context("no answer within the deadline")?;
        ensure!(line.ends_with('\n'), "the guest closed the channel");
        Ok(line.trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn an_answer_has_a_code_and_bytes() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let guest = thread::spawn(move || {
            there.write_all(b"ready\n").unwrap();
            let mut lines = BufReader::new(there.try_clone().unwrap()).lines();
            assert_eq!(lines.next().unwrap().unwrap(), "true");
            there.write_all(b"0 3\na\nb").unwrap();
            assert_eq!(lines.next().unwrap().unwrap(), "false");
            there.write_all(b"1 4\noops").unwrap();
        });
        let mut channel = Channel::new(here);
        assert_eq!(channel.expect("true", SOON).unwrap().bytes, b"a\nb");
        let error = channel.expect("false", SOON).unwrap_err().to_string();
        assert!(
            error.contains("oops") && error.contains("code 1"),
            "{error}"
        );
        guest.join().unwrap();
        assert!(channel.run("late", SOON).is_err());
    }
}
