//! A document at an https URL that the kernel command line gives, `slipway.config=`.
//!
//! Whoever can answer at that URL would own the machine, so the address alone is not enough: the
//! command line also says what the bytes have to be, as they come. Whoever asks a source checks that.

use anyhow::{Result, anyhow};

use super::{Answer, Context, MAX_BYTES, seed};
use crate::exit::{Exit, fail};
use crate::metadata::envelope::Remote as _;
use crate::metadata::http::shown;
use crate::metadata::remote::Remote;

/// What such a value begins with.
pub const HTTPS: &str = "https://";

/// Fetches it, if the command line also gives its hash.
///
/// # Errors
/// [`Exit::Usage`] if the URL or its hash is missing, or it holds a password; else as [`Remote::get`](crate::metadata::envelope::Remote::get).
pub fn read(context: &Context<'_>) -> Result<Answer> {
    let usage = |text: &str| fail(Exit::Usage, anyhow!("{text} on the kernel command line"));
    let settings = context.settings;
    let url = settings
        .config
        .as_deref()
        .filter(|url| url.starts_with(HTTPS))
        .ok_or_else(|| usage("platform url needs slipway.config=https://..."))?;
    if seed::has_user(url) {
        let text = "slipway.config= must not hold a user's name or password, which all may read";
        return Err(usage(text));
    }
    if settings.hash.is_none() {
        let text =
            "slipway.config= with a URL needs slipway.config.hash=sha256-HEX (or sha512-HEX)";
        return Err(usage(text));
    }
    let bytes = Remote::new(context).get(url, &[], &[], MAX_BYTES)?;
    Ok(Answer::document(bytes, shown(url)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::super::testing::server::{Server, answer};
    use super::*;
    use crate::exit::exit_of;
    use crate::metadata::{Outcome, platform, reading};
    use crate::tls::testing::Authority;
    use std::time::Duration;

    /// Of `kind: Machine`.
    const HASH: &str = "sha256-b019b410b95bd72d261faf6e1da0634a28febe3f09d115f449b6b40646612cf1";

    fn ask(hash: &str) -> (Server, Result<Vec<u8>>) {
        let authority = Authority::new();
        let settings = authority.open_server("127.0.0.1");
        let server = Server::tls(settings, |_| answer(200, &[], "kind: Machine"));
        let url = server.url("/m.yaml?key=hunter2");
        let line = format!("slipway.config={url} slipway.config.hash={hash}");
        let machine = Machine::new(&line, Duration::from_secs(60));
        machine.put("/etc/ssl/cert.pem", authority.pem());
        let platform = platform::choose(Some("url"), None).unwrap();
        let asked = reading::ask(platform, &machine.context());
        let bytes = asked.map(|outcome| match outcome {
            Outcome::Found(sourced) => sourced.bytes,
            _ => panic!("there is a document"),
        });
        (server, bytes)
    }

    #[test]
    fn only_what_was_hashed_is_taken() {
        assert_eq!(ask(HASH).1.unwrap(), b"kind: Machine");

        let other = HASH.replace('0', "1");
        let error = ask(&other).1.unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        let text = format!("{error:#}");
        assert!(text.contains("/m.yaml gives another document: "), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn both_arguments_are_needed() {
        let (server, got) = ask("");
        let error = got.unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        let text = error.to_string();
        assert!(
            text.contains("needs slipway.config.hash=sha256-HEX"),
            "{text}"
        );
        assert_eq!(server.requests(), [], "nothing is fetched in vain");
        for line in [
            "",
            "slipway.config=http://a/b",
            "slipway.config=/etc/m.yaml",
            "slipway.config=https://me:hunter2@a/b",
        ] {
            let line = &format!("{line} slipway.config.hash={HASH}");
            let machine = Machine::new(line, Duration::ZERO);
            let error = read(&machine.context()).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Usage, "{line}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
