//! Compiles `switchback/v1/*.proto` without a protoc on the machine.

use std::{env, fs, path::PathBuf};

use prost::Message;

const PROTOS: [&str; 6] = [
    "switchback/v1/common.proto",
    "switchback/v1/plan.proto",
    "switchback/v1/report.proto",
    "switchback/v1/operation.proto",
    "switchback/v1/diagnose.proto",
    "switchback/v1/database.proto",
];

/// Messages that people read and write as JSON: plans and reports.
const JSON: [&str; 42] = [
    "Plan",
    "TablePlan",
    "ColumnPlan",
    "IndexPlan",
    "ForeignKeyPlan",
    "CheckPlan",
    "ExistingSchema",
    "OuterForeignKey",
    "Rename",
    "TriggerPlan",
    "ViewPlan",
    "Choice",
    "Finding",
    "OperationError",
    "PlanReport",
    "MigrateReport",
    "PhaseSeconds",
    "TableReport",
    "CutoverReport",
    "CutoverForecast",
    "RollbackReport",
    "FinalizeReport",
    "AbortReport",
    "ValidateReport",
    "TableComparison",
    "RowDifference",
    "SchemaDifference",
    "BackupReport",
    "RestoreReport",
    "VerifyBackupReport",
    "PlanOptions",
    "PlanRequest",
    "MigrateRequest",
    "ValidateRequest",
    "CutoverRequest",
    "AbortRequest",
    "RollbackRequest",
    "FinalizeRequest",
    "BackupRequest",
    "RestoreRequest",
    "VerifyBackupRequest",
    "EngineStatus",
];

/// Enum fields of those messages, and the module that writes them as a word.
const WORDS: [(&str, &str); 13] = [
    ("Finding.severity", "severity"),
    ("Finding.choices", "dispositions"),
    ("Choice.disposition", "disposition"),
    ("RowDifference.kind", "difference_kind"),
    ("BackupReport.engine", "engine"),
    ("RestoreRequest.into_engine", "engine"),
    ("PlanOptions.identifier_case", "identifier_case"),
    ("PlanOptions.schema_mode", "schema_mode"),
    ("PlanOptions.guards", "guard_mode"),
    ("Plan.guards", "guard_mode"),
    ("MigrateRequest.cutover", "cutover_mode"),
    ("ValidateRequest.level", "validate_level"),
    ("EngineStatus.state", "engine_state"),
];

/// Optional fields that JSON leaves out where they are not set: their absence says something.
const SPARSE: [&str; 2] = ["CutoverReport.forecast", "RestoreReport.validation"];

/// Texts that JSON leaves out where they are empty, for the same reason.
const SPARSE_TEXT: [&str; 4] = [
    "RestoreReport.path",
    "RestoreReport.database",
    "RestoreReport.safety_backup_id",
    "RestoreReport.kept_database",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=switchback");
    let descriptors = protox::compile(PROTOS, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    let mut builder = tonic_prost_build::configure();
    for message in JSON {
        let path = format!(".switchback.v1.{message}");
        builder = builder
            .type_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]")
            .type_attribute(&path, "#[serde(default)]");
    }
    for (field, module) in WORDS {
        builder = builder.field_attribute(
            format!(".switchback.v1.{field}"),
            format!("#[serde(with = \"crate::words::{module}\")]"),
        );
    }
    for field in SPARSE {
        builder = builder.field_attribute(
            format!(".switchback.v1.{field}"),
            "#[serde(skip_serializing_if = \"Option::is_none\")]",
        );
    }
    for field in SPARSE_TEXT {
        builder = builder.field_attribute(
            format!(".switchback.v1.{field}"),
            "#[serde(skip_serializing_if = \"String::is_empty\")]",
        );
    }
    builder.compile_fds(descriptors)?;
    Ok(())
}
