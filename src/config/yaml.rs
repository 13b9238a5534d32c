//! The event parser's guard before serde_yaml.
