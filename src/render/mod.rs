//! Machine + secrets -> assets.

pub mod images;
