//! How far an operation is, how fast it goes and how much it has done, for people.

use super::format::{self, bytes, count, counted, per_second};

/// Sums of the present phase.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) rows: u64,
    /// 0 where unknown.
    pub(crate) rows_total: u64,
    pub(crate) bytes: u64,
    /// 0 where unknown; a backup and a restoration know it.
    pub(crate) bytes_total: u64,
    /// What of a backup went to the store.
    pub(crate) bytes_uploaded: u64,
    /// What of a backup was in the store already.
    pub(crate) bytes_deduplicated: u64,
    pub(crate) rows_per_second: f64,
    pub(crate) bytes_per_second: f64,
}

impl Totals {
    /// What is done and what there is to do, in rows or in bytes; the latter is 0 where unknown.
    pub(crate) fn position(&self) -> (u64, u64) {
        if self.rows_total == 0 && self.bytes_total > 0 {
            (self.bytes, self.bytes_total)
        } else {
            (self.rows, self.rows_total)
        }
    }

    /// `None` where the total or the rate is unknown.
    pub(crate) fn seconds_left(&self) -> Option<f64> {
        let (done, total) = self.position();
        let rate = if self.rows_total > 0 { self.rows_per_second } else { self.bytes_per_second };
        (total > done && rate > 0.0).then(|| format::as_f64(total - done) / rate)
    }

    /// `2 s left, 589,000 rows/s, 104.1 MB/s`: a narrow terminal cuts the end off. Empty where
    /// nothing is known.
    fn speed(&self) -> String {
        let mut parts = Vec::new();
        if let Some(left) = self.seconds_left() {
            parts.push(format!("{} left", remaining(left)));
        }
        if self.rows_per_second > 0.0 {
            parts.push(per_second(self.rows_per_second, "rows"));
        }
        if self.bytes_per_second > 0.0 {
            parts.push(format!("{}/s", bytes(format::whole(self.bytes_per_second))));
        }
        parts.join(", ")
    }

    /// How far, how fast, how much.
    pub(crate) fn told(&self) -> String {
        let (done, total) = self.position();
        let mut parts = vec![percent(done, total).unwrap_or_default(), self.speed()];
        // The pages of a file are no rows.
        if self.rows > 0 || self.rows_total > 0 || (self.bytes == 0 && self.bytes_total == 0) {
            parts.push(rows_of(self.rows, self.rows_total));
        }
        parts.push(bytes_of(self.bytes, self.bytes_total));
        for (number, what) in
            [(self.bytes_uploaded, "uploaded"), (self.bytes_deduplicated, "deduplicated")]
        {
            if number > 0 {
                parts.push(format!("{} {what}", bytes(number)));
            }
        }
        parts.retain(|part| !part.is_empty());
        parts.join(", ")
    }
}

/// An estimate has no decimals.
fn remaining(seconds: f64) -> String {
    if seconds < 59.5 {
        format!("{} s", format::whole(seconds.max(1.0)))
    } else {
        format::seconds(seconds)
    }
}

fn percent(done: u64, total: u64) -> Option<String> {
    if total == 0 {
        return None;
    }
    let percent = (u128::from(done) * 100 / u128::from(total)).min(100);
    Some(format!("{percent} %"))
}

pub(crate) fn rows_of(rows: u64, rows_total: u64) -> String {
    if rows_total == 0 {
        counted(rows, "row")
    } else {
        format!("{} of {}", count(rows), counted(rows_total, "row"))
    }
}

/// Empty where nothing is known.
fn bytes_of(number: u64, total: u64) -> String {
    match (number, total) {
        (0, 0) => String::new(),
        (number, 0) => bytes(number),
        (number, total) => format!("{} of {}", bytes(number), bytes(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_with_their_share_and_the_time_left() {
        let totals = Totals {
            rows: 350,
            rows_total: 1050,
            bytes: 3500,
            rows_per_second: 175.0,
            bytes_per_second: 1750.0,
            ..Totals::default()
        };
        assert_eq!(totals.seconds_left(), Some(4.0));
        assert_eq!(
            totals.told(),
            "33 %, 4 s left, 175 rows/s, 1.8 kB/s, 350 of 1,050 rows, 3.5 kB"
        );
        assert_eq!(Totals::default().told(), "0 rows");
    }

    #[test]
    fn a_backup_of_pages_is_told_in_bytes() {
        let totals = Totals {
            bytes: 214_000_000,
            bytes_total: 357_000_000,
            bytes_uploaded: 20_000_000,
            bytes_deduplicated: 190_000_000,
            bytes_per_second: 107_000_000.0,
            ..Totals::default()
        };
        assert_eq!(totals.position(), (214_000_000, 357_000_000));
        assert_eq!(
            totals.told(),
            "59 %, 1 s left, 107.0 MB/s, 214.0 MB of 357.0 MB, 20.0 MB uploaded, \
             190.0 MB deduplicated"
        );
        let begun = Totals { bytes_total: 1000, ..Totals::default() };
        assert_eq!(begun.told(), "0 %, 0 B of 1.0 kB");
    }

    #[test]
    fn rows_without_a_total_have_no_percentage() {
        assert_eq!(rows_of(7, 0), "7 rows");
        assert_eq!(percent(7, 0), None);
        assert_eq!(rows_of(9, 8), "9 of 8 rows");
        assert_eq!(percent(9, 8).as_deref(), Some("100 %"));
    }
}
