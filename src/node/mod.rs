//! This host: files, processes, the service manager, the kernel's log.

pub mod files;
