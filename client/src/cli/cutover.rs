//! `cutover`: makes PostgreSQL the active engine, or says whether that would be tried.

use std::time::Duration;

use clap::Args as ArgsGroup;
use switchback_client::{Result, exit::Exit, v1::CutoverRequest};
use uuid::Uuid;

use super::{Session, follow::follow};

/// The server's own limit.
const LONGEST_DEADLINE: Duration = Duration::from_secs(600);

#[derive(Debug, ArgsGroup)]
pub(crate) struct CutoverArgs {
    /// Longest time to hold writers (500ms, 5s, 2m), at most 10m; then they go on in SQLite
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = deadline)]
    deadline: Duration,
    /// Only say whether it would be tried and how long writers would be held
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(session: &mut Session, args: CutoverArgs) -> Result<Exit> {
    let client = session.connect().await?;
    let request_id = Uuid::now_v7().to_string();
    let request = CutoverRequest {
        database: session.database(),
        request_id: request_id.clone(),
        deadline_ms: u64::try_from(args.deadline.as_millis()).unwrap_or(u64::MAX),
        dry_run: args.dry_run,
    };
    let followed = follow(session, &request_id, client.cutover(request)).await?;
    followed.print(session);
    Ok(followed.exit())
}

/// To the server 0 means its own default, which is not what `0s` says.
pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    let given = text
        .parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or("give a number and its unit: 500ms, 5s, 2m")?;
    if given < Duration::from_millis(1) {
        return Err("the least is 1ms".to_owned());
    }
    if given > LONGEST_DEADLINE {
        return Err("the most is 10m".to_owned());
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: CutoverArgs,
    }

    fn parsed(arguments: &[&str]) -> Option<(u128, bool)> {
        let line = Line::try_parse_from(["cutover"].iter().chain(arguments)).ok()?;
        Some((line.args.deadline.as_millis(), line.args.dry_run))
    }

    #[test]
    fn a_deadline_has_a_unit_and_bounds() {
        for (text, millis) in [
            ("1ms", 1),
            ("500ms", 500),
            ("5s", 5000),
            ("1.5s", 1500),
            ("2m", 120_000),
            ("1m 30s", 90_000),
            ("10m", 600_000),
        ] {
            assert_eq!(parsed(&["--deadline", text]), Some((millis, false)), "{text}");
        }
        for wrong in ["", "5", "0s", "1us", "-5s", "10m1ms", "1h", "soon", "5 parsecs"] {
            assert_eq!(parsed(&[&format!("--deadline={wrong}")]), None, "{wrong}");
        }
    }

    #[test]
    fn the_deadline_is_five_seconds_unless_given() {
        assert_eq!(parsed(&[]), Some((5000, false)));
        assert_eq!(parsed(&["--dry-run"]), Some((5000, true)));
    }
}
