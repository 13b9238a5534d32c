//! The I/O port by which a guest calls VMware.

use std::arch::asm;
use std::arch::x86_64::__cpuid;

use anyhow::{Result, anyhow};
use nix::libc::iopl;

use super::backdoor::{Host, Registers};

/// Bit 31 of ecx of CPUID leaf 1: under a hypervisor.
const HYPERVISOR: u32 = 1 << 31;
/// The leaf in which a hypervisor says its name.
const NAME: u32 = 0x4000_0000;

/// The port of this machine, which is known to be VMware's.
#[derive(Debug)]
pub struct Port(());

impl Port {
    /// # Errors
    /// If the processor does not say that VMware runs it; what DMI says can be set by anybody.
    pub fn new() -> Result<Self> {
        let under = __cpuid(1).ecx & HYPERVISOR != 0;
        let leaf = __cpuid(NAME);
        let name = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes);
        if !under || name.as_flattened() != b"VMwareVMware" {
            return Err(anyhow!(
                "the processor says that another hypervisor runs it"
            ));
        }
        // VMware answers every process unless its owner restricts that to those with this privilege; a
        // locked-down kernel gives it to none, and then the call goes without.
        // SAFETY: it changes nothing but this thread's right to use ports.
        unsafe { iopl(3) };
        Ok(Self(()))
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { iopl(0) };
    }
}

impl Host for Port {
    fn call(&mut self, given: Registers) -> Registers {
        let mut got = given;
        let mut rbx = u64::from(given.ebx);
        // SAFETY: a `Port` is made only under VMware, which takes this instruction over and changes
        // the registers named here and no memory. rbx and rbp are the compiler's own, so they are
        // put back.
        unsafe {
            asm!(
                "push rbp",
                "xchg {rbx}, rbx",
                "in eax, dx",
                "xchg {rbx}, rbx",
                "pop rbp",
                rbx = inout(reg) rbx,
                inout("eax") given.eax => got.eax,
                inout("ecx") given.ecx => got.ecx,
                inout("edx") given.edx => got.edx,
                inout("esi") given.esi => got.esi,
                inout("edi") given.edi => got.edi,
            );
        }
        // The upper half is not VMware's.
        got.ebx = (rbx & u64::from(u32::MAX)) as u32;
        got
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests run anywhere; on another machine the port must not be touched.
    #[test]
    fn only_vmwares_processor_has_a_port() {
        if let Err(error) = Port::new() {
            assert!(error.to_string().contains("another hypervisor"), "{error}");
        }
    }
}
