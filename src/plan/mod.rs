//! What a command would change, before it does: of the asset directory here, of a cluster in [`live`].
//!
//! A plan is a rendering that stops before its first write, so it cannot differ from what render does;
//! only keys and certificates that would be new are others each time.

mod diff;
pub mod live;
mod mask;

use serde_json::{Value, json};

use crate::pki::INVENTORY;
use crate::render::directory::{Change, Planned, What};

/// One file that render would change or leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Which file, and what would happen to it.
    pub change: Change,
    /// Why a certificate or key would be a new one.
    pub reason: Option<String>,
    /// How its text would change, secrets masked; of a new tree there is nothing to compare.
    pub diff: String,
}

/// All files that are not simply as they were, by path.
pub fn files(planned: &Planned) -> Vec<File> {
    let is_new = planned.earlier.is_empty();
    let of = |change: &Change| File {
        reason: reason(planned, &change.path),
        diff: match is_new || change.path == INVENTORY || !shows(change.what) {
            true => String::new(),
            false => {
                let (old, new) = mask::pair(&change.path, &planned.earlier, &planned.rendered);
                diff::unified(&old, &new)
            }
        },
        change: change.clone(),
    };
    planned.merged.changes.iter().map(of).collect()
}

/// Whether a person wants to see the lines.
fn shows(what: What) -> bool {
    matches!(
        what,
        What::Added | What::Changed | What::Overwritten | What::KeptEdited
    )
}

fn reason(planned: &Planned, path: &str) -> Option<String> {
    let (name, _) = path.rsplit_once('.')?;
    let issued = planned.issued.iter().find(|issued| issued.name == name)?;
    Some(issued.reason.clone())
}

impl File {
    /// Whether something would be written or removed.
    pub fn is_difference(&self) -> bool {
        !matches!(self.change.what, What::KeptEdited | What::KeptForeign)
    }

    /// For a person: what happens, then how.
    pub fn text(&self) -> String {
        let Change { path, what } = &self.change;
        let mut out = match what {
            What::Added => format!("would add {path}"),
            What::Changed => format!("would change {path}"),
            What::Overwritten => format!("would overwrite the edited file {path}"),
            What::Removed => format!("would remove {path}"),
            What::Repaired => format!("would put back the permissions of {path}"),
            What::KeptEdited => {
                format!("would keep the edited file {path}; --overwrite replaces it")
            }
            What::KeptForeign => format!("would keep {path}, which slipway did not render"),
        };
        if let Some(reason) = &self.reason {
            out += &format!(": {reason}");
        }
        for line in self.diff.lines() {
            out += &format!("\n  {line}");
        }
        out + "\n"
    }

    /// For a program.
    pub fn json(&self) -> Value {
        let what = match self.change.what {
            What::Added => "add",
            What::Changed => "change",
            What::Overwritten => "overwrite",
            What::Removed => "remove",
            What::Repaired => "repair",
            What::KeptEdited => "keep-edited",
            What::KeptForeign => "keep-foreign",
        };
        json!({"path": self.change.path, "action": what, "reason": self.reason, "diff": self.diff})
    }
}

#[cfg(test)]
mod tests;
