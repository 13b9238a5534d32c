//! A text that is given out character by character, as far as it is paid for.
//!
//! yaml-rust2 keeps every token of a flow collection (`[a, b]`) until it knows whether the whole is
//! a mapping's key: 4 MiB of `[a,a,a` would take half a gigabyte. A token costs at least one of
//! the characters that YAML gives a meaning, and so those are what the parser may have only so many
//! of for one event.

use std::cell::Cell;
use std::str::Chars;

/// Characters that can begin or end a token within a flow collection.
const INDICATORS: &str = "[]{},:\"'?!&*#";
/// What one event may cost; some 300 bytes each.
const ALLOWANCE: usize = 64 * 1024;

/// What may still be given out.
#[derive(Debug, Default)]
pub struct Purse {
    left: Cell<usize>,
    empty: Cell<bool>,
}

impl Purse {
    /// Fills it up for the next event.
    pub fn fill(&self) {
        self.left.set(ALLOWANCE);
    }

    /// Fills it for an event that is known to be a single scalar.
    pub fn fill_for_scalar(&self) {
        self.left.set(usize::MAX);
    }

    /// Whether it was ever empty when something was asked for; the text then ended too early.
    pub fn was_empty(&self) -> bool {
        self.empty.get()
    }

    fn pay(&self) -> Option<()> {
        let left = self.left.get().checked_sub(1);
        self.empty.set(self.empty.get() || left.is_none());
        self.left.set(left?);
        Some(())
    }
}

/// The text.
#[derive(Debug)]
pub struct Meter<'t> {
    chars: Chars<'t>,
    purse: std::rc::Rc<Purse>,
}

impl<'t> Meter<'t> {
    /// Gives out `text` as far as `purse` pays.
    pub fn new(text: &'t str, purse: std::rc::Rc<Purse>) -> Self {
        Self {
            chars: text.chars(),
            purse,
        }
    }
}

impl Iterator for Meter<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let next = self.chars.next()?;
        if next.is_ascii_punctuation() && INDICATORS.contains(next) {
            self.purse.pay()?;
        }
        Some(next)
    }
}
