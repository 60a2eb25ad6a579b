//! `doctor`: what the server needs, tested, and what to do where it is missing.

use std::time::SystemTime;

use prost_types::Timestamp;
use serde::Serialize;
use switchback_client::{
    Result,
    exit::Exit,
    v1::{Check, CheckState, DiagnoseResponse},
    words::word_of,
};

use super::{
    Session,
    output::{
        Grid,
        format::{between, clean, counted, seconds},
    },
};

/// Further apart than this, times of one machine mislead who reads them on the other.
const SKEW_SECONDS: f64 = 60.0;

/// The JSON object of a check.
#[derive(Serialize)]
struct Line<'a> {
    database: &'a str,
    check: &'a str,
    state: String,
    message: &'a str,
    hint: &'a str,
}

impl<'a> Line<'a> {
    fn of(check: &'a Check) -> Self {
        Self {
            database: &check.database,
            check: &check.name,
            state: word_of::<CheckState>(check.state),
            message: &check.message,
            hint: &check.hint,
        }
    }
}

pub(crate) async fn run(session: &mut Session) -> Result<Exit> {
    let client = session.connect().await?;
    let database = session.database.clone().unwrap_or_default();
    let DiagnoseResponse { checks, server_version, time } = client.diagnose(&database).await?;
    let own = env!("CARGO_PKG_VERSION");
    let mut all = vec![
        check("endpoint", CheckState::Ok, &session.config.endpoint, ""),
        versions(own, &server_version),
    ];
    all.extend(time.map(|time| clocks(&Timestamp::from(SystemTime::now()), &time)));
    all.extend(checks);
    print(session, &all);
    Ok(exit(&all))
}

fn print(session: &mut Session, all: &[Check]) {
    if session.output.is_json() {
        for check in all {
            session.output.json(&Line::of(check));
        }
        return;
    }
    let mut grid = Grid::new(["DATABASE", "CHECK", "STATE", "FOUND"]);
    for check in all {
        let Line { database, check, state, message, .. } = Line::of(check);
        grid.row([database, check, &state, message]);
    }
    session.output.text(&grid.to_string());
    for check in all.iter().filter(|check| !check.hint.is_empty()) {
        let place = if check.database.is_empty() {
            check.name.clone()
        } else {
            format!("{} of {}", check.name, check.database)
        };
        session.output.note(&format!("{}: {}", clean(&place), clean(&check.hint)));
    }
    session.output.note(&tally(all));
}

fn check(name: &str, state: CheckState, message: &str, hint: &str) -> Check {
    let [name, message, hint] = [name, message, hint].map(str::to_owned);
    Check { database: String::new(), name, state: state.into(), message, hint }
}

fn versions(own: &str, server: &str) -> Check {
    let message = format!("switchback {own}, switchbackd {server}");
    if own == server {
        check("versions", CheckState::Ok, &message, "")
    } else {
        let hint = "use the command line of the server's version";
        check("versions", CheckState::Warning, &message, hint)
    }
}

fn clocks(own: &Timestamp, server: &Timestamp) -> Check {
    let apart = between(own, server).abs();
    let message = format!("this machine's and the server's are {} apart", seconds(apart));
    if apart <= SKEW_SECONDS {
        check("clock", CheckState::Ok, &message, "")
    } else {
        check("clock", CheckState::Warning, &message, "set both clocks, with NTP for example")
    }
}

fn number_of(all: &[Check], state: CheckState) -> u64 {
    u64::try_from(all.iter().filter(|check| check.state() == state).count()).unwrap_or(u64::MAX)
}

fn tally(all: &[Check]) -> String {
    let failed = number_of(all, CheckState::Failed);
    let warnings = number_of(all, CheckState::Warning);
    let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
    format!("{}, {failed} failed, {}", counted(total, "check"), counted(warnings, "warning"))
}

fn exit(all: &[Check]) -> Exit {
    if number_of(all, CheckState::Failed) > 0 { Exit::Precondition } else { Exit::Done }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_failed_is_an_error() {
        let of = |state| check("store", state, "", "");
        let warned = [of(CheckState::Ok), of(CheckState::Warning)];
        assert_eq!(exit(&warned), Exit::Done);
        assert_eq!(tally(&warned), "2 checks, 0 failed, 1 warning");
        assert_eq!(exit(&[of(CheckState::Warning), of(CheckState::Failed)]), Exit::Precondition);
    }

    #[test]
    fn versions_and_clocks_that_are_apart_are_warnings() {
        assert_eq!(versions("0.1.0", "0.1.0").state(), CheckState::Ok);
        assert_eq!(versions("0.1.0", "0.2.0").state(), CheckState::Warning);
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        assert_eq!(clocks(&at(100), &at(160)).state(), CheckState::Ok);
        assert_eq!(clocks(&at(161), &at(100)).state(), CheckState::Warning);
    }
}
