//! Google Compute Engine: the instance attribute `user-data` (Compute Engine documentation, "View
//! and query VM metadata").
//!
//! Google's service names itself in every reply, so that no other one on the same address is taken
//! for it. Attributes are text: what is none can be given as base64, which a second attribute says,
//! as cloud-init has it.

use anyhow::{Result, anyhow};
use ureq::http::Method;

use super::service::{Meaning, Service, decoded, usual};
use super::{Answer, Context};
use crate::exit::{Exit, fail};
use crate::metadata::deadline::Failed;

const USER_DATA: &str = "user-data";
const ENCODING: &str = "user-data-encoding";
/// In requests, against being asked by accident; in replies, because it is Google's.
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

/// Asks for the attribute, and how it is encoded.
///
/// # Errors
/// [`Exit::Invalid`] for an encoding that is not base64; else as [`Service::until`].
pub fn read(context: &Context<'_>) -> Result<Answer> {
    let service = Service::new("GCE", context);
    let Some(data) = service.until(|| attribute(&service, USER_DATA))? else {
        return Ok(service.answer(None));
    };
    let encoding = service.until(|| attribute(&service, ENCODING))?;
    let data = match encoding.as_deref().map(<[u8]>::trim_ascii) {
        None | Some(b"") => data,
        Some(b"base64") => decoded(&data, "the attribute user-data")?,
        Some(_) => {
            let error = anyhow!("the attribute {ENCODING} may only be base64; change or remove it");
            return Err(fail(Exit::Invalid, error));
        }
    };
    Ok(service.answer(Some(data)))
}

fn attribute(service: &Service<'_>, name: &str) -> Result<Option<Vec<u8>>, Failed> {
    let path = format!("/computeMetadata/v1/instance/attributes/{name}");
    let reply = service.ask(Method::GET, &path, &[FLAVOR])?;
    let meaning = usual(&reply);
    let settled = matches!(meaning, Meaning::Found | Meaning::Absent);
    if settled && reply.header(FLAVOR.0) != FLAVOR.1 {
        return Err(Failed::Finally(anyhow!(
            "what answers at {} is not Google's metadata service; is this machine on GCE?",
            super::LINK_LOCAL
        )));
    }
    service.judge(reply, &format!("the attribute {name}"), meaning)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::super::testing::server::{Server, answer};
    use super::*;
    use crate::exit::exit_of;
    use std::time::Duration;

    /// A service with these attributes, which names itself as `flavor`.
    fn ask(flavor: &'static str, attributes: &'static [(&str, &str)]) -> Result<Answer> {
        let server = Server::start(move |request| {
            let name = request.path.rsplit('/').next().unwrap();
            let mut attributes = attributes.iter();
            let headers = [("Metadata-Flavor", flavor)];
            match attributes.find(|(attribute, _)| *attribute == name) {
                Some((_, value)) => answer(200, &headers, value),
                None => answer(404, &headers, ""),
            }
        });
        let mut machine = Machine::new("", Duration::from_secs(60));
        machine.link_local = server.url("");
        read(&machine.context())
    }

    #[test]
    fn the_encoding_is_honoured() {
        let cases: [(&[(&str, &str)], &str); 3] = [
            (&[("user-data", "kind: M")], "kind: M"),
            (
                &[("user-data", "a2luZ\nDogTQ==\n"), (ENCODING, "base64\n")],
                "kind: M",
            ),
            (
                &[("user-data", "a2luZDogTQ=="), (ENCODING, "")],
                "a2luZDogTQ==",
            ),
        ];
        for (attributes, want) in cases {
            let want = Answer::document(want, "GCE user data");
            assert_eq!(ask("Google", attributes).unwrap(), want);
        }
        assert!(matches!(ask("Google", &[]).unwrap(), Answer::Nothing(_)));
    }

    #[test]
    fn what_is_encoded_otherwise_is_refused_and_not_repeated() {
        let cases: [(&[(&str, &str)], &str); 2] = [
            (
                &[("user-data", "hunter2!"), (ENCODING, "base64")],
                "user-data is not base64",
            ),
            (
                &[("user-data", "x"), (ENCODING, "hunter2")],
                "user-data-encoding may only be base64",
            ),
        ];
        for (attributes, want) in cases {
            let error = ask("Google", attributes).unwrap_err();
            let text = format!("{error:#}");
            assert_eq!(exit_of(&error), Exit::Invalid);
            assert!(text.contains(want) && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn another_service_is_not_believed() {
        for attributes in [&[("user-data", "kind: M")][..], &[]] {
            let error = ask("Other", attributes).unwrap_err();
            assert_eq!(exit_of(&error), Exit::NotFound);
            assert!(error.to_string().contains("not Google's"), "{error}");
        }
    }
}
