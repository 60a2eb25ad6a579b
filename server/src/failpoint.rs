//! Named points at which a test ends the process: before and after each commit of a switch.

/// Ends the process as SIGKILL would, where `SWITCHBACK_FAILPOINT` names this point. Only builds
/// for development have it.
#[cfg(debug_assertions)]
pub(crate) fn hit(name: &str) {
    static WANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let wanted = WANTED.get_or_init(|| std::env::var("SWITCHBACK_FAILPOINT").ok());
    if wanted.as_deref() == Some(name) {
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn hit(_name: &str) {}
