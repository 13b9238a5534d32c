//! The three steps from one authority to the next, as a function of what lies beside the first.

use anyhow::{Result, anyhow};

use super::authority::{Document, Generation, as_document, begin};
use super::inventory::date;
use super::round::Round;
use super::table::{CA, NEXT, PREVIOUS, Wanted};
use crate::exit::{Exit, fail};

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new authority, trusted beside the old one, which still signs.
    Trust,
    /// The new one signs; every leaf is issued anew. Both are trusted.
    Reissue,
    /// The old one is trusted no more.
    Drop,
}

/// The command of a step, as messages name it.
pub fn command(step: Step) -> &'static str {
    match step {
        Step::Trust => "slipway certs rotate trust",
        Step::Reissue => "slipway certs rotate reissue",
        Step::Drop => "slipway certs rotate drop",
    }
}

/// What signs, and what is trusted beside it, by its name.
pub type Turn = (Generation, Option<(&'static str, Generation)>);

/// The first step.
pub fn trust(
    round: &mut Round<'_>,
    wanted: &Wanted,
    current: Generation,
    document: Option<Document>,
) -> Result<Turn> {
    if document
        .as_ref()
        .is_some_and(|document| document.chain == current.chain)
    {
        return refuse(
            "certificates.authority is still the one that signs now; write the new one in its place, then \
             run this step again",
        );
    }
    let mut wanted = wanted.clone();
    // Two of one name can be told apart by their keys only, which people cannot and some verifiers do not.
    wanted.common_name += &format!(" {}", date(round.task.now)?);
    let next = begin(round, &wanted, document)?;
    round.note(NEXT, "a rotation begins");
    Ok((current, Some((NEXT, next))))
}

/// The steps after the first, the first one again, or none.
pub fn advance(
    round: &mut Round<'_>,
    step: Option<Step>,
    current: Generation,
    other: Option<(&'static str, Generation)>,
    document: Option<Document>,
) -> Result<Turn> {
    match (step, other) {
        (Some(Step::Trust), Some((PREVIOUS, _))) => {
            refuse_step("the last rotation is not over", Step::Drop)
        }
        (Some(Step::Reissue), None) => refuse_step("no new authority is trusted yet", Step::Trust),
        (Some(Step::Drop), Some((NEXT, _))) => {
            refuse_step("the new authority does not sign yet", Step::Reissue)
        }
        (Some(Step::Reissue), Some((NEXT, next))) => {
            let next = as_document(round, next, document)?;
            round.note(CA, "it signs from now on");
            let mut previous = current;
            previous.key = None;
            Ok((next, Some((PREVIOUS, previous))))
        }
        (Some(Step::Drop), _) => Ok((as_document(round, current, document)?, None)),
        (_, Some((NEXT, next))) => Ok((current, Some((NEXT, as_document(round, next, document)?)))),
        (_, other) => Ok((as_document(round, current, document)?, other)),
    }
}

pub fn refuse<T>(why: &str) -> Result<T> {
    Err(fail(Exit::Refused, anyhow!("{why}")))
}

/// As [`refuse`], and names the step that is to be done instead.
pub fn refuse_step<T>(why: &str, step: Step) -> Result<T> {
    refuse(&format!("{why}; the next step is `{}`", command(step)))
}
