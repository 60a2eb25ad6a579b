//! Backups on schedule.

use std::time::Duration;

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions};
use jiff::Timestamp;
use switchback_proto::v1::BackupRequest;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Backups;
use crate::operations::{Operations, Request};

/// A clock that was set meanwhile is noticed within this time.
const LOOK: Duration = Duration::from_secs(60);

/// When backups are made: minute, hour, day of the month, month and day of the week, and a time
/// zone (UTC unless given).
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    times: Crontab,
}

impl Schedule {
    /// Reads cron's syntax, such as `30 3 * * *` or `0 */6 * * * Europe/Berlin`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        let times = cronexpr::parse_crontab_with(text, options)
            .map_err(|_| format!("{text:?} is no schedule such as \"30 3 * * *\""))?;
        Ok(Self { text: text.to_owned(), times })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first time after another one; none where there is no more.
    fn after(&self, time: Timestamp) -> Option<Timestamp> {
        self.times.find_next(MakeTimestamp(time)).ok().map(|next| next.timestamp())
    }
}

impl Backups {
    /// Makes backups of every database that has a schedule, until `stop`. Like one that somebody
    /// asked for, a backup is an operation.
    pub(crate) fn keep(&self, operations: &Operations, stop: &CancellationToken) {
        for name in self.set.names() {
            let Ok(database) = self.set.get(name) else { continue };
            let Some(schedule) = database.config.backup_schedule.clone() else { continue };
            let (operations, stop, name) = (operations.clone(), stop.clone(), name.to_owned());
            tokio::spawn(async move {
                stop.run_until_cancelled(follow(&schedule, &name, &operations)).await;
            });
        }
    }
}

async fn follow(schedule: &Schedule, name: &str, operations: &Operations) {
    let mut last = Timestamp::now();
    while let Some(next) = schedule.after(last) {
        wait_until(next).await;
        // One that was missed while the machine slept is made once.
        last = Timestamp::now();
        let request = BackupRequest { database: name.to_owned(), request_id: id_of(next) };
        match operations.start(Request::Backup(request)).await {
            Ok(id) => {
                tracing::info!(database = name, operation_id = id, "scheduled backup");
                // No two of them run at once.
                operations.ended(&id).await;
            }
            Err(error) => {
                tracing::warn!(database = name, %error, "the scheduled backup did not begin");
            }
        }
    }
}

async fn wait_until(time: Timestamp) {
    loop {
        let left = time.duration_since(Timestamp::now());
        let Ok(left) = Duration::try_from(left) else { return };
        if left.is_zero() {
            return;
        }
        sleep_until(Instant::now() + left.min(LOOK)).await;
    }
}

/// The same moment is one backup, whatever restarts.
fn id_of(time: Timestamp) -> String {
    format!("schedule-{time}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_found() {
        for (text, after, next) in [
            ("30 3 * * *", "2026-11-26T03:29:59Z", "2026-11-26T03:30:00Z"),
            ("30 3 * * *", "2026-11-26T03:30:00Z", "2026-11-27T03:30:00Z"),
            ("0 4 * * * Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T02:00:00Z"),
            ("*/15 * * * *", "2026-11-26T23:50:00Z", "2026-11-27T00:00:00Z"),
        ] {
            let schedule = Schedule::parse(text).unwrap();
            assert_eq!(
                schedule.after(after.parse().unwrap()),
                Some(next.parse().unwrap()),
                "{text}"
            );
            assert_eq!(schedule.text(), text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "daily", "61 * * * *", "* * * *", "0 0 * * * Mars/Olympus"] {
            assert!(Schedule::parse(text).unwrap_err().contains("schedule"), "{text}");
        }
    }
}
