//! Named points at which a test ends the process: before and after each commit of a migration.

/// Ends the process as SIGKILL would, where `SWITCHBACK_FAILPOINT` names this point: `drain.after`,
/// or `drain.after:3` for the third time that it is reached. Only builds for development have it.
#[cfg(debug_assertions)]
pub(crate) fn hit(name: &str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    };
    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static TIMES: AtomicU32 = AtomicU32::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("SWITCHBACK_FAILPOINT").ok()?;
        let (name, time) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), time.parse().unwrap_or(1)))
    });
    let Some((_, time)) = wanted.as_ref().filter(|(wanted, _)| wanted == name) else { return };
    if TIMES.fetch_add(1, Ordering::Relaxed) + 1 == *time {
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn hit(_name: &str) {}
