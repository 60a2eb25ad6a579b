//! Findings, the worst first.

use std::{cmp::Reverse, collections::BTreeMap};

use switchback_client::{
    v1::{Disposition, Finding, Severity},
    words::{Word, word_of},
};

use super::format::{clean, count, counted};

/// More examples than this belong into a query.
const MOST_EXAMPLES: usize = 5;

/// Something stands in the way of a migration.
pub(crate) fn has_blocker(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity() == Severity::Blocker)
}

/// `1 blocker, 2 warnings, 3 notes`; empty for none.
pub(crate) fn tally(findings: &[Finding]) -> String {
    let mut parts = Vec::new();
    for severity in [Severity::Blocker, Severity::Warning, Severity::Note] {
        let found = findings.iter().filter(|finding| finding.severity() == severity).count();
        if found > 0 {
            parts.push(counted(u64::try_from(found).unwrap_or(u64::MAX), &severity.word()));
        }
    }
    parts.join(", ")
}

/// What a group of findings shares: said once for all its tables and columns.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group<'a> {
    /// The worst first.
    rank: Reverse<i32>,
    code: &'a str,
    hint: &'a str,
}

/// Findings grouped by severity and code; empty for none.
pub(crate) fn render(findings: &[Finding]) -> String {
    let mut groups: BTreeMap<Group<'_>, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let group =
            Group { rank: Reverse(finding.severity), code: &finding.code, hint: &finding.hint };
        groups.entry(group).or_default().push(finding);
    }
    let mut text = String::new();
    for (group, findings) in groups {
        let severity = word_of::<Severity>(group.rank.0);
        text.push_str(&format!("{severity} {}\n", clean(group.code)));
        for finding in &findings {
            text.push_str(&line(finding));
        }
        if !group.hint.is_empty() {
            text.push_str(&format!("  hint: {}\n", clean(group.hint)));
        }
        if let Some(choices) = findings.first().and_then(|finding| choices(finding)) {
            text.push_str(&format!("  choices: {choices}\n"));
        }
    }
    text
}

/// `  users.name ×3: text holds NUL (id=7, id=9, …)`
fn line(finding: &Finding) -> String {
    let place = match (finding.table.as_str(), finding.column.as_str()) {
        ("", _) => "database".to_owned(),
        (table, "") => clean(table).into_owned(),
        (table, column) => format!("{}.{}", clean(table), clean(column)),
    };
    let times =
        if finding.count > 1 { format!(" ×{}", count(finding.count)) } else { String::new() };
    let message = clean(&finding.message);
    let mut examples: Vec<_> =
        finding.examples.iter().take(MOST_EXAMPLES).map(|example| clean(example)).collect();
    if finding.examples.len() > MOST_EXAMPLES
        || (!examples.is_empty()
            && finding.count > u64::try_from(examples.len()).unwrap_or(u64::MAX))
    {
        examples.push("…".into());
    }
    let examples =
        if examples.is_empty() { String::new() } else { format!(" ({})", examples.join(", ")) };
    format!("  {place}{times}: {message}{examples}\n")
}

/// `--on nul_in_text=encode or --on nul_in_text=reject`
fn choices(finding: &Finding) -> Option<String> {
    let choices: Vec<_> = finding
        .choices()
        .filter(|choice| !matches!(choice, Disposition::Fail | Disposition::Unspecified))
        .map(|choice| format!("--on {}={}", clean(&finding.code), choice.word()))
        .collect();
    (!choices.is_empty()).then(|| choices.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, code: &str, column: &str) -> Finding {
        Finding {
            code: code.to_owned(),
            severity: severity.into(),
            table: "users".to_owned(),
            column: column.to_owned(),
            count: 9,
            message: "text holds NUL".to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn the_worst_comes_first_and_a_code_is_said_once() {
        let mut blocker = finding(Severity::Blocker, "nul_in_text", "name");
        blocker.examples = vec!["id=7".to_owned(), "id=9".to_owned()];
        blocker.hint = "choose".to_owned();
        blocker.choices =
            [Disposition::Fail, Disposition::Encode, Disposition::Reject].map(i32::from).to_vec();
        let findings = [
            finding(Severity::Note, "plain", ""),
            blocker.clone(),
            Finding { column: "mail".to_owned(), examples: Vec::new(), ..blocker },
        ];
        assert_eq!(
            render(&findings),
            "blocker nul_in_text\n  users.name ×9: text holds NUL (id=7, id=9, …)\n  \
             users.mail ×9: text holds NUL\n  hint: choose\n  \
             choices: --on nul_in_text=encode or --on nul_in_text=reject\nnote plain\n  \
             users ×9: text holds NUL\n"
        );
        assert_eq!(tally(&findings), "2 blockers, 1 note");
        assert!(has_blocker(&findings));
        assert!(!has_blocker(&findings[..1]));
    }

    #[test]
    fn nothing_found_is_nothing_said() {
        assert_eq!(render(&[]), "");
        assert_eq!(tally(&[]), "");
    }
}
