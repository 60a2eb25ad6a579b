//! The sections that show time: phases, rates, lag, and the cutover.

use switchback_client::{
    v1::{OperationKind, Phase, result_event::Report},
    words::Word,
};

use super::{
    super::output::format::{as_f64, count, per_second, rate, seconds},
    axis::short,
    chart::{Chart, Part, bar},
    history::{History, Stretch},
    html::{paragraph, table},
    rates,
    sections::{held, report},
};

fn took(stretch: &Stretch) -> f64 {
    stretch.ended - stretch.began
}

/// Each phase with how long it took.
pub(super) fn phases(history: &History) -> String {
    if history.stretches.is_empty() {
        return paragraph("It had not begun a phase.");
    }
    let rows: Vec<[String; 5]> = history
        .stretches
        .iter()
        .map(|stretch| {
            let done = rows_of(history, stretch);
            let speed = if done > 0 && took(stretch) > 0.0 {
                per_second(rate(done, took(stretch)), "rows")
            } else {
                String::new()
            };
            let done = if done > 0 { count(done) } else { String::new() };
            [stretch.phase.clone(), seconds(stretch.began), seconds(took(stretch)), done, speed]
        })
        .collect();
    let heading = ["phase", "began after", "took", "rows", "rate"];
    bar("How long each phase took", &parts(history)) + &table(heading, 1..5, &rows)
}

/// The phases, and at the end of the switch how long writers were held.
fn parts(history: &History) -> Vec<Part> {
    let switch = switch(history).zip(pause_ms(history));
    let mut parts = Vec::new();
    for (index, stretch) in history.stretches.iter().enumerate() {
        let held = switch.filter(|(switch, _)| std::ptr::eq(*switch, stretch)).map(|(_, ms)| ms);
        let whole = took(stretch);
        let seconds_held = held.map_or(0.0, |ms| (ms / 1000.0).min(whole));
        parts.push(Part {
            label: stretch.phase.clone(),
            seconds: whole - seconds_held,
            took: seconds(whole),
            class: format!("part{}", index % 8),
        });
        parts.extend(held.map(|ms| held_part(seconds_held, ms)));
    }
    parts
}

fn held_part(seconds: f64, ms: f64) -> Part {
    let (label, class) = ("writers held".to_owned(), "held".to_owned());
    Part { label, seconds, took: format!("{ms:.1} ms"), class }
}

/// What was told on the way; of the copy of a migration that has ended, what its report says.
fn rows_of(history: &History, stretch: &Stretch) -> u64 {
    match report(history) {
        Some(Report::Migrate(report)) if stretch.phase == Phase::Copying.word() => report.rows,
        _ => stretch.rows(),
    }
}

/// Rows a second over time, while they were copied and while they were compared.
pub(super) fn progress(history: &History) -> String {
    let copied = history.of_phase(Phase::Copying);
    let compared: Vec<&Stretch> = history.busiest(Phase::Validating).into_iter().collect();
    let drawn = of_rates("Rows copied per second", &copied)
        + &of_rates("Rows compared per second", &compared);
    if drawn.is_empty() && history.operation.kind() == OperationKind::Migrate {
        return paragraph("No rates over time: nothing is recorded of how its rows came along.");
    }
    drawn
}

fn of_rates(title: &str, stretches: &[&Stretch]) -> String {
    let Some(rates) = rates::rates(stretches) else { return String::new() };
    let (span, columns) = (rates.to - rates.from, rates.columns);
    let number = as_f64(u64::try_from(columns.len()).unwrap_or(u64::MAX));
    let most = columns.iter().copied().fold(0.0, f64::max);
    let mean = columns.iter().sum::<f64>() / number;
    let mut at = 0.0;
    let points = columns.into_iter().map(|rate| {
        let point = (at, rate);
        at += span / number;
        point
    });
    Chart {
        title,
        note: format!("{} at most, {} on average", short(most), short(mean)),
        points: points.collect(),
        span,
        mark: None,
    }
    .html()
}

/// How far the other engine was behind, when the active one was switched, and for how long writers
/// waited.
pub(super) fn cutover(history: &History) -> String {
    let switch = switch(history);
    let mut text = lag(history, switch);
    let Some(pause_ms) = pause_ms(history) else { return text };
    if let Some(switch) = switch {
        text.push_str(&pause(took(switch), pause_ms));
    }
    let epoch = match report(history) {
        Some(Report::Migrate(report)) => report.cutover.as_ref().map_or(0, |cutover| cutover.epoch),
        Some(Report::Cutover(report)) => report.epoch,
        Some(Report::Rollback(report)) => report.epoch,
        _ => 0,
    };
    text.push_str(&paragraph(&format!("{}; epoch {epoch}", held(pause_ms))));
    text
}

fn switch(history: &History) -> Option<&Stretch> {
    let switch = [Phase::CuttingOver, Phase::RollingBack];
    switch.iter().find_map(|phase| history.of_phase(*phase).into_iter().next_back())
}

/// For how long writers were held; `None` where nothing was switched.
pub(super) fn pause_ms(history: &History) -> Option<f64> {
    match report(history)? {
        Report::Migrate(report) => {
            let cutover = report.cutover.as_ref().filter(|cutover| cutover.forecast.is_none());
            cutover.map(|cutover| cutover.write_pause_ms)
        }
        Report::Cutover(report) if report.forecast.is_none() => Some(report.write_pause_ms),
        Report::Rollback(report) if report.forecast.is_none() => Some(report.write_pause_ms),
        _ => None,
    }
}

/// Writers are held at the end of the switch, until it is decided.
fn pause(switch: f64, pause_ms: f64) -> String {
    let held = (pause_ms / 1000.0).min(switch);
    let open = Part {
        label: "writers go on".to_owned(),
        seconds: switch - held,
        took: seconds(switch - held),
        class: "open".to_owned(),
    };
    let parts = [open, held_part(held, pause_ms)];
    bar("The switch, and how much of it writers were held", &parts)
}

fn lag(history: &History, switch: Option<&Stretch>) -> String {
    let Some(((from, ..), (last, ..))) = history.lag.first().zip(history.lag.last()) else {
        let followed = history.busiest(Phase::Following).is_some();
        let none = "No lag over time: nothing is recorded of it.";
        return if followed { paragraph(none) } else { String::new() };
    };
    let switch = switch.filter(|switch| switch.began >= *from);
    let to = switch.map_or(*last, |switch| switch.ended.max(*last));
    let most = history.lag.iter().map(|(_, changes, _)| *changes).max().unwrap_or_default();
    let oldest = history.lag.iter().map(|(.., oldest)| *oldest).max().unwrap_or_default();
    if most == 0 {
        return paragraph("Whenever the lag was told, no change waited to be applied.");
    }
    let marked = if switch.is_some() { "; the switch is marked" } else { "" };
    let note =
        format!("{} at most, the oldest of them {} ms old{marked}", count(most), count(oldest));
    let chart = Chart {
        title: "Changes that wait to be applied",
        note: note.clone(),
        points: history.lag.iter().map(|(at, changes, _)| (at - from, as_f64(*changes))).collect(),
        span: to - from,
        mark: switch.map(|switch| (switch.began - from, switch.ended - from)),
    }
    .html();
    if chart.is_empty() { paragraph(&format!("changes that waited: {note}")) } else { chart }
}
