//! `migrate`: moves every row and compares both sides.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args as ArgsGroup;
use serde_json::Value;
use switchback_client::{
    Error, Result,
    exit::Exit,
    v1::{CutoverMode, MigrateRequest, Plan},
};
use uuid::Uuid;

use super::{Session, follow::follow, options::OptionArgs};

/// The format of plans that this version reads.
const PLAN_VERSION: u32 = 1;

#[derive(Debug, ArgsGroup)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    options: OptionArgs,
    /// Use a reviewed plan, as `plan --write` makes it; `-` reads it from stdin
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "on", "identifiers", "guards", "schema", "target_schema", "empty_target", "time_zone",
            "include", "exclude", "rename",
        ]
    )]
    plan: Option<PathBuf>,
    /// Go on with up to this many rejected rows
    #[arg(long, value_name = "N", default_value_t = 0)]
    allow_rejects: u64,
    /// Attach to the operation that this id started before, or start it
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    request_id: String,
    /// Stop before the cutover and stay in sync until `switchback cutover`
    #[arg(long)]
    manual_cutover: bool,
    /// Make no backup before the first change
    #[arg(long)]
    skip_backup: bool,
    /// Rely on this backup of the source instead of making one before the first change
    #[arg(
        long,
        value_name = "BACKUP",
        default_value = "",
        hide_default_value = true,
        conflicts_with = "skip_backup"
    )]
    backup: String,
}

pub(crate) async fn run(session: &mut Session, args: MigrateArgs) -> Result<Exit> {
    let plan = args.plan.as_deref().map(read_plan).transpose()?;
    let request_id = match args.request_id {
        id if id.is_empty() => Uuid::now_v7().to_string(),
        id => id,
    };
    let cutover = if args.manual_cutover { CutoverMode::Manual } else { CutoverMode::Automatic };
    let client = session.connect().await?;
    let request = MigrateRequest {
        database: session.database(),
        request_id: request_id.clone(),
        options: Some(args.options.into_options()),
        plan,
        cutover: cutover.into(),
        allow_rejects: args.allow_rejects,
        skip_backup: args.skip_backup,
        backup_id: args.backup,
    };
    let followed = follow(session, &request_id, client.migrate(request)).await?;
    followed.print(session);
    Ok(followed.exit())
}

fn read_plan(path: &Path) -> Result<Plan> {
    let (name, read) = if path == Path::new("-") {
        let mut bytes = Vec::new();
        ("stdin".to_owned(), io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes))
    } else {
        (path.display().to_string(), fs::read(path))
    };
    let bytes = read.map_err(|error| {
        Error::new("INVALID_FILE", format!("cannot read the plan from {name}: {error}"))
            .with_hint("write a plan with `switchback plan --write FILE`")
    })?;
    parse_plan(&bytes).map_err(|why| {
        Error::new("INVALID_PLAN", format!("{name} is no plan: {why}"))
            .with_hint("correct it there, or write a new one with `switchback plan --write FILE`")
    })
}

/// Reads a plan, and refuses what reading would drop in silence: a misspelt field keeps its
/// default, and the migration would not be the one that was reviewed.
fn parse_plan(bytes: &[u8]) -> Result<Plan, String> {
    let plan: Plan = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let given: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let understood = serde_json::to_value(&plan).map_err(|error| error.to_string())?;
    if let Some(field) = unknown_field(&given, &understood) {
        return Err(format!("{field} is no field of a plan"));
    }
    if plan.version != PLAN_VERSION {
        return Err(format!(
            "its version is {}, and this client reads version {PLAN_VERSION}",
            plan.version
        ));
    }
    Ok(plan)
}

/// Path of the first field that was given and not understood: `tables[2].columns[0].tpye`.
fn unknown_field(given: &Value, understood: &Value) -> Option<String> {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => {
            given.iter().find_map(|(name, value)| match understood.get(name) {
                None => Some(name.clone()),
                Some(known) => unknown_field(value, known).map(|path| joined(name, &path)),
            })
        }
        (Value::Array(given), Value::Array(understood)) => {
            given.iter().zip(understood).enumerate().find_map(|(index, (given, understood))| {
                unknown_field(given, understood).map(|path| joined(&format!("[{index}]"), &path))
            })
        }
        _ => None,
    }
}

fn joined(name: &str, path: &str) -> String {
    if path.starts_with('[') { format!("{name}{path}") } else { format!("{name}.{path}") }
}

#[cfg(test)]
mod tests {
    use switchback_client::v1::{ColumnPlan, Finding, Severity, TablePlan};

    use super::*;

    fn plan() -> Plan {
        Plan {
            version: 1,
            tables: vec![TablePlan {
                source: "t".to_owned(),
                columns: vec![ColumnPlan { r#type: "bigint".to_owned(), ..Default::default() }],
                ..Default::default()
            }],
            findings: vec![Finding { severity: Severity::Note.into(), ..Default::default() }],
            ..Default::default()
        }
    }

    #[test]
    fn a_written_plan_is_read_back() {
        let json = serde_json::to_vec_pretty(&plan()).unwrap();
        assert_eq!(parse_plan(&json), Ok(plan()));
    }

    #[test]
    fn a_misspelt_field_is_named_with_its_place() {
        let json = serde_json::to_string(&plan()).unwrap().replace("\"type\"", "\"tpye\"");
        assert_eq!(
            parse_plan(json.as_bytes()),
            Err("tables[0].columns[0].tpye is no field of a plan".to_owned())
        );
    }

    #[test]
    fn broken_json_says_where() {
        let why = parse_plan(b"{\n  \"version\": 1,\n  \"tables\": 7\n}").unwrap_err();
        assert!(why.contains("line 3"), "{why}");
        assert!(parse_plan(b"").unwrap_err().contains("line 1"));
        assert!(parse_plan(b"\xff\xfe").is_err());
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        assert!(parse_plan(b"{}").unwrap_err().contains("version"));
        assert!(parse_plan(b"{\"event\": \"result\"}").unwrap_err().contains("event"));
        assert!(parse_plan(b"{\"version\": 2}").unwrap_err().contains("version is 2"));
        assert!(parse_plan(b"[]").is_err());
    }
}
