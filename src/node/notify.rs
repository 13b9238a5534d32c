//! The service manager's readiness protocol; nothing happens where no manager listens.

use std::time::Duration;

use sd_notify::NotifyState;

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("cannot notify the service manager: {error}");
    }
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// The unit is up.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// Asks for `more` time from now on before the start counts as failed.
pub fn extend(more: Duration) {
    send(&[NotifyState::ExtendTimeoutUsec(
        u32::try_from(more.as_micros()).unwrap_or(u32::MAX),
    )]);
}
