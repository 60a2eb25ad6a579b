//! What a migration has settled: its resume record in the control database.

use serde::{Deserialize, Serialize};
use switchback_proto::{
    v1::{MigrateReport, OperationError, Phase, Plan},
    words::Word,
};

use crate::{
    dialect::schema::SourceSchema,
    error::{Error, Reason, Result},
};

/// Everything that a restart needs to go on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Journal {
    /// The phase whose work is next to do, as a word.
    phase: String,
    /// The plan, once made; it is never made again.
    pub(super) plan: Option<Plan>,
    /// Number of switches before.
    #[serde(default)]
    pub(super) epoch: u64,
    /// The source's schema that it was made from.
    pub(super) schema: Option<SourceSchema>,
    /// What the report says so far.
    pub(super) report: MigrateReport,
    /// Why the migration is being undone.
    pub(super) failure: Option<OperationError>,
}

impl Journal {
    /// Reads a record; an empty one is a migration that has not begun.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self { phase: Phase::Idle.word(), ..Self::default() });
        }
        serde_json::from_str(text).map_err(|error| {
            Error::new(Reason::StateUnusable, "the resume record of the migration is broken")
                .hint("it was written by another version of the server: use that version")
                .caused_by(error)
        })
    }

    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::new(Reason::Internal, "the resume record has no JSON form").caused_by(error)
        })
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::from_word(&self.phase).unwrap_or_default()
    }

    pub(super) fn set_phase(&mut self, phase: Phase) {
        self.phase = phase.word();
    }

    pub(super) fn plan(&self) -> Result<&Plan> {
        self.plan.as_ref().ok_or_else(lost)
    }

    pub(super) fn schema(&self) -> Result<&SourceSchema> {
        self.schema.as_ref().ok_or_else(lost)
    }
}

fn lost() -> Error {
    Error::new(Reason::Internal, "the resume record has no plan")
}
