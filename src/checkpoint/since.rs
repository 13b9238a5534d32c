//! For how long something has been so.

use std::time::{Duration, Instant};

/// A value, and when it became that one.
#[derive(Clone, Copy, Debug)]
pub struct Since<T> {
    value: T,
    at: Instant,
}

impl<T: PartialEq + Copy> Since<T> {
    /// `value` from now on.
    pub fn new(value: T) -> Self {
        let at = Instant::now();
        Self { value, at }
    }

    /// What it is now; the clock begins anew only if that is something else.
    pub fn set(&mut self, value: T) {
        if self.value != value {
            *self = Self::new(value);
        }
    }

    /// The value and its age.
    pub fn get(&self) -> (T, Duration) {
        (self.value, self.at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_begins_anew_with_another_value() {
        let mut since = Since::new(1);
        let begun = since.at;
        since.set(1);
        assert_eq!(since.at, begun);
        since.set(2);
        assert!(since.at >= begun && since.get().0 == 2);
    }
}
