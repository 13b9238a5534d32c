//! Room: pki.
