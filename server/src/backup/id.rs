//! Names of backups and sweeps: their time and a random part, so that they sort by time.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use uuid::Uuid;

const TIME: &str = "%Y%m%dT%H%M%SZ";

/// An id that nobody has, of a backup or a sweep that begins now.
pub(crate) fn new_id() -> String {
    // The last bytes of this version are random, all of them.
    let [.., a, b] = Uuid::now_v7().into_bytes();
    let random = u16::from_le_bytes([a, b]) & 0xfff;
    let now = Timestamp::now();
    // The newest one of a second is the last one too.
    let millis = now.subsec_millisecond();
    format!("{}-{millis:03x}{random:03x}", now.strftime(TIME))
}

/// When the backup with this id began; `None` where that is no id.
pub(crate) fn time(id: &str) -> Option<Timestamp> {
    let (time, random) = id.split_once('-')?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if random.len() != 6 || !random.bytes().all(is_hex) {
        return None;
    }
    let time = DateTime::strptime(TIME, time).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // As it is written, and no other way: what is no id must not get into names of objects.
    (format!("{}-{random}", time.strftime(TIME)) == id).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_time_and_differ() {
        let before = Timestamp::now().as_second();
        let (one, two) = (new_id(), new_id());
        assert_ne!(one, two);
        assert!((before..=before + 5).contains(&time(&one).unwrap().as_second()), "{one}");
        let known = time("20261126T174200Z-3fa29c").unwrap();
        assert_eq!(known.to_string(), "2026-11-26T17:42:00Z");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for id in [
            "",
            "..",
            "20261126T174200Z",
            "20261126T174200Z-",
            "20261126T174200Z-3fa29",
            "20261126T174200Z-3fa29cc",
            "20261126T174200Z-3FA29C",
            "20261126T174200Z-3fa2/c",
            "20261326T174200Z-3fa29c",
            "2026112T174200Z-3fa29c",
            "+20261126T174200Z-3fa29c",
            " 20261126T174200Z-3fa29c",
            "20261126T174200Z-3fa29c/manifest",
        ] {
            assert_eq!(time(id), None, "{id:?}");
        }
    }
}
