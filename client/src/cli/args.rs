//! The arguments, their help and their examples.

use clap::{Parser, Subcommand, ValueEnum};

use super::{
    backups::BackupsCommand, connection::ConnectionArgs, cutover::CutoverArgs, exec::ExecArgs,
    finalize::FinalizeArgs, fleet::FleetCommand, migrate::MigrateArgs,
    operations::OperationsCommand, plan::PlanArgs, report::ReportArgs, restore::RestoreArgs,
    rollback::RollbackArgs, status::StatusArgs, urls::UrlArgs, validate::ValidateArgs,
};

/// Heading in the help of what every command takes.
pub(super) const GLOBAL: &str = "Global options";

/// Moves a SQLite database to PostgreSQL and proves that every value arrived.
#[derive(Debug, Parser)]
#[command(
    name = "switchback",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Exit codes:
  0  done                              4  the server, an engine or the store can't be reached
  1  the operation failed              5  a precondition is not met
  2  wrong usage                     130  interrupted; the operation goes on
  3  the data differs
  `exec` ends with the code of its program.

Examples:
  switchback plan                      what a migration would do
  switchback migrate                   move every row, and compare both sides
  switchback status                    which engine is active, and in which phase"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Database that the server is configured with [default: default]
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        env = super::DATABASE_VARIABLE,
        value_name = "NAME"
    )]
    pub(crate) database: Option<String>,
    /// Tables and progress for people, or one JSON object a line for programs
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read the source and say what a migration would do; changes nothing
    #[command(after_help = "\
Ends with 5 where a blocker stands in the way.

Examples:
  switchback plan
  switchback plan --on nul_in_text=encode --on invalid_utf8=reject
  switchback plan --write plan.json      review it, then: switchback migrate --plan plan.json
  switchback plan --sql > target.sql     the statements for PostgreSQL")]
    Plan(PlanArgs),
    /// Move every row to PostgreSQL and compare both sides
    #[command(after_help = "\
A migration that fails or is cancelled leaves the source untouched and nothing in the target.

Examples:
  switchback migrate
  switchback migrate --plan plan.json
  switchback migrate --on invalid_utf8=reject --allow-rejects 10
  switchback migrate --manual-cutover    stay in sync, then: switchback cutover
  switchback migrate --output json | jq -c 'select(.event == \"result\")'")]
    Migrate(MigrateArgs),
    /// Migrate many databases of one server
    #[command(subcommand, arg_required_else_help = true)]
    Fleet(FleetCommand),
    /// Make PostgreSQL the active engine of a database that is in `following`
    #[command(after_help = "\
Writers wait, they don't fail. Where the deadline passes they go on in SQLite, the migration goes on
following, and the command ends with 5. `--dry-run` holds nobody: it ends with 0 for Go and with 5
for NoGo.

Examples:
  switchback cutover --dry-run
  switchback cutover
  switchback cutover --deadline 500ms
  switchback cutover --output json | jq 'select(.event == \"result\").report.write_pause_ms'")]
    Cutover(CutoverArgs),
    /// Make SQLite the active engine again, with everything written on PostgreSQL since
    #[command(after_help = "\
Writers wait, they don't fail. Where the deadline passes they go on in PostgreSQL, and the command
ends with 5. Afterwards the migration is in `following`: `switchback cutover` goes forward again
without a new copy, `switchback abort` ends it.

Examples:
  switchback rollback --dry-run
  switchback rollback
  switchback rollback --deadline 500ms
  switchback rollback --from-last-drain        PostgreSQL is gone: says what may be missing
  switchback rollback --output json | jq 'select(.event == \"result\").report.write_pause_ms'")]
    Rollback(RollbackArgs),
    /// End reverse replication and remove what was installed: there is no way back then
    #[command(after_help = "\
What waits is carried back first. Refused while the last comparison that found both engines equal is
older than a day: `switchback validate` makes a new one, `--force` does without.

  --keep-source fenced   the SQLite file stays as it is and refuses writes (the default)
  --keep-source sealed   every program finds it read-only, whatever it does
  --keep-source clean    nothing of Switchback is left in it, and it takes writes

Examples:
  switchback finalize
  switchback finalize --keep-source sealed
  switchback finalize --keep-source clean --force")]
    Finalize(FinalizeArgs),
    /// Undo a migration that has not been cut over
    #[command(after_help = "\
SQLite stays the active engine. Nothing of the migration is left, neither in its file nor in
PostgreSQL.

Examples:
  switchback abort
  switchback --database shop abort")]
    Abort,
    /// Compare both engines
    #[command(after_help = "\
Ends with 3 where the data differs.

Examples:
  switchback validate
  switchback validate --level counts
  switchback validate --table users --table orders --max-differences 100")]
    Validate(ValidateArgs),
    /// Store the data of the active engine
    #[command(after_help = "\
Applications may write all the time: a backup holds one moment. What the store has already is not
sent again.

Examples:
  switchback backup
  switchback backup --output json | jq -r 'select(.event == \"result\").report.backup_id'")]
    Backup,
    /// Bring a backup back, to a new place or in place
    #[command(after_help = "\
With --as it makes the file NAME.db in the server's directory for restored files, or the PostgreSQL
database NAME beside the configured one, and touches nothing else. Without it, it restores in place;
the server refuses to replace what is there unless told --overwrite, and backs that up first. While
the database is in a migration, it refuses that too.
`latest` is the newest backup whose manifest can be read.

Examples:
  switchback restore latest --as shop_check
  switchback restore 20261126T174200Z-3fa29c --as users_only --table users
  switchback restore latest --as shop_copy --into sqlite    rows of a PostgreSQL backup
  switchback restore 20261126T174200Z-3fa29c --overwrite")]
    Restore(RestoreArgs),
    /// List, verify, delete and prune backups
    #[command(subcommand, arg_required_else_help = true)]
    Backups(BackupsCommand),
    /// Show the active engine, the phase and both engines' state
    #[command(after_help = "\
Examples:
  switchback status
  switchback status --watch
  switchback status --output json | jq -r .phase")]
    Status(StatusArgs),
    /// Print DATABASE_URL of the active engine, for scripts
    #[command(after_help = "\
The server tells no path and no password: both come from the flags or their variables.

Examples:
  eval \"export $(switchback env)\"
  switchback env --sqlite-url 'sqlite:///{path}'      as SQLAlchemy writes it
  switchback env --sqlite-url 'file:{path}'           as Prisma writes it
  switchback env --output json | jq -r .database_url")]
    Env(UrlArgs),
    /// Run a program on the active engine, and start it again when the engine is switched
    #[command(after_help = "\
The program finds DATABASE_URL, SWITCHBACK_ACTIVE_ENGINE and SWITCHBACK_EPOCH in its environment.
It goes on while the server is away. The exit code is the program's own: 128+n where signal n ended
it, 127 where it is not found, 126 where it cannot be run.

Examples:
  switchback exec --sqlite shop.db --postgres postgres://app@db/shop -- ./shop --port 8080
  switchback exec --grace 30 -- gunicorn shop:app
  switchback exec --signal HUP -- ./shop              it reads `switchback env` again")]
    Exec(ExecArgs),
    /// List, show, watch and cancel operations
    #[command(subcommand, arg_required_else_help = true)]
    Operations(OperationsCommand),
    /// Write an operation as one HTML page: phases, tables, rates, lag, findings, validation
    #[command(after_help = "\
The page needs nothing but itself, and can be sent and printed. One of an operation that runs is of
now. `switchback operations list` shows the ids.

Examples:
  switchback report ID > report.html")]
    Report(ReportArgs),
    /// Test what migrations and backups need: engines, rights, directories, disk space, the store
    #[command(after_help = "\
Tests every database of the server unless --database is given. Nothing of the tests stays. Ends with
0 where nothing failed, with 5 where something did, with 4 where the server cannot be reached.

Examples:
  switchback doctor
  switchback --database shop doctor
  switchback doctor --output json | jq -r 'select(.state != \"ok\") | .hint'")]
    Doctor,
    /// Ask whether the server, its service and the database are ready
    #[command(after_help = "\
Ends with 0 where everything is serving, else with 4. The way back (rollback/NAME) is shown and does
not count: it is unknown where there is none. With --service each that is named counts.

Examples:
  switchback health
  switchback --database shop health --output json
  switchback health --service ''                      the process: for a liveness probe
  switchback health --service database/shop           for a readiness probe")]
    Health {
        /// Ask for this name of grpc.health.v1 only; empty for the process; may be repeated
        #[arg(long = "service", value_name = "NAME")]
        services: Vec<String>,
    },
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  switchback completions bash > /etc/bash_completion.d/switchback
  switchback completions zsh > ~/.zfunc/_switchback")]
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use switchback_client::v1::{Disposition, PlanOptions};

    use super::*;

    fn options(arguments: &[&str]) -> PlanOptions {
        let args = Args::try_parse_from(["switchback", "plan"].iter().chain(arguments)).unwrap();
        let Command::Plan(plan) = args.command else { panic!("not a plan") };
        plan.options.into_options()
    }

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_last_choice_for_a_code_counts() {
        let options = options(&["--on", "a=encode", "--on", "b=reject", "--on", "a=fail"]);
        let choices: Vec<_> = options
            .choices
            .iter()
            .map(|choice| (choice.code.as_str(), choice.disposition()))
            .collect();
        assert_eq!(choices, [("b", Disposition::Reject), ("a", Disposition::Fail)]);
    }

    #[test]
    fn renames_are_of_tables_or_columns() {
        let options = options(&["--rename", "a=b", "--rename", "a.c=d=e"]);
        let names = |rename: &switchback_client::v1::Rename| {
            [&rename.table, &rename.column, &rename.target].map(String::clone)
        };
        let renames: Vec<[String; 3]> = options.renames.iter().map(names).collect();
        assert_eq!(renames, [["a", "", "b"], ["a", "c", "d=e"]].map(|r| r.map(str::to_owned)));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for wrong in [
            &["plan", "--on", "a"][..],
            &["plan", "--on", "=fail"],
            &["plan", "--on", "a=unspecified"],
            &["plan", "--identifiers", "upper"],
            &["plan", "--guards", "none"],
            &["migrate", "--plan", "p.json", "--guards", "lenient"],
            &["migrate", "--plan", "p.json", "--on", "a=fail"],
            &["migrate", "--plan", "p.json", "--empty-target"],
            &["plan", "--schema", "theirs"],
            &["plan", "--rename", "users"],
            &["plan", "--rename", "users.=name"],
            &["plan", "--rename", "users="],
            &["migrate", "--allow-rejects", "-1"],
            &["validate", "--max-differences", "0"],
            &["validate", "--max-differences", "1001"],
            &["operations"],
            &["operations", "show"],
            &["exec"],
            &["exec", "--signal", "KILL", "--", "true"],
            &["env", "--sqlite-url", "sqlite:a.db"],
            &["cutover", "--deadline", "5"],
            &["cutover", "--deadline", "11m"],
            &["abort", "now"],
            &["rollback", "--accept-loss"],
            &["restore"],
            &["restore", ""],
            &["restore", "latest", "--as", ""],
            &["restore", "latest", "--table", ""],
            &["restore", "latest", "--into", "mysql"],
            &["restore", "latest", "--as", "copy", "--overwrite"],
            &["backups"],
            &["backups", "list", "--limit", "0"],
            &["backups", "verify"],
            &["backups", "delete", "--yes"],
            &["backups", "prune"],
            &["backups", "prune", "--confirm"],
            &["backups", "prune", "--keep-last", "0"],
        ] {
            let arguments = ["switchback"].iter().chain(wrong);
            assert!(Args::try_parse_from(arguments).is_err(), "{wrong:?}");
        }
    }
}
