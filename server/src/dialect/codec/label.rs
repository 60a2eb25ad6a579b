//! Labels of an enum.

use super::{Refusal, intern::Interner, text::check_text};

/// Labels of an enum, in its order. In a codec's name `|` stands between them; a backslash stands
/// before `|` and before itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Labels(Vec<String>);

static LABELS: Interner<Labels> = Interner::new();

impl Labels {
    /// None where there is no label: such an enum has no value.
    pub fn new(labels: &[String]) -> Option<&'static Self> {
        (!labels.is_empty()).then(|| LABELS.get(Self(labels.to_vec())))
    }

    /// Each label.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn named(name: &str) -> Option<&'static Self> {
        let mut labels = vec![String::new()];
        let mut rest = name.chars();
        while let Some(character) = rest.next() {
            let character = match character {
                '|' => {
                    labels.push(String::new());
                    continue;
                }
                '\\' => rest.next().filter(|escaped| matches!(escaped, '\\' | '|'))?,
                other => other,
            };
            labels.last_mut()?.push(character);
        }
        Self::new(&labels)
    }

    pub(super) fn name(&self) -> String {
        let escaped = self.iter().map(|label| label.replace('\\', "\\\\").replace('|', "\\|"));
        escaped.collect::<Vec<_>>().join("|")
    }

    pub(super) fn check(&self, text: &[u8]) -> Result<(), Refusal> {
        check_text(text)?;
        if self.iter().any(|label| label.as_bytes() == text) { Ok(()) } else { Err(Refusal::Form) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_go_into_a_name_and_back() {
        for labels in [&["a", "b"][..], &[""], &["", "x"], &["a|b", "c\\", "\\|", "d:e", "é "]] {
            let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
            let labels = Labels::new(&labels).unwrap();
            assert_eq!(Labels::named(&labels.name()), Some(labels));
        }
        assert_eq!(Labels::new(&[]), None);
        assert_eq!(Labels::named("a\\b"), None);
        assert_eq!(Labels::named("a\\"), None);
    }

    #[test]
    fn only_labels_pass() {
        let mood = Labels::named("sad|happy").unwrap();
        assert_eq!(mood.check(b"sad"), Ok(()));
        assert_eq!(mood.check(b"Sad"), Err(Refusal::Form));
        assert_eq!(mood.check(b"sad|happy"), Err(Refusal::Form));
    }
}
