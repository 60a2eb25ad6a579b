//! Which backups are kept: pure, so that a dry run and the deletion decide the same.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::error::{Error, Reason, Result};

/// How many backups each rule keeps; 0 switches a rule off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The newest ones.
    pub(crate) last: u32,
    /// The newest one of each of so many days (UTC) that have any.
    pub(crate) daily: u32,
    /// Of each of so many ISO weeks.
    pub(crate) weekly: u32,
    /// Of each of so many months.
    pub(crate) monthly: u32,
}

/// Why a backup is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Last,
    Daily,
    Weekly,
    Monthly,
}

impl Why {
    /// As people write it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }
}

/// What becomes of each backup, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) kept: Vec<(String, Vec<Why>)>,
    pub(crate) deleted: Vec<String>,
}

/// Decides for the backups of one database, each with its time. The caller leaves out what is
/// damaged: a damaged one must not stand for a day instead of a whole one. `INVALID_REQUEST`
/// where no rule is set: that would mean to delete all. Every rule keeps the newest one.
pub(crate) fn keep(backups: &[(String, Timestamp)], policy: Policy) -> Result<Retention> {
    if policy == Policy::default() {
        return Err(Error::new(Reason::InvalidRequest, "no rule says which backups to keep")
            .hint("set at least one of last, daily, weekly and monthly"));
    }
    let mut newest_first: Vec<&(String, Timestamp)> = backups.iter().collect();
    newest_first.sort_by(|(a, at), (b, bt)| (bt, b).cmp(&(at, a)));
    let mut periods = [
        Periods::new(Why::Daily, policy.daily, day),
        Periods::new(Why::Weekly, policy.weekly, week),
        Periods::new(Why::Monthly, policy.monthly, month),
    ];
    let mut retention = Retention::default();
    for (number, (id, time)) in (0..).zip(newest_first) {
        let date = time.to_zoned(TimeZone::UTC).date();
        let mut reasons = Vec::new();
        if number < policy.last {
            reasons.push(Why::Last);
        }
        reasons.extend(periods.iter_mut().filter_map(|period| period.takes(date)));
        if reasons.is_empty() {
            retention.deleted.push(id.clone());
        } else {
            retention.kept.push((id.clone(), reasons));
        }
    }
    Ok(retention)
}

/// One rule: the newest backup of each period, for so many periods.
struct Periods {
    why: Why,
    left: u32,
    of: fn(Date) -> (i16, i16),
    /// The one that has its backup; those that come are older.
    taken: Option<(i16, i16)>,
}

impl Periods {
    fn new(why: Why, left: u32, of: fn(Date) -> (i16, i16)) -> Self {
        Self { why, left, of, taken: None }
    }

    fn takes(&mut self, date: Date) -> Option<Why> {
        let period = Some((self.of)(date));
        if self.left == 0 || self.taken == period {
            return None;
        }
        self.taken = period;
        self.left -= 1;
        Some(self.why)
    }
}

fn day(date: Date) -> (i16, i16) {
    (date.year(), date.day_of_year())
}

fn week(date: Date) -> (i16, i16) {
    let week = date.iso_week_date();
    (week.year(), week.week().into())
}

fn month(date: Date) -> (i16, i16) {
    (date.year(), date.month().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Policy = Policy { last: 0, daily: 0, weekly: 0, monthly: 0 };

    /// Ids are the times.
    fn backups(times: &[&str]) -> Vec<(String, Timestamp)> {
        times.iter().map(|time| ((*time).to_owned(), format!("{time}Z").parse().unwrap())).collect()
    }

    /// What is kept, as `id why+why`.
    fn kept(times: &[&str], policy: Policy) -> Vec<String> {
        let retention = keep(&backups(times), policy).unwrap();
        assert_eq!(retention.kept.len() + retention.deleted.len(), times.len());
        let line = |(id, reasons): &(String, Vec<Why>)| {
            let reasons: Vec<String> = reasons.iter().map(|why| format!("{why:?}")).collect();
            format!("{id} {}", reasons.join("+"))
        };
        retention.kept.iter().map(line).collect()
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_periods() {
        let times = [
            "2026-01-05T00:00:00", // Monday, week 2
            "2026-01-04T23:59:59", // Sunday, week 1
            "2026-01-04T01:00:00",
            "2026-01-01T12:00:00", // week 1
            "2025-12-31T12:00:00", // week 1 of 2026
            "2025-12-28T12:00:00", // week 52
            "2025-11-30T00:00:00",
        ];
        let all = times.map(|time| format!("{time} Last"));
        let all = all.each_ref().map(String::as_str);
        let table: [(Policy, &[&str]); 6] = [
            (Policy { last: 2, ..NONE }, &["2026-01-05T00:00:00 Last", "2026-01-04T23:59:59 Last"]),
            (
                Policy { daily: 3, ..NONE },
                &[
                    "2026-01-05T00:00:00 Daily",
                    "2026-01-04T23:59:59 Daily",
                    "2026-01-01T12:00:00 Daily",
                ],
            ),
            (
                Policy { weekly: 3, ..NONE },
                &[
                    "2026-01-05T00:00:00 Weekly",
                    "2026-01-04T23:59:59 Weekly",
                    "2025-12-28T12:00:00 Weekly",
                ],
            ),
            (
                Policy { monthly: 9, ..NONE },
                &[
                    "2026-01-05T00:00:00 Monthly",
                    "2025-12-31T12:00:00 Monthly",
                    "2025-11-30T00:00:00 Monthly",
                ],
            ),
            (
                Policy { last: 1, daily: 1, weekly: 2, monthly: 2 },
                &[
                    "2026-01-05T00:00:00 Last+Daily+Weekly+Monthly",
                    "2026-01-04T23:59:59 Weekly",
                    "2025-12-31T12:00:00 Monthly",
                ],
            ),
            (Policy { last: u32::MAX, ..NONE }, &all),
        ];
        for (policy, expected) in table {
            assert_eq!(kept(&times, policy), expected, "{policy:?}");
            // Their order does not matter.
            let mut turned = times;
            turned.reverse();
            assert_eq!(kept(&turned, policy), expected, "{policy:?}");
        }
    }

    #[test]
    fn the_newest_backup_is_kept_by_every_policy() {
        for policy in [
            Policy { last: 1, ..NONE },
            Policy { daily: 1, ..NONE },
            Policy { weekly: 1, ..NONE },
            Policy { monthly: 1, ..NONE },
        ] {
            let times = ["2026-01-01T00:00:00", "2026-01-01T00:00:01"];
            assert!(kept(&times, policy)[0].starts_with(times[1]), "{policy:?}");
            assert_eq!(keep(&[], policy).unwrap(), Retention::default());
        }
    }

    #[test]
    fn two_of_one_time_are_told_apart_by_their_ids() {
        let time = "2026-01-01T00:00:00Z".parse().unwrap();
        for ids in [["a", "b"], ["b", "a"]] {
            let backups = ids.map(|id| (id.to_owned(), time));
            let retention = keep(&backups, Policy { last: 1, ..NONE }).unwrap();
            assert_eq!(
                (retention.kept[0].0.as_str(), &retention.deleted[..]),
                ("b", &["a".into()][..])
            );
        }
    }

    #[test]
    fn a_policy_without_a_rule_is_refused() {
        assert_eq!(keep(&[], NONE).unwrap_err().reason(), Reason::InvalidRequest);
    }
}
