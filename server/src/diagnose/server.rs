//! The server's certificate.

use std::{path::Path, time::SystemTime};

use super::checks::Checks;
use crate::listener::tls;

/// Days in which somebody who reads this once a month can still do something.
const SOON: u64 = 30;

/// Tests until when clients accept the certificate that the file holds now.
pub(super) fn certificate(file: &Path, checks: &mut Checks) {
    let hint = "put a new one in its place: it is read again without a restart";
    match tls::usable_until(file) {
        Err(problem) => checks.fail("certificate", problem, hint),
        Ok(None) => checks.warn("certificate", "it does not say until when it can be used", hint),
        Ok(Some(end)) => match days_until(end, SystemTime::now()) {
            None => checks.fail("certificate", "the certificate has expired", hint),
            Some(days) if days < SOON => {
                checks.warn("certificate", format!("it expires within {} days", days + 1), hint);
            }
            Some(days) => checks.ok("certificate", format!("it can be used for {days} days")),
        },
    }
}

/// Whole days; `None` where the end has passed.
fn days_until(end: SystemTime, now: SystemTime) -> Option<u64> {
    end.duration_since(now).ok().map(|left| left.as_secs() / (24 * 60 * 60))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn days_are_whole_and_an_end_that_has_passed_has_none() {
        let now = SystemTime::now();
        assert_eq!(days_until(now + Duration::from_secs(86_399), now), Some(0));
        assert_eq!(days_until(now + Duration::from_secs(86_400), now), Some(1));
        assert_eq!(days_until(now - Duration::from_secs(1), now), None);
    }
}
