//! Settings of how much works at once, and of how it ends.

use std::{ops::RangeInclusive, time::Duration};

use super::{file::File, load::Loader};

/// Seconds: long enough for a chunk and a backup's part to be stored, and well below what systemd,
/// Compose and Kubernetes wait for in `deploy/`.
const SHUTDOWN_GRACE: u32 = 10;

/// Nobody waits for longer than ten minutes for a process to end, and within a second hardly
/// anything is brought to its end.
const GRACES: RangeInclusive<u32> = 2..=600;

/// Each copies with several connections and reads its source as fast as it can: a few of them keep
/// a small server's disks and processors busy.
const MAX_OPERATIONS: u32 = 4;

/// More than 64 would lack connections and files long before.
const OPERATIONS: RangeInclusive<u32> = 1..=64;

impl Loader<'_> {
    pub(super) fn shutdown_grace(&mut self, file: &File) -> Duration {
        let name = "SWITCHBACK_SHUTDOWN_GRACE";
        let seconds = self.number(name).or(file.shutdown_grace).unwrap_or(SHUTDOWN_GRACE);
        Duration::from_secs(self.within(name, seconds, &GRACES).into())
    }

    pub(super) fn max_operations(&mut self, file: &File) -> usize {
        let name = "SWITCHBACK_MAX_OPERATIONS";
        let most = self.number(name).or(file.max_operations).unwrap_or(MAX_OPERATIONS);
        usize::try_from(self.within(name, most, &OPERATIONS)).unwrap_or(usize::MAX)
    }

    fn within(&mut self, name: &str, value: u32, range: &RangeInclusive<u32>) -> u32 {
        let (least, most) = (*range.start(), *range.end());
        if !range.contains(&value) {
            self.problem(name, format!("{value} is not from {least} to {most}"));
        }
        value.clamp(least, most)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::loaded;

    #[test]
    fn both_forms_are_read_and_shown() {
        let config = loaded(&[], "").unwrap();
        assert_eq!((config.shutdown_grace.as_secs(), config.max_operations), (10, 4));
        let file = "shutdown_grace = 20\nmax_operations = 1";
        let config = loaded(&[("SWITCHBACK_MAX_OPERATIONS", "64")], file).unwrap();
        assert_eq!((config.shutdown_grace.as_secs(), config.max_operations), (20, 64));
        let shown = config.to_string();
        assert!(shown.contains("shutdown_grace = 20\nmax_operations = 64\n"), "{shown}");
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        for (name, value) in [
            ("SWITCHBACK_SHUTDOWN_GRACE", "1"),
            ("SWITCHBACK_SHUTDOWN_GRACE", "601"),
            ("SWITCHBACK_MAX_OPERATIONS", "0"),
            ("SWITCHBACK_MAX_OPERATIONS", "65"),
            ("SWITCHBACK_MAX_OPERATIONS", "some"),
        ] {
            let problems = loaded(&[(name, value)], "").unwrap_err();
            assert!(problems.contains(name) && problems.contains(value), "{problems}");
        }
        assert!(loaded(&[], "max_operations = 65").is_err());
    }
}
