//! What is wrong with a request by itself, before anything is looked at.
//!
//! A number that is no value of its enum comes from a newer client: to take it for the default
//! would do something else than was asked.

use switchback_proto::v1;
use tonic::Status;
use uuid::Uuid;

use super::status_of;
use crate::{
    dialect::{finding, ident, typemap},
    error::{Error, Reason},
    operations::Request,
};

const MOST_DIFFERENCES: u32 = 1000;

/// Writers that are held for longer than this have given up long before.
const LONGEST_DEADLINE_MS: u64 = 10 * 60 * 1000;

/// A caller's own id: room for a UUID, a path or a hash.
const LONGEST_REQUEST_ID: usize = 256;

/// Room for what is put behind it in the names of files and databases.
const LONGEST_NAME: usize = 40;

/// Names of tables in a request, and bytes of each.
const MOST_TABLES: usize = 10_000;
const LONGEST_TABLE: usize = 256;

/// Of a request that starts an operation.
pub(super) fn operation(request: &Request) -> Result<(), Status> {
    match request {
        Request::Plan(request) => plan(request),
        Request::Migrate(request) => migrate(request),
        Request::Validate(request) => validate(request),
        Request::Cutover(request) => cutover(request),
        Request::Rollback(request) => rollback(request),
        Request::Finalize(request) => finalize(request),
        Request::Abort(request) => abort(request),
        Request::Backup(request) => backup(request),
        Request::Restore(request) => restore(request),
        Request::VerifyBackup(request) => verify_backup(request),
    }
}

fn plan(request: &v1::PlanRequest) -> Result<(), Status> {
    request_id(&request.request_id)?;
    options(request.options.as_ref())
}

fn migrate(request: &v1::MigrateRequest) -> Result<(), Status> {
    request_id(&request.request_id)?;
    known("cutover", v1::CutoverMode::try_from(request.cutover))?;
    options(request.options.as_ref())
}

fn validate(request: &v1::ValidateRequest) -> Result<(), Status> {
    request_id(&request.request_id)?;
    known("level", v1::ValidateLevel::try_from(request.level))?;
    if request.max_differences > MOST_DIFFERENCES {
        return Err(refuse("max_differences is too large", "the most is 1000"));
    }
    Ok(())
}

fn cutover(request: &v1::CutoverRequest) -> Result<(), Status> {
    request_id(&request.request_id)?;
    deadline(request.deadline_ms)
}

fn rollback(request: &v1::RollbackRequest) -> Result<(), Status> {
    request_id(&request.request_id)?;
    deadline(request.deadline_ms)
}

fn finalize(request: &v1::FinalizeRequest) -> Result<(), Status> {
    request_id(&request.request_id)?;
    known("keep_source", v1::KeepSource::try_from(request.keep_source))
}

fn backup(request: &v1::BackupRequest) -> Result<(), Status> {
    request_id(&request.request_id)
}

fn restore(request: &v1::RestoreRequest) -> Result<(), Status> {
    request_id(&request.request_id)?;
    known("into_engine", v1::Engine::try_from(request.into_engine))?;
    backup_id(&request.backup_id)?;
    let name = &request.restore_as;
    if name.is_empty() {
        return Ok(());
    }
    // It becomes the name of a file, or of a database.
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_name || name.starts_with('-') || name.len() > LONGEST_NAME {
        let hint = "ASCII letters, digits, '-' and '_', at most 40 of them, not '-' first";
        return Err(refuse("restore_as is no name", hint));
    }
    if request.overwrite {
        return Err(refuse("restore_as makes something new", "overwrite goes without a name"));
    }
    Ok(())
}

fn verify_backup(request: &v1::VerifyBackupRequest) -> Result<(), Status> {
    request_id(&request.request_id)?;
    backup_id(&request.backup_id)
}

pub(super) fn prune(request: &v1::PruneBackupsRequest) -> Result<(), Status> {
    let rules = [request.keep_last, request.keep_daily, request.keep_weekly, request.keep_monthly];
    if rules.iter().all(|rule| *rule == 0) {
        return Err(refuse("no rule says what to keep", "set at least one, such as keep_last"));
    }
    Ok(())
}

/// An id becomes a part of a name in the store.
pub(super) fn backup_id(id: &str) -> Result<(), Status> {
    let is_id = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !id.is_empty() && id.len() <= LONGEST_NAME && is_id {
        return Ok(());
    }
    Err(refuse("backup_id is no id of a backup", "`switchback backups list` shows them"))
}

fn deadline(millis: u64) -> Result<(), Status> {
    if millis > LONGEST_DEADLINE_MS {
        return Err(refuse("deadline_ms is too large", "the most is 600000, ten minutes"));
    }
    Ok(())
}

fn abort(request: &v1::AbortRequest) -> Result<(), Status> {
    request_id(&request.request_id)
}

/// Page tokens are ids of operations.
pub(super) fn page_token(token: &str) -> Result<(), Status> {
    if token.is_empty() || Uuid::try_parse(token).is_ok() {
        return Ok(());
    }
    Err(refuse("page_token is none of this server's", "give back next_page_token as it was"))
}

fn options(options: Option<&v1::PlanOptions>) -> Result<(), Status> {
    let Some(options) = options else { return Ok(()) };
    known("identifier_case", v1::IdentifierCase::try_from(options.identifier_case))?;
    known("schema_mode", v1::SchemaMode::try_from(options.schema_mode))?;
    known("guards", v1::GuardMode::try_from(options.guards))?;
    let into_existing = options.schema_mode() == v1::SchemaMode::Existing;
    let only_there =
        options.empty_target || !options.time_zone.is_empty() || !options.renames.is_empty();
    if only_there && !into_existing {
        return Err(refuse(
            "empty_target, time_zone and renames are for an existing schema",
            "set schema_mode to EXISTING (`--schema existing`)",
        ));
    }
    names(options)?;
    let unknown = options.choices.iter().find(|choice| !is_choice(choice));
    unknown.map_or(Ok(()), |choice| {
        Err(refuse(
            &format!("there is no such choice for {:?}", choice.code),
            "a plan's findings offer choices: CODE=fail|encode|reject for values, \
             schema_version_mismatch=fail|accept",
        ))
    })
}

fn is_choice(choice: &v1::Choice) -> bool {
    use v1::Disposition::{Accept, Encode, Fail, Reject};
    let of_values = typemap::CHOICES.contains(&choice.code.as_str());
    let of_versions = choice.code == finding::SCHEMA_VERSION_MISMATCH;
    match choice.disposition() {
        Fail => of_values || of_versions,
        Encode | Reject => of_values,
        Accept => of_versions,
        v1::Disposition::Unspecified => false,
    }
}

/// Names become identifiers and patterns.
fn names(options: &v1::PlanOptions) -> Result<(), Status> {
    let schema = options.target_schema.as_str();
    if schema.len() > ident::LONGEST || schema.starts_with("pg_") || schema.contains('\0') {
        return Err(refuse(
            "target_schema is no name that a schema can have",
            "choose another one",
        ));
    }
    let patterns = options.include_tables.iter().chain(&options.exclude_tables);
    let renames = options.renames.iter();
    let named = renames.flat_map(|rename| [&rename.table, &rename.column, &rename.target]);
    let many = options.include_tables.len() + options.exclude_tables.len() + options.renames.len();
    if many > MOST_TABLES || patterns.chain(named).any(|name| name.len() > LONGEST_TABLE) {
        return Err(refuse(
            "too many names of tables, or too long ones",
            "the most are 10000 of 256 bytes; a plan in a file takes more",
        ));
    }
    Ok(())
}

fn request_id(id: &str) -> Result<(), Status> {
    if id.len() <= LONGEST_REQUEST_ID {
        return Ok(());
    }
    Err(refuse("request_id is too long", "the most is 256 bytes; a UUID will do"))
}

fn known<T, E>(field: &str, value: Result<T, E>) -> Result<(), Status> {
    let unknown = |_| refuse(&format!("{field} has no such value"), "the server may be too old");
    value.map(drop).map_err(unknown)
}

fn refuse(message: &str, hint: &str) -> Status {
    status_of(&Error::new(Reason::InvalidRequest, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        let options = |identifier_case, schema_mode, guards| {
            let other = v1::PlanOptions::default();
            Some(v1::PlanOptions { identifier_case, schema_mode, guards, ..other })
        };
        for (case, mode, guards) in [(99, 0, 0), (0, 99, 0), (0, 0, 99)] {
            let options = options(case, mode, guards);
            let request = v1::PlanRequest { options, ..v1::PlanRequest::default() };
            assert_eq!(plan(&request).unwrap_err().code(), Code::InvalidArgument);
        }
        let request = v1::MigrateRequest { cutover: 99, ..v1::MigrateRequest::default() };
        assert_eq!(migrate(&request).unwrap_err().code(), Code::InvalidArgument);
        let request = v1::ValidateRequest { level: -1, ..v1::ValidateRequest::default() };
        assert_eq!(validate(&request).unwrap_err().code(), Code::InvalidArgument);
        for (code, word, is) in [
            ("nul_in_text", v1::Disposition::Reject, true),
            ("nul_in_text", v1::Disposition::Accept, false),
            ("schema_version_mismatch", v1::Disposition::Accept, true),
            ("schema_version_mismatch", v1::Disposition::Encode, false),
            ("nul_in_text", v1::Disposition::Unspecified, false),
            ("orphans", v1::Disposition::Fail, false),
        ] {
            let choice = v1::Choice { code: code.into(), disposition: word.into() };
            assert_eq!(is_choice(&choice), is, "{code} {word:?}");
        }
        assert!(migrate(&v1::MigrateRequest::default()).is_ok());
        assert!(plan(&v1::PlanRequest::default()).is_ok());
    }

    #[test]
    fn a_cutover_may_be_manual_and_has_a_bounded_deadline() {
        let manual = v1::CutoverMode::Manual.into();
        let request = v1::MigrateRequest { cutover: manual, ..v1::MigrateRequest::default() };
        assert!(migrate(&request).is_ok());
        let within = |deadline_ms| {
            cutover(&v1::CutoverRequest { deadline_ms, ..v1::CutoverRequest::default() })
        };
        assert!(within(0).is_ok() && within(LONGEST_DEADLINE_MS).is_ok());
        let refused = within(LONGEST_DEADLINE_MS + 1).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }

    #[test]
    fn tokens_and_ids_are_of_a_kind() {
        assert!(page_token("").is_ok());
        assert!(page_token(&Uuid::now_v7().to_string()).is_ok());
        assert!(page_token("garbage").is_err());
        let request_id = "r".repeat(LONGEST_REQUEST_ID + 1);
        let id = || request_id.clone();
        assert!(plan(&v1::PlanRequest { request_id: id(), ..Default::default() }).is_err());
        assert!(cutover(&v1::CutoverRequest { request_id: id(), ..Default::default() }).is_err());
        assert!(abort(&v1::AbortRequest { request_id: id(), ..Default::default() }).is_err());
    }
}
