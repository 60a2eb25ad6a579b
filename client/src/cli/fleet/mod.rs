//! `fleet migrate`: many databases of one server, a few at a time.

mod decide;
mod member;
mod view;
mod work;

use std::sync::Arc;

use clap::{Args as ArgsGroup, Subcommand};
use serde::Serialize;
use switchback_client::{
    Error, Result,
    exit::Exit,
    v1::{CutoverMode, Database, MigrateRequest, operation_event::Event},
};
use tokio::sync::{Semaphore, mpsc};

use self::{
    decide::matches,
    member::{End, Member},
    view::View,
    work::{News, Work},
};
use super::{Session, interrupt::Interrupt};

/// News that wait for the screen.
const BUFFERED: usize = 256;

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Migrate every database of the server that is not migrated yet
    #[command(after_help = "\
May be run again: a database that is migrated, or that waits for its cutover, is passed over and
told, and a migration that runs already is attached to. Ends with 1 where any of them failed.

Examples:
  switchback fleet migrate
  switchback fleet migrate --match 'shop_*' --parallel 4
  switchback fleet migrate --manual-cutover --output json")]
    Migrate(FleetMigrateArgs),
}

#[derive(Debug, ArgsGroup)]
pub(crate) struct FleetMigrateArgs {
    /// Only databases of this name; `*` stands for any letters
    #[arg(long = "match", value_name = "PATTERN", default_value = "*")]
    pattern: String,
    /// Migrations side by side
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    parallel: u16,
    /// Stop before the cutover and stay in sync until `switchback cutover`
    #[arg(long)]
    manual_cutover: bool,
    /// Make no backup before the first change
    #[arg(long)]
    skip_backup: bool,
}

/// The last line for programs.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Summary {
    event: &'static str,
    migrated: usize,
    skipped: usize,
    failed: usize,
}

impl Summary {
    fn of(members: &[Member]) -> Self {
        let number = |wanted: fn(&End) -> bool| {
            members.iter().filter(|member| member.end.as_ref().is_some_and(wanted)).count()
        };
        Self {
            event: "summary",
            migrated: number(|end| matches!(end, End::Done)),
            skipped: number(|end| matches!(end, End::Skipped(_))),
            failed: number(|end| matches!(end, End::Failed(_))),
        }
    }

    fn exit(&self) -> Exit {
        if self.failed > 0 { Exit::Failed } else { Exit::Done }
    }
}

pub(crate) async fn run(session: &mut Session, command: FleetCommand) -> Result<Exit> {
    let FleetCommand::Migrate(args) = command;
    let client = session.connect().await?;
    let databases: Vec<Database> = client
        .databases()
        .await?
        .into_iter()
        .filter(|database| matches(&args.pattern, &database.name))
        .collect();
    if databases.is_empty() {
        let message = format!("the server has no database that {:?} stands for", args.pattern);
        return Err(Error::new("UNKNOWN_DATABASE", message)
            .with_hint("`switchback fleet migrate` without --match takes all of them"));
    }
    let places = Arc::new(Semaphore::new(args.parallel.into()));
    let (sender, mut news) = mpsc::channel(BUFFERED);
    let mut members: Vec<Member> =
        databases.iter().map(|database| Member::new(&database.name)).collect();
    for (index, database) in databases.into_iter().enumerate() {
        let request = request(&args, &database.name);
        let work = Work { index, client: client.clone(), database, request };
        tokio::spawn(work.run(Arc::clone(&places), sender.clone()));
    }
    drop(sender);
    let mut interrupt = Interrupt::install();
    let mut view = View::new(session.output.is_json(), &members);
    loop {
        let told = tokio::select! {
            biased;
            told = news.recv() => told,
            () = interrupt.wait() => {
                view.clear();
                session.output.note("migrations that have begun go on; the same command attaches again");
                return Ok(Exit::Interrupted);
            }
        };
        let Some((index, told)) = told else { break };
        take(session, &mut members[index], &told);
        view.show(index, &members[index]);
    }
    view.clear();
    let summary = Summary::of(&members);
    if session.output.is_json() {
        session.output.json(&summary);
    } else {
        session.output.text(&view::table(&members));
    }
    Ok(summary.exit())
}

fn request(args: &FleetMigrateArgs, database: &str) -> MigrateRequest {
    let cutover = if args.manual_cutover { CutoverMode::Manual } else { CutoverMode::Automatic };
    MigrateRequest {
        database: database.to_owned(),
        cutover: cutover.into(),
        skip_backup: args.skip_backup,
        ..Default::default()
    }
}

/// Passes news on to programs, and to the member.
fn take(session: &mut Session, member: &mut Member, told: &News) {
    if session.output.is_json() {
        match told {
            News::Skipped(why) => session.output.json(&Skipped {
                event: "skipped",
                database: &member.database,
                message: why,
            }),
            News::Failed(error) => session.output.failure_of(&member.database, error),
            News::Event(event) => match &event.event {
                // It says so itself.
                Some(Event::Started(_)) => session.output.event(event),
                _ => session.output.event_of(&member.database, event),
            },
        }
    }
    member.take(told);
}

#[derive(Serialize)]
struct Skipped<'a> {
    event: &'static str,
    database: &'a str,
    message: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_failed_makes_the_command_fail() {
        let ended = |end| {
            let mut member = Member::new("a");
            member.end = Some(end);
            member
        };
        let skipped = || ended(End::Skipped("it is migrated".into()));
        let good = Summary::of(&[ended(End::Done), skipped(), Member::new("b")]);
        assert_eq!((good.migrated, good.skipped, good.failed, good.exit()), (1, 1, 0, Exit::Done));
        let bad = Summary::of(&[ended(End::Done), ended(End::Failed("X".into()))]);
        assert_eq!((bad.failed, bad.exit()), (1, Exit::Failed));
    }
}
