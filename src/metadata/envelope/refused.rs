//! What is recognised so that it can be refused by its name.
//!
//! Most of it is made to be executed, or to fetch what is then executed. A machine that becomes a
//! control plane runs nothing that came with its metadata, so there is no switch to allow it.

use anyhow::Error;

use super::{DOCUMENT, invalid};

/// A format that is never opened.
#[derive(Debug)]
pub struct Refused {
    /// Completes "it is".
    name: &'static str,
    /// What to do instead.
    instead: &'static str,
    /// What its text begins with.
    prefix: &'static str,
}

const RUNS_NOTHING: &str = "slipway executes nothing";
const RENDER: &str = "give the finished text";
const ONE_BY_ONE: &str = "give a MIME message or one of its parts";
const FIRST_LINE: &str = "let the first line be exactly #cloud-config";
const FETCH: &str = "give what is there instead, or slipway.config=URL on the kernel command line";

/// The first that fits counts.
const ALL: [Refused; 10] = [
    refused("#!", "a script (#!)", RUNS_NOTHING),
    refused("## template: jinja", "a Jinja template", RENDER),
    refused("#include-once", "an #include-once list", FETCH),
    refused("#include", "an #include list", FETCH),
    refused("#cloud-boothook", "a #cloud-boothook", RUNS_NOTHING),
    refused(
        "#cloud-config-archive",
        "a #cloud-config-archive",
        ONE_BY_ONE,
    ),
    refused("#cloud-config-jsonp", "a #cloud-config-jsonp patch", RENDER),
    refused("#part-handler", "a #part-handler", RUNS_NOTHING),
    refused("#upstart-job", "an #upstart-job", RUNS_NOTHING),
    refused("#cloud-config", "almost a #cloud-config", FIRST_LINE),
];
const BUTANE: Refused = refused(
    "variant:",
    "a Butane config",
    "make an Ignition config of it with: butane --strict",
);

const fn refused(prefix: &'static str, name: &'static str, instead: &'static str) -> Refused {
    Refused {
        name,
        instead,
        prefix,
    }
}

impl Refused {
    /// What a text is, if it is one of these. A real `#cloud-config` must have been ruled out.
    pub fn find(text: &[u8]) -> Option<&'static Self> {
        let is = |format: &&Self| text.starts_with(format.prefix.as_bytes());
        let butane = || first_key(text).starts_with(BUTANE.prefix.as_bytes());
        ALL.iter().find(is).or_else(|| butane().then_some(&BUTANE))
    }

    /// The error that says so.
    pub fn error(&self) -> Error {
        let Self { name, instead, .. } = self;
        invalid(format!(
            "it is {name}, which is refused: {instead}; what slipway takes is the machine document, \
             or a #cloud-config or Ignition config that writes it to {DOCUMENT}"
        ))
    }
}

/// A YAML text from its first line on that is neither blank, a comment nor a document's start.
fn first_key(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        let line = line.trim_ascii();
        if !(line.is_empty() || line.starts_with(b"#") || line == b"---") {
            break;
        }
        rest = after;
    }
    rest
}
