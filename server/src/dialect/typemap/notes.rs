//! Findings about columns.

use switchback_proto::v1::{Choice, Disposition, Finding, Severity};

use super::{
    super::{
        codec::EpochUnit,
        facts::ColumnFacts,
        schema::{Affinity, Column, Table},
        value::Class,
    },
    declared::{Declared, Family},
    plain::count,
};

const CHOICES: [Disposition; 3] = [Disposition::Fail, Disposition::Encode, Disposition::Reject];

/// A column that is being decided.
pub(super) struct Subject<'a> {
    pub(super) table: &'a Table,
    pub(super) column: &'a Column,
    pub(super) facts: &'a ColumnFacts,
    pub(super) choices: &'a [Choice],
}

impl Subject<'_> {
    pub(super) fn choice(&self, code: &str) -> Disposition {
        // The last one said wins.
        let chosen = self.choices.iter().rev().find(|choice| choice.code == code);
        match chosen.map(Choice::disposition) {
            Some(Disposition::Encode) => Disposition::Encode,
            Some(Disposition::Reject) => Disposition::Reject,
            _ => Disposition::Fail,
        }
    }

    fn finding(&self, code: &str, severity: Severity, message: String, hint: &str) -> Finding {
        let oddity = self.facts.oddity(code);
        Finding {
            code: code.to_owned(),
            severity: severity.into(),
            table: self.table.name.clone(),
            column: self.column.name.clone(),
            count: oddity.map_or(0, |oddity| oddity.count),
            examples: oddity.map(|oddity| oddity.examples.clone()).unwrap_or_default(),
            message,
            hint: hint.to_owned(),
            choices: Vec::new(),
        }
    }

    /// A blocker that a choice makes something lighter.
    fn choosable(&self, code: &str, message: &str, encoded: &str) -> Finding {
        let (severity, outcome, hint) = match self.choice(code) {
            Disposition::Encode => (Severity::Note, encoded, String::new()),
            Disposition::Reject => (
                Severity::Warning,
                "these rows go to switchback.rejects, not to the table",
                String::new(),
            ),
            _ => (
                Severity::Blocker,
                "the migration does not start without a choice",
                format!(
                    "correct the rows in the source, or say --on {code}=encode ({encoded}) or \
                     --on {code}=reject (these rows are kept in switchback.rejects)"
                ),
            ),
        };
        let mut finding = self.finding(code, severity, format!("{message}; {outcome}"), &hint);
        finding.choices = CHOICES.map(i32::from).to_vec();
        finding
    }

    pub(super) fn mixed(&self, kept: &ColumnFacts) -> Finding {
        let classes: Vec<String> = [
            (Class::Integer, "INTEGER"),
            (Class::Real, "REAL"),
            (Class::Text, "TEXT"),
            (Class::Blob, "BLOB"),
        ]
        .into_iter()
        .filter(|(class, _)| count(self.facts, *class) > 0)
        .map(|(class, name)| format!("{} {name}", count(self.facts, class)))
        .collect();
        let message =
            format!("the column holds values of several storage classes: {}", classes.join(", "));
        let encoded = "the column becomes text with a letter for the class before each value";
        let mut finding = self.choosable("mixed_types", &message, encoded);
        finding.count = self.facts.values() - kept.values();
        finding
    }

    pub(super) fn text_fault(&self, code: &str) -> Finding {
        let message = match code {
            "nul_in_text" => "text holds a NUL, which PostgreSQL's text cannot",
            _ => "text is not valid UTF-8, which PostgreSQL's text has to be",
        };
        let encoded = "backslash, NUL and invalid bytes are written as escapes";
        self.choosable(code, message, encoded)
    }

    pub(super) fn utf16(&self) -> Option<Finding> {
        self.facts.oddity("invalid_utf16")?;
        Some(self.finding(
            "invalid_utf16",
            Severity::Blocker,
            "text of this UTF-16 file holds half a surrogate pair, which SQLite itself changes \
             when it is read"
                .to_owned(),
            "correct these rows in the source; CAST(column AS BLOB) shows what is stored",
        ))
    }

    pub(super) fn epoch(&self, unit: EpochUnit) -> Finding {
        let (name, codec) = match unit {
            EpochUnit::Seconds => ("seconds", "epoch-s"),
            EpochUnit::Milliseconds => ("milliseconds", "epoch-ms"),
            EpochUnit::Microseconds => ("microseconds", "epoch-us"),
        };
        let mut finding = self.finding(
            "epoch_timestamps",
            Severity::Warning,
            format!(
                "integers taken for {name} since 1970-01-01 UTC: all of them then lie between \
                 1990 and 2100 (codec timestamptz:{codec})"
            ),
            "to keep the numbers, give the column the type bigint and the codec integer in the plan",
        );
        finding.count = self.facts.integers;
        finding
    }

    /// Why a type that the declaration suggests was not taken; none where `mixed_types` says so.
    pub(super) fn not_rich(&self, family: Family) -> Option<Finding> {
        let code = family.code();
        let declared = &self.column.declared;
        if self.facts.oddity(code).is_none() {
            return self.several_forms(family);
        }
        let (severity, what) = match family {
            Family::Bool => (Severity::Note, "values other than one pair for false and true"),
            Family::Date | Family::Time | Family::Timestamp { .. } => {
                (Severity::Warning, "values that are no date or time, or in no form that is known")
            }
            Family::Uuid => (Severity::Note, "values in no known form of a UUID"),
            Family::Json => (Severity::Note, "values that are not valid JSON"),
            Family::Numeric(_) => (Severity::Note, "values that the declared digits do not hold"),
            Family::Varchar(_) => (Severity::Note, "values longer than declared"),
        };
        Some(self.finding(
            code,
            severity,
            format!("declared {declared}, but with {what}: kept as they are in a wider type"),
            "correct the rows in the source and plan again for the declared type",
        ))
    }

    fn several_forms(&self, family: Family) -> Option<Finding> {
        let faulty = ["nul_in_text", "invalid_utf8", "invalid_utf16"]
            .iter()
            .any(|code| self.facts.oddity(code).is_some());
        if faulty
            || super::is_mixed(self.column, self.facts)
            || matches!(family, Family::Varchar(_))
        {
            return None;
        }
        let declared = &self.column.declared;
        let epochs = self.facts.integers > 0 && matches!(family, Family::Timestamp { .. });
        let what = if epochs {
            "integers of no one unit between 1990 and 2100"
        } else if matches!(family, Family::Numeric(_)) {
            "values that are not numbers"
        } else {
            "values in more than one form"
        };
        let mut finding = self.finding(
            "several_forms",
            Severity::Note,
            format!("declared {declared}, but with {what}: kept as they are in a plain type"),
            "bring the rows into one form in the source and plan again for the declared type",
        );
        finding.count = self.facts.values();
        Some(finding)
    }

    /// SQLite has stored text as numbers, because of how the type was spelt.
    pub(super) fn numbers_from_text(&self) -> Option<Finding> {
        let numbers = self.facts.integers + self.facts.reals;
        let means_text = Declared::parse(&self.column.declared).means_text();
        if self.column.affinity != Affinity::Numeric || numbers == 0 || !means_text {
            return None;
        }
        let mut finding = self.finding(
            "numeric_affinity",
            Severity::Warning,
            format!(
                "declared {}, which SQLite takes for a number: text such as 007 or 1e3 has been \
                 stored as 7 or 1000 already",
                self.column.declared
            ),
            "what was lost is lost in the source; compare it with where the values came from",
        );
        finding.count = numbers;
        Some(finding)
    }
}
