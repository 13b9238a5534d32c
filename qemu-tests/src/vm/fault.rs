//! What the emulator does wrong by itself, told from what it left behind.
//!
//! Without KVM, QEMU now and then loses a processor's timer while the guest's kernel starts, or gives up
//! on a failed assertion of its own (docs/test.md has both). Nothing of slipway has run by then, or can
//! be judged any more, so such a scenario has shown nothing and is run again, once and in the open.
//! Only these exact words count: whatever else goes wrong is a failure.

use crate::cache;
use std::fs;
use std::path::Path;

/// Where the words stand, the words, and what has happened.
const FAULTS: [(&str, &str, &str); 2] = [
    ("console", TIMER, "a processor of the guest has no timer"),
    (
        "qemu.stderr",
        "iotlb_to_section: Assertion",
        "QEMU failed an assertion of its own",
    ),
];
/// The kernel's, when its timer has not fired for as long as a stall takes to be noticed.
pub const TIMER: &str = "Possible timer handling issue on cpu=";

/// What the emulator did wrong in the scenario whose files are in `work`, if it did.
pub fn find(work: &Path) -> Option<&'static str> {
    let files = cache::files_below(work).ok()?;
    let name = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
    let said = |begin: &str, words: &str| {
        let mut named = files
            .iter()
            .filter(|path| name(path).is_some_and(|name| name.starts_with(begin)));
        named.any(|path| fs::read(path).is_ok_and(|text| contains(&text, words)))
    };
    let mut faults = FAULTS.iter();
    faults
        .find(|(begin, words, _)| said(begin, words))
        .map(|(_, _, what)| *what)
}

fn contains(text: &[u8], words: &str) -> bool {
    text.windows(words.len())
        .any(|part| part == words.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_emulators_own_words_count() {
        let cases = [
            (
                "console-2.log",
                "  21.0s rcu: Possible timer handling issue on cpu=1 timer-softirq=9",
                true,
            ),
            (
                "run/qemu.stderr",
                "qemu: ../system/physmem.c:2: iotlb_to_section: Assertion `x' failed.",
                true,
            ),
            (
                "console.log",
                "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks",
                false,
            ),
            ("run/qemu.stderr", "qemu: could not open disk", false),
            (
                "journal.log",
                "Possible timer handling issue on cpu=1",
                false,
            ),
        ];
        for (name, text, is) in cases {
            let work = tempfile::tempdir().unwrap();
            let path = work.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            assert_eq!(find(work.path()).is_some(), is, "{name}: {text}");
        }
        assert_eq!(find(Path::new("/nowhere")), None);
    }
}
