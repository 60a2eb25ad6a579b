//! How a row is named in reports and errors: by the values of its key, and nothing else of it.

use crate::dialect::value::OwnedValue;

/// Longest part of a text or a blob that is shown, in characters.
const SHOWN: usize = 60;

/// "id=7", "rowid=12", "country=de, code=x".
pub(crate) fn name(values: &[(&str, OwnedValue)]) -> String {
    let parts: Vec<String> =
        values.iter().map(|(name, value)| format!("{name}={}", show(value))).collect();
    parts.join(", ")
}

fn show(value: &OwnedValue) -> String {
    match value {
        OwnedValue::Null => "NULL".into(),
        OwnedValue::Integer(value) => value.to_string(),
        OwnedValue::Real(value) => format!("{value:?}"),
        OwnedValue::Text(bytes) => cut(&String::from_utf8_lossy(bytes)),
        OwnedValue::Blob(bytes) => cut(&hex(bytes)),
    }
}

/// A blob as SQLite writes it, as long as it may have to be shown.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    format!("x'{digits}'")
}

fn cut(text: &str) -> String {
    // One line, whatever the text holds.
    let mut shown: String = text.chars().take(SHOWN).flat_map(printable).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn printable(character: char) -> Vec<char> {
    if character.is_control() { character.escape_default().collect() } else { vec![character] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_on_one_line() {
        let text = OwnedValue::Text(b"a\nb".to_vec());
        assert_eq!(name(&[("id", OwnedValue::Integer(7)), ("t", text)]), "id=7, t=a\\nb");
        let long = OwnedValue::Text(vec![b'x'; 200]);
        assert_eq!(name(&[("k", long)]).chars().count(), 2 + SHOWN + 1);
        assert_eq!(name(&[("k", OwnedValue::Blob(vec![0, 255]))]), "k=x'00ff'");
    }
}
