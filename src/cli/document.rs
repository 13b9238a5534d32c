//! The commands about the machine document itself.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde_json::json;

use super::parse::Words;
use super::run::{output, print, root, secrets};
use crate::config::machine::{Content, Encryption, Etcd, Role};
use crate::config::sensitive::Sensitive;
use crate::config::{self, Machine, schema};
use crate::exit::{Exit, WithExit, fail};
use crate::metadata::convert::{self, FORMS, Form};
use crate::metadata::{self, Fetched, HOSTNAME, Outcome};
use crate::node::files::{self, PRIVATE};
use crate::render::{directory, emit};
use crate::report::{Output, Reporter};

/// Reads the document from its source and keeps it.
pub fn fetch(words: &Words) -> Result<()> {
    let root = root(words);
    let target = words.path("target").unwrap_or_else(|| root.clone());
    let request = metadata::Request {
        config: words.path("config"),
        platform: words.text("platform")?.map(str::to_owned),
        refetch: words.has("refetch"),
        offline: words.has("offline"),
        ..metadata::Request::new(root, target)
    };
    if words.has("print") {
        return show(&request, output(words)?);
    }
    let mut reporter = Reporter::new("fetch", output(words)?, None);
    reporter.stage("fetch");
    match metadata::fetch(&request)? {
        Outcome::Found(fetched) => report(&mut reporter, &fetched),
        Outcome::Nothing(why) => reporter.line(format!("no machine document: {why}")),
        Outcome::NeedsNetwork(what) => reporter.line(format!("{what} needs the network first")),
    }
    Ok(())
}

fn report(reporter: &mut Reporter, fetched: &Fetched) {
    warn(fetched);
    let boot = match fetched.first_boot {
        true => "first boot",
        false => "later boot",
    };
    let carried = match fetched.carried.len() {
        0 => String::new(),
        count => format!(" · {count} more files of its envelope written"),
    };
    reporter.line(format!(
        "{} · cluster {} · document from {} ({boot}){carried}",
        fetched.machine.node.name, fetched.machine.cluster.name, fetched.origin
    ));
}

/// Prints the document as fetch would find it, without its secrets, and writes nothing.
fn show(request: &metadata::Request, output: Output) -> Result<()> {
    let fetched = match metadata::look(request)? {
        Outcome::Found(fetched) => fetched,
        Outcome::Nothing(why) => return Err(fail(Exit::NotFound, anyhow!(why))),
        Outcome::NeedsNetwork(what) => {
            return Err(fail(Exit::NotFound, anyhow!("{what} needs the network")));
        }
    };
    warn(&fetched);
    let document = config::masked(fetched.text.expose()).exit(Exit::Invalid)?;
    let carried = &fetched.carried;
    let text = match output {
        Output::Json => {
            format!(
                "{}\n",
                json!({"origin": fetched.origin, "carried": carried, "document": document})
            )
        }
        Output::Text => {
            let mut comment = format!("from {}", fetched.origin);
            for path in carried {
                comment.push_str(&format!("\nwith {path}"));
            }
            String::from_utf8_lossy(&emit::text(&comment, &document)).into_owned()
        }
    };
    print(&text)
}

/// Prints the JSON Schema of the document.
pub fn print_schema() -> Result<()> {
    print(&format!("{:#}\n", schema::schema()))
}

/// Wraps a document for a platform's tools.
pub fn convert(words: &Words) -> Result<()> {
    let form = form(words.text("to")?)?;
    let fetched = metadata::document(Path::new(words.argument()?))?;
    warn(&fetched);
    let hostname = fetched.hostname.iter().map(|_| HOSTNAME);
    let left: Vec<_> = hostname
        .chain(fetched.carried.iter().map(String::as_str))
        .collect();
    if !left.is_empty() {
        let left = left.join(", ");
        log::warn!("only the machine document is wrapped; left out: {left}");
    }
    let folder = words.path("output-dir");
    if form == Form::NoCloud && folder.is_none() {
        let error = anyhow!("a NoCloud disk has two files: give --output-dir DIR");
        return Err(fail(Exit::Usage, error));
    }
    let files = convert::wrap(form, fetched.text.expose(), &fetched.machine.node.name)?;
    for (name, bytes) in files {
        if name == "user-data" {
            let sentences = convert::too_large_for(bytes.len());
            sentences
                .iter()
                .for_each(|sentence| log::warn!("{sentence}"));
        }
        match &folder {
            // It may hold secrets, whoever carries it on.
            Some(folder) => files::write(&folder.join(name), &bytes, PRIVATE).map(drop)?,
            None => print(std::str::from_utf8(&bytes).context("cannot print it")?)?,
        }
    }
    Ok(())
}

fn form(name: Option<&str>) -> Result<Form> {
    let found = FORMS.iter().find(|(form, _)| Some(*form) == name);
    found
        .map(|(_, form)| *form)
        .with_context(|| format!("--to is one of {}", FORMS.map(|(name, _)| name).join(", ")))
        .exit(Exit::Usage)
}

fn warn(fetched: &Fetched) {
    for warning in &fetched.warnings {
        log::warn!("{}: {warning}", fetched.origin);
    }
}

/// Renders in memory, so that a patch without a target or a broken manifest is found here too. What lies
/// elsewhere (secrets by reference, manifests in files) belongs to the node that renders and is not
/// opened; something made for the purpose stands in for it, as far as there can be such a thing.
fn rehearse(machine: &Machine) -> Result<()> {
    let mut machine = machine.clone();
    let is_elsewhere = |secret: &mut Sensitive| !matches!(secret, Sensitive::Inline(_));
    let for_others = match &mut machine.etcd {
        Etcd::External(etcd) => is_elsewhere(&mut etcd.key),
        Etcd::Local => false,
    };
    if machine.role == Role::Worker || for_others {
        return Ok(());
    }
    let authority = &mut machine.certificates.authority;
    authority.take_if(|authority| authority.key.as_mut().is_none_or(is_elsewhere));
    machine.cluster.service_account_key.take_if(is_elsewhere);
    machine.join.token.take_if(is_elsewhere);
    if let Encryption::Secretbox(key) = &mut machine.encryption {
        key.take_if(is_elsewhere);
    }
    machine
        .manifests
        .retain(|manifest| matches!(manifest.content, Content::Inline(_)));
    let given = secrets(&machine, Path::new("/"))?;
    let rendered = directory::rehearse(&machine, &given);
    // Nothing but the document can be the cause here, whatever the code of the same error elsewhere.
    rendered.map_err(|error| fail(Exit::Invalid, anyhow!("{error:#}")))
}

/// Checks a document that a person gives.
pub fn validate(words: &Words) -> Result<()> {
    let fetched = metadata::document(Path::new(words.argument()?))?;
    warn(&fetched);
    rehearse(&fetched.machine)?;
    let mut reporter = Reporter::new("validate", output(words)?, None);
    reporter.stage("validate");
    reporter.line(format!(
        "valid: {} of cluster {}",
        fetched.machine.node.name, fetched.machine.cluster.name
    ));
    Ok(())
}
