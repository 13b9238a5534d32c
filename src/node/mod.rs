//! This host: files, processes, the service manager, the kernel's log, its clock and its secrets.

pub mod boot;
pub mod clock;
pub mod cri;
pub mod disk;
pub mod files;
pub mod kmsg;
pub mod lock;
pub mod notify;
pub mod podlog;
pub mod processes;
pub mod resolver;
pub mod secrets;
pub mod selinux;
pub mod signals;
pub mod sockets;
pub mod static_pods;
pub mod steer;
pub mod tree;
pub mod units;
