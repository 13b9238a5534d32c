//! How much memory one input takes at its peak.

#[path = "../../../tests/heap/mod.rs"]
mod counting;

/// What no input may exceed.
const MOST: usize = 64 * 1024 * 1024;

/// Ends the program, which libFuzzer takes for a crash, if `work` takes too much.
pub fn check(name: &str, work: impl FnOnce()) {
    let ((), peak) = counting::peak(work);
    if peak > MOST {
        eprintln!("{name}: one input took {} KiB", peak / 1024);
        std::process::abort();
    }
}
