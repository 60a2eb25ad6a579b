//! Validation, by itself and at the end of a migration.

use std::sync::Arc;

use switchback_proto::{
    v1::{Phase, Plan, ProgressEvent, ValidateLevel, ValidateReport, ValidateRequest},
    words::Word,
};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{build::Context, following::Follower, journal::Journal, recorded};
use crate::{
    db::{Database, control::ControlStore, target::returned},
    dialect::schema::SourceSchema,
    error::{Error, Reason, Result},
    operations::{EventLog, Outcome, Report, Run},
    telemetry::spans,
    validate::{self, Follow, KeptAside, TargetReader, ValidateJob, ValidateProgress},
};

/// Differences named for each table unless asked otherwise.
const DIFFERENCES: u32 = 20;

/// How often a comparison in whose middle SQLite is vacuumed is begun.
const MOST_DISTURBED: u32 = 5;

/// Compares both sides of a migrated database.
pub(super) async fn run(
    (database, store): (&Database, &ControlStore),
    request: &ValidateRequest,
    run: &Run,
    halt: &CancellationToken,
) -> Outcome {
    run.log.phase(Phase::Validating);
    let compared = compare(database, request, &run.log, halt);
    match compared.instrument(spans::phase(Phase::Validating)).await {
        Err(error) => Outcome { report: None, error: Some(error) },
        Ok(report) => {
            let all = request.tables.is_empty() && request.level() != ValidateLevel::Counts;
            let mut error = refuse_difference(&report).err();
            if all && error.is_none() {
                error = store.set_validated(&database.config.name).await.err();
            }
            Outcome { error, report: Some(Report::Validate(report)) }
        }
    }
}

async fn compare(
    database: &Database,
    request: &ValidateRequest,
    log: &EventLog,
    halt: &CancellationToken,
) -> Result<ValidateReport> {
    let name = &database.config.name;
    let control = database.target().read_control(name).await?;
    let compare = Compare { database, request, log, halt };
    match control {
        Some(control) if control.active == "postgres" => {
            // Nothing is carried back meanwhile: both sides stand as the comparison sees them.
            let _gate = database.gate.lock().await;
            let recorded = recorded::reversible(database).await?;
            let reverser = match recorded.reverser(database) {
                // SQLite stays as it was at the switch.
                Err(error) if error.reason() == Reason::ReturnRefused => {
                    let through = Through::default();
                    return compare.sides(recorded.plan(), recorded.schema(), through).await;
                }
                reverser => reverser?,
            };
            let schema = Arc::clone(&reverser.schema);
            reverser
                .standing_still(async |held| {
                    let kept_aside = reverser.kept_aside(held).await?;
                    let held = Some(held);
                    let through = Through { held, kept_aside: &kept_aside, ..Through::default() };
                    compare.sides(recorded.plan(), &schema, through).await
                })
                .await
        }
        Some(control) if control.phase == Phase::Following.word() => {
            // Only batches of this comparison are carried over meanwhile.
            let _gate = database.gate.lock().await;
            let recorded = recorded::following(database).await?;
            let follower = recorded.follower(database)?;
            let through = Through { live: Some(&follower), ..Through::default() };
            compare.sides(recorded.plan(), &follower.schema, through).await
        }
        _ => Err(Error::new(Reason::NotMigrated, format!("{name} has not been migrated"))
            .hint("run `switchback migrate` first; `switchback plan` shows what it would do")),
    }
}

/// A comparison that was asked for.
struct Compare<'a> {
    database: &'a Database,
    request: &'a ValidateRequest,
    log: &'a EventLog,
    halt: &'a CancellationToken,
}

/// What one side is read through, where it is not read from the pool as it stands.
#[derive(Default)]
struct Through<'a> {
    live: Option<&'a dyn Follow>,
    held: Option<&'a Client>,
    kept_aside: &'a [KeptAside],
}

impl Compare<'_> {
    async fn sides(
        &self,
        plan: &Plan,
        schema: &SourceSchema,
        through: Through<'_>,
    ) -> Result<ValidateReport> {
        let Through { live, held, kept_aside } = through;
        let differences = match self.request.max_differences {
            0 => DIFFERENCES,
            asked => asked,
        };
        let job = ValidateJob {
            source: &self.database.source,
            schema,
            target: TargetReader { postgres: &self.database.postgres, held },
            plan,
            level: match self.request.level() {
                ValidateLevel::Counts => ValidateLevel::Counts,
                _ => ValidateLevel::Exact,
            },
            tables: &self.request.tables,
            max_differences: differences as usize,
            sequences: match held {
                Some(client) => is_untouched(client, &plan.database).await?,
                None => true,
            },
            live,
            kept_aside,
        };
        validate::run(&job, &|progress| tell(self.log, progress), self.halt).await
    }
}

/// Nothing was written to the target since the switch.
async fn is_untouched(client: &Client, database: &str) -> Result<bool> {
    Ok(returned(client, database).await?.is_none_or(|returned| returned.changes == 0))
}

fn tell(log: &EventLog, progress: ValidateProgress<'_>) {
    log.progress(ProgressEvent {
        table: progress.table.to_owned(),
        rows: progress.rows,
        rows_total: progress.rows_total,
        bytes: progress.bytes,
        ..ProgressEvent::default()
    });
}

fn refuse_difference(report: &ValidateReport) -> Result<()> {
    if report.matches {
        return Ok(());
    }
    let tables: Vec<&str> = report
        .tables
        .iter()
        .filter(|table| !table.matches)
        .map(|table| table.table.as_str())
        .collect();
    let objects = report.schema.len();
    let message = match (tables.is_empty(), objects) {
        (false, 0) => format!("the rows differ in {}", tables.join(", ")),
        (false, _) => format!("the rows differ in {}, and {objects} objects", tables.join(", ")),
        (true, _) => format!("{objects} objects differ"),
    };
    Err(Error::new(Reason::DataDiffers, message)
        .hint("the report names each row; applications may have written to one side"))
}

/// Compares every byte before the switch, while applications write.
pub(super) async fn migrated(
    context: &Context<'_>,
    follower: &Follower,
    journal: &mut Journal,
) -> Result<()> {
    let job = ValidateJob {
        source: &context.database.source,
        schema: &follower.schema,
        target: TargetReader { postgres: context.target.postgres(), held: None },
        plan: journal.plan()?,
        level: ValidateLevel::Exact,
        tables: &[],
        max_differences: DIFFERENCES as usize,
        sequences: true,
        live: Some(follower),
        kept_aside: &[],
    };
    let report = undisturbed(&job, follower, context).await?;
    for table in &mut journal.report.tables {
        table.validated =
            report.tables.iter().any(|compared| compared.table == table.table && compared.matches);
    }
    let refused = refuse_difference(&report);
    journal.report.validation = Some(report);
    refused
}

/// Compares again where VACUUM has given rows other rowids in the middle.
async fn undisturbed(
    job: &ValidateJob<'_>,
    follower: &Follower,
    context: &Context<'_>,
) -> Result<ValidateReport> {
    let mut left = MOST_DISTURBED;
    loop {
        match validate::run(job, &|at| tell(context.log, at), context.halt).await {
            Err(error) if error.reason() == Reason::SourceChanged => {
                if let Some(drift) = follower.drift().await? {
                    return Err(drift);
                }
                left -= 1;
                if left == 0 {
                    return Err(error);
                }
                tracing::info!("SQLite was vacuumed in the middle: the comparison begins again");
            }
            done => return done,
        }
    }
}
