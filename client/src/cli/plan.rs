//! `plan`: what a migration would do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args as ArgsGroup;
use switchback_client::{
    Error, Result,
    exit::Exit,
    v1::{Plan, PlanReport, PlanRequest, result_event},
};
use uuid::Uuid;

use super::{
    Session,
    follow::{Followed, follow},
    options::OptionArgs,
    output::{findings_text, has_blocker, plan_summary},
};

#[derive(Debug, ArgsGroup)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) options: OptionArgs,
    /// Write the plan as JSON, for review; `-` writes it to stdout instead of the tables
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Print the statements for PostgreSQL instead of the tables
    #[arg(long)]
    sql: bool,
}

pub(crate) async fn run(session: &mut Session, args: PlanArgs) -> Result<Exit> {
    let client = session.connect().await?;
    let request_id = Uuid::now_v7().to_string();
    let request = PlanRequest {
        database: session.database(),
        options: Some(args.options.into_options()),
        request_id: request_id.clone(),
    };
    let followed = follow(session, &request_id, client.plan(request)).await?;
    let Some(result_event::Report::Plan(report)) = &followed.outcome.report else {
        followed.print(session);
        return Ok(followed.exit());
    };
    let to_stdout = args.write.as_deref() == Some(Path::new("-"));
    if let (Some(path), Some(plan)) = (&args.write, &report.plan) {
        write(session, path, plan)?;
    }
    if session.output.is_json() {
        followed.explain(session);
    } else if args.sql {
        for statement in &report.statements {
            session.output.line(&terminated(statement));
        }
        explain_beside_data(session, &followed, report);
    } else if to_stdout {
        explain_beside_data(session, &followed, report);
    } else {
        followed.print(session);
    }
    Ok(exit(&followed, report))
}

/// A plan with a blocker is no success, although making it was one.
fn exit(followed: &Followed, report: &PlanReport) -> Exit {
    let blocked = report.plan.as_ref().is_some_and(|plan| has_blocker(&plan.findings));
    match followed.exit() {
        Exit::Done if blocked => Exit::Precondition,
        exit => exit,
    }
}

/// Stdout holds SQL or JSON: the rest goes to stderr.
fn explain_beside_data(session: &Session, followed: &Followed, report: &PlanReport) {
    if let Some(plan) = &report.plan {
        if !plan.findings.is_empty() {
            session.output.note(findings_text(&plan.findings).trim_end());
        }
        session.output.note(&plan_summary(report, plan));
    }
    followed.explain(session);
}

fn terminated(statement: &str) -> String {
    let statement = statement.trim_end();
    if statement.ends_with(';') { statement.to_owned() } else { format!("{statement};") }
}

fn write(session: &mut Session, path: &Path, plan: &Plan) -> Result<()> {
    let json = serde_json::to_string_pretty(plan)
        .map_err(|error| Error::new("INTERNAL", format!("the plan is no JSON: {error}")))?;
    if path == Path::new("-") {
        if !session.output.is_json() {
            session.output.line(&json);
        }
        return Ok(());
    }
    fs::write(path, json + "\n").map_err(|error| {
        Error::new("INVALID_FILE", format!("cannot write {}: {error}", path.display()))
            .with_hint("give --write a file in a directory that exists and can be written to")
    })?;
    session.output.note(&format!(
        "plan written to {0}; migrate with `{1} --plan {0}`",
        path.display(),
        session.command("migrate")
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_with_one_semicolon() {
        assert_eq!(terminated("SELECT 1"), "SELECT 1;");
        assert_eq!(terminated("SELECT 1;\n"), "SELECT 1;");
    }
}
