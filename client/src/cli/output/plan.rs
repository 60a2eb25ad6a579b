//! A plan, for a person.

use switchback_client::v1::{ColumnPlan, GuardMode, Plan, PlanReport, TablePlan};

use super::{
    Grid, Output, findings,
    format::{bytes, clean, count, counted, seconds},
};

/// Prints tables, columns, views and findings, then the summary.
pub(crate) fn print(output: &mut Output, report: &PlanReport) {
    let Some(plan) = &report.plan else { return };
    if !plan.tables.is_empty() {
        output.text(&tables(plan));
        output.line("");
        output.text(&columns(plan));
        output.line("");
    }
    if !plan.views.is_empty() {
        output.text(&views(plan));
        output.line("");
    }
    if !plan.findings.is_empty() {
        output.text(&findings::render(&plan.findings));
        output.line("");
    }
    output.line(&summary(report, plan));
}

/// `3 tables, 1,204 rows, 98.3 kB read in 0.10 s; target schema public; 1 blocker, 2 notes`
pub(crate) fn summary(report: &PlanReport, plan: &Plan) -> String {
    let rows = plan.tables.iter().fold(0_u64, |sum, table| sum.saturating_add(table.rows));
    let tally = findings::tally(&plan.findings);
    format!(
        "{}, {}, {} read in {}; target schema {}; {}{}",
        counted(u64::try_from(plan.tables.len()).unwrap_or(u64::MAX), "table"),
        counted(rows, "row"),
        bytes(plan.source_bytes),
        seconds(report.seconds),
        clean(&plan.target_schema),
        if plan.guards() == GuardMode::Lenient { "guards lenient; " } else { "" },
        if tally.is_empty() { "no findings".to_owned() } else { tally },
    )
}

fn tables(plan: &Plan) -> String {
    let mut grid =
        Grid::new(["TABLE", "ROWS", "COLUMNS", "INDEXES", "FOREIGN KEYS", "PRIMARY KEY"])
            .right(&[1, 2, 3, 4]);
    for table in &plan.tables {
        grid.row([
            renamed(&table.source, &table.target),
            count(table.rows),
            table.columns.len().to_string(),
            table.indexes.len().to_string(),
            table.foreign_keys.len().to_string(),
            table.primary_key.join(", "),
        ]);
    }
    grid.to_string()
}

fn columns(plan: &Plan) -> String {
    let mut grid = Grid::new(["TABLE", "COLUMN", "DECLARED", "TARGET TYPE", "REASON"]);
    for table in &plan.tables {
        for (index, column) in table.columns.iter().enumerate() {
            grid.row([
                // Said once: the eye finds the next table.
                if index == 0 { table_name(table) } else { String::new() },
                renamed(&column.source, &column.target),
                column.declared.clone(),
                target_type(column),
                column.reason.clone(),
            ]);
        }
    }
    grid.to_string()
}

fn views(plan: &Plan) -> String {
    let mut grid = Grid::new(["VIEW", "COLUMNS"]);
    for view in &plan.views {
        grid.row([renamed(&view.source, &view.target), view.columns.join(", ")]);
    }
    grid.to_string()
}

fn table_name(table: &TablePlan) -> String {
    renamed(&table.source, &table.target)
}

/// `Users → users` where the target has another name.
fn renamed(source: &str, target: &str) -> String {
    if source == target || target.is_empty() {
        source.to_owned()
    } else {
        format!("{source} → {target}")
    }
}

fn target_type(column: &ColumnPlan) -> String {
    let mut text = column.r#type.clone();
    for (holds, word) in [
        (column.identity, " identity"),
        (!column.generated.is_empty(), " generated"),
        (column.not_null, " not null"),
    ] {
        if holds {
            text.push_str(word);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_columns_are_listed_with_their_reason() {
        let plan = Plan {
            target_schema: "public".to_owned(),
            source_bytes: 8192,
            tables: vec![TablePlan {
                source: "Users".to_owned(),
                target: "users".to_owned(),
                rows: 1204,
                columns: vec![
                    ColumnPlan {
                        source: "id".to_owned(),
                        target: "id".to_owned(),
                        declared: "INTEGER".to_owned(),
                        r#type: "bigint".to_owned(),
                        identity: true,
                        not_null: true,
                        reason: "rowid alias".to_owned(),
                        ..Default::default()
                    },
                    ColumnPlan {
                        source: "name".to_owned(),
                        target: "name".to_owned(),
                        r#type: "text".to_owned(),
                        ..Default::default()
                    },
                ],
                primary_key: vec!["id".to_owned()],
                ..Default::default()
            }],
            ..Default::default()
        };
        let columns = columns(&plan);
        let lines: Vec<_> = columns.lines().collect();
        assert_eq!(
            lines,
            [
                "TABLE          COLUMN  DECLARED  TARGET TYPE               REASON",
                "Users → users  id      INTEGER   bigint identity not null  rowid alias",
                "               name              text",
            ]
        );
        assert_eq!(tables(&plan).lines().count(), 2);
        let report = PlanReport { seconds: 0.1, ..Default::default() };
        assert_eq!(
            summary(&report, &plan),
            "1 table, 1,204 rows, 8.2 kB read in 0.10 s; target schema public; no findings"
        );
        let lenient = Plan { guards: GuardMode::Lenient.into(), ..plan };
        assert!(summary(&report, &lenient).ends_with("public; guards lenient; no findings"));
    }
}
