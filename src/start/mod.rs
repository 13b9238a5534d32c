//! Room: start.
