//! Round numbers beside a picture, and few of them: they are read on a telephone, too.

use super::super::output::format::{as_f64, whole};

/// At most so many steps between the ends of an axis.
const STEPS: f64 = 4.0;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 86_400.0;

/// Steps of seconds that people count in; below them and above, powers of ten.
const TIMES: [f64; 16] = [
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    30.0,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    20.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    3.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
];

/// A place on an axis, and what is written there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// From 0 upwards; the last one is not below `most`.
pub(super) fn figures(most: f64) -> Vec<Tick> {
    // Half a row is none.
    let step = round_step(most / STEPS).max(1.0);
    let count = whole((most / step).ceil()).max(1);
    (0..=count).map(|n| as_f64(n) * step).map(|at| Tick { at, label: short(at) }).collect()
}

/// From 0 to `span` seconds.
pub(super) fn times(span: f64) -> Vec<Tick> {
    let least = span / STEPS;
    let step = if least < 1.0 {
        round_step(least)
    } else if least > 12.0 * HOUR {
        round_step(least / DAY) * DAY
    } else {
        TIMES.into_iter().find(|step| *step >= least).unwrap_or(DAY)
    };
    if step <= 0.0 || !step.is_finite() {
        return Vec::new();
    }
    let count = whole((span / step + 1e-6).floor());
    (0..=count).map(|n| as_f64(n) * step).map(|at| Tick { at, label: time(at, step) }).collect()
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    if least <= 0.0 || !least.is_finite() {
        return 0.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().map(|step| step * power);
    step.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

fn time(at: f64, step: f64) -> String {
    let (unit, name) = match step {
        step if step < 0.2 => (0.001, "ms"),
        step if step < MINUTE => (1.0, "s"),
        step if step < HOUR => (MINUTE, "min"),
        step if step < DAY => (HOUR, "h"),
        _ => (DAY, "d"),
    };
    let digits = usize::from(step / unit < 0.95);
    format!("{:.digits$} {name}", at / unit)
}

/// `950`, `12 k`, `1.5 M`
pub(super) fn short(figure: f64) -> String {
    let (unit, name) = match figure {
        figure if figure < 1e3 => return format!("{figure:.0}"),
        figure if figure < 1e6 => (1e3, "k"),
        figure if figure < 1e9 => (1e6, "M"),
        _ => (1e9, "G"),
    };
    let number = format!("{:.1}", figure / unit);
    format!("{} {name}", number.trim_end_matches(".0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn figures_are_round_and_reach_above_the_largest() {
        assert_eq!(labels(&figures(7.0)), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(&figures(0.0)), ["0", "1"]);
        assert_eq!(labels(&figures(588_000.0)), ["0", "200 k", "400 k", "600 k"]);
        assert_eq!(labels(&figures(3_100_000.0)), ["0", "1 M", "2 M", "3 M", "4 M"]);
        for most in [1.0, 3.0, 99.0, 101.0, 12_345.0, 9.9e9] {
            let ticks = figures(most);
            assert!(ticks.len() <= 6 && ticks.last().unwrap().at >= most, "{most}: {ticks:?}");
        }
    }

    #[test]
    fn times_are_those_that_people_count_in() {
        assert_eq!(labels(&times(0.35)), ["0 ms", "100 ms", "200 ms", "300 ms"]);
        assert_eq!(labels(&times(1.9)), ["0.0 s", "0.5 s", "1.0 s", "1.5 s"]);
        assert_eq!(labels(&times(95.0)), ["0 s", "30 s", "60 s", "90 s"]);
        assert_eq!(labels(&times(4000.0)), ["0 min", "20 min", "40 min", "60 min"]);
        assert_eq!(labels(&times(3.0 * DAY)), ["0 d", "1 d", "2 d", "3 d"]);
        assert_eq!(times(0.0), []);
        for span in [1e-3, 0.2, 7.0, 59.0, 61.0, 3599.0, 86_399.0, 1e7] {
            assert!((2..=5).contains(&times(span).len()), "{span}: {:?}", times(span));
        }
    }
}
