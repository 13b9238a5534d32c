//! The VM tier.

use crate::scenario::Scenario;

/// Its scenarios, in the order they run.
pub const SCENARIOS: &[Scenario] = &[];
