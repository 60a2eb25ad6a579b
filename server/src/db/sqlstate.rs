//! What PostgreSQL's errors mean here, by SQLSTATE and never by their text.

use tokio_postgres::error::SqlState;

use crate::error::{Error, Reason};

pub(super) fn unreachable_server(message: String) -> Error {
    Error::new(Reason::TargetUnreachable, message)
        .hint("check that the server runs and that SWITCHBACK_POSTGRES names its host and port")
}

/// Turns what PostgreSQL said into an error of the service, by SQLSTATE. DETAIL and CONTEXT are
/// left out: they hold values of rows.
pub fn explain(error: &tokio_postgres::Error) -> Error {
    if let Some(db) = error.as_db_error() {
        let (reason, hint) = meaning(db.code());
        let place = [db.table(), db.column(), db.constraint()];
        let place: Vec<_> = place.into_iter().flatten().collect();
        let place =
            if place.is_empty() { String::new() } else { format!(" on {}", place.join(".")) };
        let message =
            format!("PostgreSQL: {}{place} (SQLSTATE {})", db.message(), db.code().code());
        return Error::new(reason, message).hint(hint);
    }
    let source = std::error::Error::source(error);
    let cause = source.map(|cause| format!(": {cause}")).unwrap_or_default();
    if error.is_closed() {
        return unreachable_server("the connection to PostgreSQL was lost".into());
    }
    if source.is_some_and(|cause| cause.is::<std::io::Error>()) {
        return unreachable_server(format!("cannot talk to PostgreSQL: {error}{cause}"));
    }
    Error::new(Reason::TargetFailed, format!("talking to PostgreSQL failed: {error}{cause}"))
}

/// What a SQLSTATE (PostgreSQL manual, appendix A) means here, and what to do about it.
fn meaning(state: &SqlState) -> (Reason, &'static str) {
    const LOST: &str = "the server is stopping, starting or has lost the connection; the work \
                        goes on from its last chunk when it is back";
    const TRANSIENT: &str = "another session was in the way; trying again usually helps";
    match state.code() {
        "57P01" | "57P02" | "57P03" | "57P05" => (Reason::TargetUnreachable, LOST),
        "3D000" => (
            Reason::TargetMissing,
            "create the database (createdb, template0, UTF8), or correct SWITCHBACK_POSTGRES",
        ),
        "42501" => (
            Reason::TargetPermission,
            "grant the user CREATE on the database and on the target schema, or use their owner",
        ),
        "53100" => (Reason::TargetFull, "free some space on the PostgreSQL server, then try again"),
        "53300" => (
            Reason::TargetUnreachable,
            "the server has no connection left: close others, or raise its max_connections",
        ),
        "53200" | "53400" => (
            Reason::TargetFailed,
            "the PostgreSQL server ran out of memory or locks: see max_locks_per_transaction",
        ),
        "25006" => (
            Reason::TargetUnsupported,
            "the server is a standby, or read-only by setting; name the primary in \
             SWITCHBACK_POSTGRES",
        ),
        "40001" | "40P01" | "55P03" => (Reason::TargetUnreachable, TRANSIENT),
        "57014" => (Reason::Cancelled, "the statement was cancelled on the server"),
        "55006" => (
            Reason::TargetInUse,
            "sessions that the user may not end use it: end them as a superuser (see \
             pg_stat_activity), then try again",
        ),
        "2BP01" => (
            Reason::TargetInUse,
            "something that Switchback did not make depends on it: drop that first",
        ),
        code => match &code[..code.len().min(2)] {
            "08" => (Reason::TargetUnreachable, LOST),
            "28" => (
                Reason::TargetAuthentication,
                "check the user and the password in SWITCHBACK_POSTGRES, and pg_hba.conf",
            ),
            "22" | "23" => (
                Reason::ValueRefused,
                "the type or a constraint of the target does not take a value: plan again, or \
                 change the column's type in the plan",
            ),
            "58" | "XX" => (Reason::TargetFailed, "see the log of the PostgreSQL server"),
            _ => (Reason::TargetFailed, "see the log of the PostgreSQL server for the statement"),
        },
    }
}

/// For `map_err` on an owned error.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub fn failed(error: tokio_postgres::Error) -> Error {
    explain(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_reason() {
        for (code, reason) in [
            ("08006", Reason::TargetUnreachable),
            ("57P01", Reason::TargetUnreachable),
            ("53300", Reason::TargetUnreachable),
            ("28P01", Reason::TargetAuthentication),
            ("3D000", Reason::TargetMissing),
            ("42501", Reason::TargetPermission),
            ("53100", Reason::TargetFull),
            ("55006", Reason::TargetInUse),
            ("25006", Reason::TargetUnsupported),
            ("22003", Reason::ValueRefused),
            ("42P01", Reason::TargetFailed),
        ] {
            let (found, hint) = meaning(&SqlState::from_code(code));
            assert_eq!(found, reason, "{code}");
            assert!(!hint.is_empty(), "{code}");
        }
    }
}
