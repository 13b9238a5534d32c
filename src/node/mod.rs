//! This host: files, processes, the service manager, the kernel's log.

pub mod boot;
pub mod files;
pub mod kmsg;
pub mod notify;
pub mod podlog;
pub mod processes;
pub mod tree;
