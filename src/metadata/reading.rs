//! From a request to an opened envelope: which source, whether a kept document wins over it, and what
//! it means if there is nothing. Reads only; what is read is kept elsewhere.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::deadline::Deadline;
use super::envelope::{self, Delivery, NeedsNetwork, Remote};
use super::platform::{self, Network, Platform, Wipe};
use super::settings::Settings;
use super::source::{Answer, Context, detect, file};
use super::{Fetched, KEPT, Outcome, Request, remote};
use crate::config;
use crate::config::machine::Timeouts;
use crate::exit::{Exit, WithExit, fail};
use crate::node::files::{self, below};

/// What a source gave, opened but not yet judged.
pub struct Reading {
    /// Where it was, for people.
    pub origin: String,
    first_boot: bool,
    /// What it gave.
    pub delivery: Delivery,
    /// See [`Platform`].
    pub wipe: Option<Wipe>,
}

impl Reading {
    /// Takes the envelope off.
    pub fn open(origin: &str, bytes: &[u8], remote: &dyn Remote) -> Result<Self> {
        let delivery = envelope::open(bytes, remote)
            .with_context(|| format!("cannot use what {origin} holds"))?;
        Ok(Self {
            origin: origin.to_owned(),
            first_boot: true,
            delivery,
            wipe: None,
        })
    }

    /// Reads the document.
    ///
    /// # Errors
    /// [`Exit::Invalid`] with all its problems.
    pub fn judge(&self) -> Result<Fetched> {
        let origin = &self.origin;
        let machine = config::parse(self.delivery.document.expose())
            .map_err(|problems| anyhow!("the machine document is invalid ({origin}):\n{problems}"))
            .exit(Exit::Invalid)?;
        let entries = self.delivery.entries.iter();
        Ok(Fetched {
            origin: origin.clone(),
            first_boot: self.first_boot,
            machine,
            text: self.delivery.document.clone(),
            carried: entries.map(|entry| entry.path.clone()).collect(),
            warnings: self.delivery.warnings.clone(),
        })
    }
}

/// Finds the document: the kept one, else its source's.
pub fn read(request: &Request) -> Result<Outcome<Reading>> {
    let settings = settings(request)?;
    for key in &settings.unknown {
        log::warn!("the kernel command line's {key} means nothing to slipway; is it misspelt?");
    }
    let kept = files::read_if_there(&below(&request.target, KEPT))?;
    let first_boot = kept.is_none();
    let mut limit = Timeouts::default().source;
    if let Some(bytes) = kept {
        if !request.refetch && !settings.refetch {
            return Ok(Outcome::Found(kept_document(request, bytes)));
        }
        limit = config::parse(&bytes).map_or(limit, |machine| machine.timeouts.source);
    }
    let context = context(request, &settings, limit);
    let remote = remote::Remote::new(&context);
    let sourced = source(request, &context)?;
    if let Outcome::Nothing(why) = &sourced
        && !settings.optional
    {
        return Err(fail(Exit::NotFound, anyhow!(why.clone())));
    }
    sourced.and_then(|found| {
        let origin = &found.origin;
        match Reading::open(origin, &found.bytes, &remote) {
            Err(error) if needs_network(&error) => {
                Ok(Outcome::NeedsNetwork(format!("what {origin} holds")))
            }
            opened => Ok(Outcome::Found(Reading {
                first_boot,
                wipe: found.wipe,
                ..opened?
            })),
        }
    })
}

fn needs_network(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| cause.downcast_ref::<NeedsNetwork>().is_some())
}

fn kept_document(request: &Request, bytes: Vec<u8>) -> Reading {
    if let Some(config) = &request.config {
        let config = config.display();
        log::warn!("{KEPT} is kept from an earlier boot and wins over {config}; see --refetch");
    }
    Reading {
        origin: format!("kept document {KEPT}"),
        first_boot: false,
        delivery: Delivery::of(bytes),
        wipe: None,
    }
}

/// What the kernel command line says.
fn settings(request: &Request) -> Result<Settings> {
    let line = files::read_if_there(&below(&request.root, "/proc/cmdline"))?.unwrap_or_default();
    Settings::parse(&String::from_utf8_lossy(&line))
}

/// What sources may look at. `limit` is the kept document's own word on how long its source may take.
fn context<'a>(request: &'a Request, settings: &'a Settings, limit: Duration) -> Context<'a> {
    let limit = settings.timeout.unwrap_or(limit);
    Context {
        root: &request.root,
        target: &request.target,
        settings,
        deadline: Deadline::after(limit),
        online: !request.offline,
        link_local: &request.link_local,
    }
}

/// What a source gave.
pub struct Sourced {
    /// Where it was, for people.
    origin: String,
    /// As they were there.
    pub bytes: Vec<u8>,
    wipe: Option<Wipe>,
}

fn source(request: &Request, context: &Context<'_>) -> Result<Outcome<Sourced>> {
    if let Some(path) = &request.config {
        return Ok(Outcome::Found(Sourced {
            origin: file::origin(path),
            bytes: file::read(path)?,
            wipe: None,
        }));
    }
    let named = request.platform.as_deref();
    let settings = context.settings;
    let config = settings.config.as_deref();
    let platform = match named.or(settings.platform.as_deref()) {
        Some(detect::AUTO) => match detect::platform(context) {
            Ok(name) => platform::choose(Some(name), config)?,
            Err(why) => return Ok(Outcome::Nothing(why)),
        },
        name => platform::choose(name, config)?,
    };
    ask(platform, context)
}

/// Asks the source of one platform.
pub fn ask(platform: &Platform, context: &Context<'_>) -> Result<Outcome<Sourced>> {
    let later = || Outcome::NeedsNetwork(format!("platform {}", platform.name));
    if platform.network == Network::Always && !context.online {
        return Ok(later());
    }
    Ok(match (platform.read)(context)? {
        // An empty one is how some platforms say that there is none.
        Answer::Document { bytes, from } if bytes.trim_ascii().is_empty() => {
            Outcome::Nothing(format!("the document from {from} is empty"))
        }
        Answer::Document { bytes, from } => Outcome::Found(Sourced {
            origin: from,
            bytes,
            wipe: platform.wipe,
        }),
        Answer::Nothing(why) => Outcome::Nothing(why),
        Answer::Online => later(),
    })
}
