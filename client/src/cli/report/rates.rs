//! Rates from figures that are told now and then: between two of a table, it went evenly.

use std::collections::BTreeMap;

use super::{
    super::output::format::as_f64,
    history::{Figure, Stretch},
};

/// More columns than this are narrower than a telephone shows.
const COLUMNS: usize = 60;

/// Rows of one table from one time to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    from: f64,
    to: f64,
    rows: u64,
}

/// Rows a second, for parts of a time that are equally long.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rates {
    pub(super) from: f64,
    pub(super) to: f64,
    /// In the order of time.
    pub(super) columns: Vec<f64>,
}

/// How long a table took, and how many rows that were, as far as it was told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Pace {
    pub(super) seconds: f64,
    pub(super) rows: u64,
}

/// Rates of all tables in some stretches of one phase; `None` where nothing was told.
pub(super) fn rates(stretches: &[&Stretch]) -> Option<Rates> {
    let (from, to) = (stretches.first()?.began, stretches.last()?.ended);
    let steps: Vec<Step> = steps(stretches).into_values().flatten().collect();
    if steps.is_empty() || to <= from {
        return None;
    }
    let count = steps.len().clamp(1, COLUMNS);
    let width = (to - from) / float(count);
    let column = |number: usize| {
        let began = from + float(number) * width;
        steps.iter().map(|step| within(step, began, began + width)).sum::<f64>() / width
    };
    Some(Rates { from, to, columns: (0..count).map(column).collect() })
}

/// How fast each table was; without those that were told of only once: nobody knows when they
/// began.
pub(super) fn paces(stretches: &[&Stretch]) -> BTreeMap<String, Pace> {
    let paces = steps(stretches).into_iter().filter(|(_, steps)| steps.len() > 1);
    let paces = paces.map(|(table, steps)| {
        let seconds = steps.iter().map(|step| step.to - step.from).sum();
        (table, Pace { seconds, rows: steps.iter().map(|step| step.rows).sum() })
    });
    paces.filter(|(_, pace)| pace.seconds > 0.0).collect()
}

/// What each table did, one step for each figure.
fn steps(stretches: &[&Stretch]) -> BTreeMap<String, Vec<Step>> {
    let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    for stretch in stretches {
        let mut tables: BTreeMap<&str, Vec<Step>> = BTreeMap::new();
        for Figure { at, table, rows, .. } in &stretch.figures {
            // After a restart a table goes on from where it was.
            let before = done.insert(table, *rows).filter(|before| before <= rows).unwrap_or(0);
            let told = tables.entry(table).or_default();
            let from = told.last().map_or(stretch.began, |step| step.to);
            told.push(Step { from, to: *at, rows: rows - before });
        }
        let mean = pace_of(tables.values().flatten(), stretch.ended - stretch.began);
        for (table, mut told) in tables {
            begin(&mut told, mean);
            steps.entry(table.to_owned()).or_default().append(&mut told);
        }
    }
    steps
}

fn pace_of<'a>(steps: impl Iterator<Item = &'a Step>, seconds: f64) -> f64 {
    as_f64(steps.map(|step| step.rows).sum()) / seconds
}

/// When a table began is not told: its first rows came as fast as those after them, or, where
/// there are none, as fast as all of the phase's; never before the phase.
fn begin(steps: &mut [Step], mean: f64) {
    let Some((first, later)) = steps.split_first_mut() else { return };
    let seconds = later.last().map_or(0.0, |last| last.to - first.to);
    let own = pace_of(later.iter(), seconds);
    let pace = if own.is_finite() && own > 0.0 { own } else { mean };
    let took = as_f64(first.rows) / pace;
    if took.is_finite() {
        first.from = first.from.max(first.to - took);
    }
}

/// How many of a step's rows fall into a time; those of a moment fall into the time that ends
/// with it.
fn within(step: &Step, from: f64, to: f64) -> f64 {
    let rows = as_f64(step.rows);
    if step.to <= step.from {
        return if from < step.to && step.to <= to { rows } else { 0.0 };
    }
    let shared = (step.to.min(to) - step.from.max(from)).max(0.0);
    rows * shared / (step.to - step.from)
}

fn float(number: usize) -> f64 {
    as_f64(u64::try_from(number).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(began: f64, ended: f64, figures: &[(f64, &str, u64)]) -> Stretch {
        let figure = |(at, table, rows): &(f64, &str, u64)| Figure {
            at: *at,
            table: (*table).to_owned(),
            rows: *rows,
            bytes: 0,
        };
        let figures = figures.iter().map(figure).collect();
        Stretch { phase: "copying".into(), began, ended, figures }
    }

    #[test]
    fn rows_fall_evenly_between_the_figures_of_a_table() {
        let figures = [(12.0, "a", 10), (12.5, "b", 30), (14.0, "a", 50), (14.0, "c", 10)];
        let of = stretch(10.0, 14.0, &figures);
        let rates = rates(&[&of]).unwrap();
        assert_eq!((rates.from, rates.to), (10.0, 14.0));
        // a: 20 a second, from 11.5 on. b and c: as fast as all, 22.5 a second.
        let near = |found: f64, wanted: f64| (found - wanted).abs() < 0.01;
        let sum = rates.columns.iter().sum::<f64>();
        assert!(near(sum, 90.0) && near(rates.columns[3], 30.0), "{:?}", rates.columns);
        assert!(rates.columns.iter().all(|rate| *rate < 45.0), "{:?}", rates.columns);
        let paces = paces(&[&of]);
        assert_eq!(paces["a"], Pace { seconds: 2.5, rows: 50 });
        assert_eq!(paces.len(), 1);
    }

    #[test]
    fn after_a_restart_a_table_goes_on_and_one_that_begins_again_counts_again() {
        let before = stretch(0.0, 2.0, &[(1.0, "a", 100), (2.0, "b", 40)]);
        let after = stretch(8.0, 10.0, &[(9.0, "a", 150), (10.0, "b", 10)]);
        let rates = rates(&[&before, &after]).unwrap();
        assert_eq!(rates.columns.iter().sum::<f64>() * 2.5, 100.0 + 40.0 + 50.0 + 10.0);
    }

    #[test]
    fn nothing_told_has_no_rate_and_one_figure_no_pace() {
        assert_eq!(rates(&[]), None);
        assert_eq!(rates(&[&stretch(0.0, 1.0, &[])]), None);
        let once = stretch(0.0, 1.0, &[(0.5, "a", 7)]);
        assert!(paces(&[&once]).is_empty());
        assert_eq!(rates(&[&once]).unwrap().columns, [7.0]);
        let moment = stretch(0.0, 1.0, &[(0.5, "a", 7), (0.5, "a", 9)]);
        assert_eq!(rates(&[&moment]).unwrap().columns.iter().sum::<f64>() * 0.5, 9.0);
    }
}
