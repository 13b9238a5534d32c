//! From a request to an opened envelope: which source, whether a kept document wins over it, and what
//! it means if there is nothing. Reads only; what is read is kept elsewhere.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::deadline::Deadline;
use super::envelope::{self, Delivery, NeedsNetwork, NoDocument, Remote, verify};
use super::place::judge_names;
use super::platform::{self, Network, Platform};
use super::settings::Settings;
use super::source::{Answer, Context, detect, file};
use super::{Fetched, KEPT, KEPT_HOSTNAME, Outcome, Request, TO_SCRUB, remote};
use crate::config;
use crate::config::machine::Timeouts;
use crate::exit::{Exit, WithExit, caused_by, exit_of, fail};
use crate::node::files::{self, below};

/// What a source gave, opened but not yet judged.
pub struct Reading {
    /// Where it was, for people.
    pub origin: String,
    /// Whether nothing was kept before.
    pub first_boot: bool,
    /// What it gave.
    pub delivery: Delivery,
    /// From where the document is to be taken away once it is kept.
    pub scrub: Option<&'static Platform>,
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
            scrub: None,
        })
    }

    /// Reads the document, and looks at the names of what came with it: as much as can be told without
    /// the machine that it is for.
    ///
    /// # Errors
    /// [`Exit::Invalid`] with all its problems.
    pub fn judge(&self) -> Result<Fetched> {
        let origin = &self.origin;
        judge_names(&self.delivery.entries)
            .with_context(|| format!("cannot use what {origin} holds"))?;
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
            hostname: self.delivery.hostname.clone(),
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
    if let Some(bytes) = &kept {
        if !request.refetch && !settings.refetch {
            if let Some(config) = &request.config {
                let config = config.display();
                log::warn!(
                    "{KEPT} is kept from an earlier boot and wins over {config}; see --refetch"
                );
            }
            return kept_document(request, bytes).map(Outcome::Found);
        }
        limit = config::parse(bytes).map_or(limit, |machine| machine.timeouts.source);
    }
    let fresh = fresh(request, &context(request, &settings, limit), first_boot);
    // A boot goes on with what it has; a person who asks for the source wants an answer.
    if let (Some(bytes), false, Some(why)) = (kept, request.refetch, absent(&fresh)) {
        log::warn!("{why}; the document kept from an earlier boot stays");
        return kept_document(request, &bytes).map(Outcome::Found);
    }
    match fresh? {
        Outcome::Nothing(why) if !settings.optional => Err(fail(Exit::NotFound, anyhow!(why))),
        outcome => Ok(outcome),
    }
}

/// What the source gives, its envelope taken off.
fn fresh(request: &Request, context: &Context<'_>, first_boot: bool) -> Result<Outcome<Reading>> {
    let remote = remote::Remote::new(context);
    source(request, context)?.and_then(|found| {
        let origin = &found.origin;
        match Reading::open(origin, &found.bytes, &remote) {
            Err(error) if caused_by::<NeedsNetwork>(&error) => {
                Ok(Outcome::NeedsNetwork(format!("what {origin} holds")))
            }
            Err(error) if context.settings.optional && caused_by::<NoDocument>(&error) => {
                Ok(Outcome::Nothing(format!("{error:#}")))
            }
            opened => Ok(Outcome::Found(Reading {
                first_boot,
                scrub: found.scrub,
                ..opened?
            })),
        }
    })
}

/// Why there is no document, if it is that and no mistake of the document's author.
fn absent(fresh: &Result<Outcome<Reading>>) -> Option<String> {
    match fresh {
        Ok(Outcome::Nothing(why)) => Some(why.clone()),
        Err(error) if exit_of(error) == Exit::NotFound => Some(format!("{error:#}")),
        _ => None,
    }
}

fn kept_document(request: &Request, bytes: &[u8]) -> Result<Reading> {
    let text = |path| -> Result<Option<String>> {
        let bytes = files::read_if_there(&below(&request.target, path))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes.trim_ascii()).into_owned()))
    };
    let owed = text(TO_SCRUB)?;
    Ok(Reading {
        origin: format!("kept document {KEPT}"),
        first_boot: false,
        delivery: Delivery {
            hostname: text(KEPT_HOSTNAME)?,
            ..Delivery::of(bytes)
        },
        scrub: owed.and_then(|name| platform::choose(Some(&name), None).ok()),
    })
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
    pub origin: String,
    /// As they were there.
    pub bytes: Vec<u8>,
    scrub: Option<&'static Platform>,
}

fn source(request: &Request, context: &Context<'_>) -> Result<Outcome<Sourced>> {
    if let Some(path) = &request.config {
        return Ok(Outcome::Found(Sourced {
            origin: file::origin(path),
            bytes: file::read(path)?,
            scrub: None,
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

/// Asks the source of one platform. Wherever the kernel command line gives a hash, it counts.
pub fn ask(platform: &'static Platform, context: &Context<'_>) -> Result<Outcome<Sourced>> {
    if platform.network == Network::Always && !context.online {
        return settle(platform, context, Answer::Online);
    }
    settle(platform, context, (platform.read)(context)?)
}

/// What a platform's answer comes to.
pub fn settle(
    platform: &'static Platform,
    context: &Context<'_>,
    answer: Answer,
) -> Result<Outcome<Sourced>> {
    if let (Answer::Document { bytes, from }, Some(hash)) = (&answer, &context.settings.hash) {
        verify::verify(bytes, hash).with_context(|| format!("{from} gives another document"))?;
    }
    Ok(match answer {
        // An empty one is how some platforms say that there is none.
        Answer::Document { bytes, from } if bytes.trim_ascii().is_empty() => {
            Outcome::Nothing(format!("the document from {from} is empty"))
        }
        Answer::Document { bytes, from } => Outcome::Found(Sourced {
            origin: from,
            bytes,
            scrub: platform.wipe.map(|_| platform),
        }),
        Answer::Nothing(why) => Outcome::Nothing(why),
        Answer::Online => Outcome::NeedsNetwork(format!("platform {}", platform.name)),
    })
}
