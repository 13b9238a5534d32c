//! KVM or emulation, found out by trying.
//!
//! /dev/kvm may be there and useless: under a nested hypervisor stock kernels hang before their first
//! line, or QEMU itself gives up on a register it cannot set. So the real kernel is started under
//! KVM, and only one that speaks within seconds counts.

use super::console::{self, Console};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// How a guest's instructions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// On the processor.
    Kvm,
    /// Emulated, at about a twentieth of the speed.
    Tcg,
}

/// How long a kernel under KVM may take to its first line; it takes a tenth of a second.
const FIRST_LINE: Duration = Duration::from_secs(5);

impl Accel {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        }
    }

    /// QEMU's arguments. A launch translates more than 1 GiB of code, and a full buffer is thrown away
    /// whole; 2047 MiB is the most there is. The emulated processor is an old one: saving the registers
    /// of a newer one (AVX) at every signal and switch costs more than they bring.
    pub fn arguments(self) -> [&'static str; 4] {
        match self {
            Accel::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accel::Tcg => ["-accel", "tcg,thread=multi,tb-size=2047", "-cpu", "Nehalem"],
        }
    }

    /// What the guest's end of the test channel does first, in shell. A switch between processes empties the
    /// emulated TLB, so there are to be few: nobody is interrupted by a wakeup, and a turn takes 24 ms.
    pub fn guest_setup(self) -> &'static str {
        match self {
            Accel::Kvm => "",
            Accel::Tcg => {
                "mount -t debugfs debugfs /sys/kernel/debug\n\
                 echo NO_WAKEUP_PREEMPTION >/sys/kernel/debug/sched/features\n\
                 echo 24000000 >/sys/kernel/debug/sched/base_slice_ns\n"
            }
        }
    }

    /// Arguments of the guest's kernel. Go's scheduler sleeps 20 us at a time while anything runs; where a
    /// switch costs as much as that, it leaves little for the work. Without high-resolution timers such a
    /// sleep lasts until the next tick (docs/test.md).
    pub fn kernel_arguments(self) -> &'static str {
        match self {
            Accel::Kvm => "",
            Accel::Tcg => "highres=off",
        }
    }

    /// Between two requests of a prober's series, and two looks of its observer. Under emulation this
    /// seldom, because every TLS handshake and every list is a load of its own (at twenty looks a second
    /// the API server did not get ready); shorter gaps cannot be seen there, the node tier measures them.
    pub fn probed_every(self) -> Duration {
        match self {
            Accel::Kvm => Duration::from_millis(50),
            Accel::Tcg => Duration::from_secs(5),
        }
    }

    /// How many times as long as under KVM something may take.
    pub fn patience(self) -> u32 {
        match self {
            Accel::Kvm => 1,
            Accel::Tcg => 5,
        }
    }

    /// A deadline stated for KVM on a free machine, as it is here.
    pub fn scale(self, deadline: Duration) -> Duration {
        deadline * self.patience()
    }
}

/// What this machine can do, tried once in the life of the process with the kernel `vmlinuz`.
pub fn accel(vmlinuz: &Path) -> Accel {
    static FOUND: OnceLock<Accel> = OnceLock::new();
    *FOUND.get_or_init(|| {
        if kvm_boots(vmlinuz) {
            Accel::Kvm
        } else {
            Accel::Tcg
        }
    })
}

fn kvm_boots(vmlinuz: &Path) -> bool {
    if !Path::new("/dev/kvm").exists() {
        return false;
    }
    let mut command = Command::new(super::qemu::PROGRAM);
    command
        .args(super::qemu::BARE)
        .args(Accel::Kvm.arguments())
        .args(["-m", "256", "-kernel"])
        .arg(vmlinuz)
        .args(["-append", "console=ttyS0 panic=-1", "-serial", "stdio"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    let spoke = child.stdout.take().is_some_and(|out| {
        Console::read(out, None)
            .wait(console::has("Linux version"), FIRST_LINE)
            .is_ok()
    });
    let _ = child.kill();
    let _ = child.wait();
    spoke
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_kernel_there_is_no_kvm() {
        assert!(!kvm_boots(Path::new("/nowhere/vmlinuz")));
    }
}
