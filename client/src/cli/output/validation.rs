//! A comparison of both engines, for a person.

use switchback_client::{
    v1::{DifferenceKind, RowDifference, TableComparison, ValidateReport},
    words::word_of,
};

use super::{
    Grid, Output,
    format::{clean, count, counted, per_second, rate, seconds},
};

/// Prints the tables, then every difference that is named.
pub(crate) fn print(output: &mut Output, report: &ValidateReport) {
    if !report.tables.is_empty() {
        output.text(&tables(&report.tables));
        output.line("");
    }
    print_differences(output, report);
    output.line(&summary(report));
}

fn tables(tables: &[TableComparison]) -> String {
    let heading = [
        "TABLE",
        "SOURCE",
        "TARGET",
        "MISSING",
        "EXTRA",
        "DIFFERENT",
        "REJECTED",
        "KEPT ASIDE",
        "",
    ];
    let mut grid = Grid::new(heading).right(&[1, 2, 3, 4, 5, 6, 7]);
    for table in tables {
        let bound = if table.at_least { "≥" } else { "" };
        let found =
            |number| if number == 0 { "0".to_owned() } else { bound.to_owned() + &count(number) };
        grid.row([
            table.table.as_str(),
            &count(table.source_rows),
            &count(table.target_rows),
            &found(table.missing),
            &found(table.extra),
            &found(table.different),
            &count(table.rejected),
            &count(table.kept_aside),
            if table.matches { "equal" } else { "DIFFERS" },
        ]);
    }
    grid.to_string()
}

/// Prints the rows and objects that differ, by table.
pub(crate) fn print_differences(output: &mut Output, report: &ValidateReport) {
    output.text(&differences(report));
}

/// The same as text; empty where nothing differs.
pub(crate) fn differences(report: &ValidateReport) -> String {
    let mut text = String::new();
    for table in report.tables.iter().filter(|table| !table.differences.is_empty()) {
        text.push_str(&format!("{}\n", clean(&table.table)));
        for difference in &table.differences {
            text.push_str(&row(difference));
        }
        let named = u64::try_from(table.differences.len()).unwrap_or(u64::MAX);
        let found = table.missing.saturating_add(table.extra).saturating_add(table.different);
        if found > named {
            text.push_str(&format!("  … and {} more\n", count(found - named)));
        }
    }
    if !report.schema.is_empty() {
        text.push_str("schema\n");
    }
    for object in &report.schema {
        let names: Vec<_> = [&object.table, &object.name]
            .into_iter()
            .filter(|name| !name.is_empty())
            .map(|name| clean(name))
            .collect();
        text.push_str(&format!(
            "  {} {}: {}\n",
            clean(&object.object),
            names.join("."),
            clean(&object.message)
        ));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// `  different id=7: name, mail`
fn row(difference: &RowDifference) -> String {
    let kind = word_of::<DifferenceKind>(difference.kind);
    let mut line = format!("  {kind:<9} {}", clean(&difference.key));
    if difference.count > 1 {
        line = format!("{line} ×{}", count(difference.count));
    }
    if !difference.columns.is_empty() {
        let columns: Vec<_> = difference.columns.iter().map(|column| clean(column)).collect();
        line = format!("{line}: {}", columns.join(", "));
    }
    line + "\n"
}

fn summary(report: &ValidateReport) -> String {
    let tables = u64::try_from(report.tables.len()).unwrap_or(u64::MAX);
    let compared = format!(
        "{}, {} compared in {} ({})",
        counted(tables, "table"),
        counted(report.rows, "row"),
        seconds(report.seconds),
        per_second(rate(report.rows, report.seconds), "rows")
    );
    if report.matches {
        return format!("{compared}: both engines hold the same data");
    }
    let differing = report.tables.iter().filter(|table| !table.matches).count();
    format!(
        "{compared}: {}, {}",
        counted(u64::try_from(differing).unwrap_or(u64::MAX), "differing table"),
        counted(u64::try_from(report.schema.len()).unwrap_or(u64::MAX), "differing object")
    )
}

#[cfg(test)]
mod tests {
    use switchback_client::v1::SchemaDifference;

    use super::*;

    fn report() -> ValidateReport {
        ValidateReport {
            matches: false,
            tables: vec![TableComparison {
                table: "users".to_owned(),
                source_rows: 1000,
                target_rows: 999,
                missing: 3,
                different: 1,
                at_least: true,
                differences: vec![
                    RowDifference {
                        kind: DifferenceKind::Different.into(),
                        key: "id=7".to_owned(),
                        columns: vec!["name".to_owned(), "mail".to_owned()],
                        count: 1,
                    },
                    RowDifference {
                        kind: DifferenceKind::Missing.into(),
                        key: "a1b2".to_owned(),
                        count: 2,
                        ..Default::default()
                    },
                ],
                ..Default::default()
            }],
            schema: vec![SchemaDifference {
                object: "index".to_owned(),
                table: "users".to_owned(),
                name: "users_name".to_owned(),
                message: "missing".to_owned(),
            }],
            rows: 1000,
            seconds: 0.5,
        }
    }

    #[test]
    fn each_difference_is_named_with_key_and_columns() {
        assert_eq!(
            differences(&report()),
            "users\n  different id=7: name, mail\n  missing   a1b2 ×2\n  … and 2 more\nschema\n  \
             index users.users_name: missing\n\n"
        );
        assert!(tables(&report().tables).contains("≥3"));
    }

    #[test]
    fn the_summary_says_equal_or_not() {
        assert_eq!(
            summary(&report()),
            "1 table, 1,000 rows compared in 0.50 s (2,000 rows/s): 1 differing table, 1 differing \
             object"
        );
        let equal = ValidateReport { matches: true, ..Default::default() };
        assert!(summary(&equal).ends_with("both engines hold the same data"));
    }
}
