//! libFuzzer over every parser that sees bytes from outside the machine.
//!
//! One program for all targets, because linking one a target would take longer than running them; the
//! environment says which. A target may refuse any input and must not panic; and no input may make it
//! take more than 64 MiB, which is counted here rather than left to the fuzzer's own limit, because
//! that one also counts the fuzzer.

#![no_main]

mod heap;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

use targets::Target;

/// Names the target; without it, the names there are are printed.
const CHOICE: &str = "SLIPWAY_FUZZ";

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(
    init: choose(),
    |input: &[u8]| {
        if let Some(target) = TARGET.get() {
            heap::check(target.name, || (target.run)(input));
        }
    }
);

fn choose() {
    let wanted = std::env::var(CHOICE).unwrap_or_default();
    match targets::ALL.iter().find(|target| target.name == wanted) {
        Some(target) => {
            TARGET.get_or_init(|| target);
        }
        None => {
            for target in targets::ALL {
                println!("{}", target.name);
            }
            std::process::exit(0);
        }
    }
}
