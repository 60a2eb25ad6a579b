//! Pictures as inline SVG: phases as a bar, and figures over time.

use std::fmt::Write;

use super::{
    super::output::format::{as_f64, count, seconds},
    html::escape,
};

/// The picture's own units; the page scales it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
/// Room for the figures of the upright axis, and below for the times.
const LEFT: f64 = 90.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 12.0;

/// More points than this are drawn over each other.
const POINTS: usize = 1000;

/// A figure over time.
#[derive(Debug, Clone)]
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// Seconds and figures, in the order of time.
    pub(super) points: Vec<(f64, u64)>,
    pub(super) from: f64,
    pub(super) to: f64,
    /// A figure stays what it was until the next one.
    pub(super) steps: bool,
    /// Times that are marked: the cutover.
    pub(super) mark: Option<(f64, f64)>,
}

impl Chart<'_> {
    /// Empty where there are less than two points.
    pub(super) fn svg(&self) -> String {
        if self.points.len() < 2 || self.to <= self.from {
            return String::new();
        }
        let top = self.points.iter().map(|(_, figure)| *figure).max().unwrap_or_default().max(1);
        let x = |at: f64| LEFT + (at - self.from) / (self.to - self.from) * (WIDTH - LEFT - 8.0);
        let y = |figure: u64| TOP + (1.0 - as_f64(figure) / as_f64(top)) * (HEIGHT - TOP - BOTTOM);
        let mut line = String::new();
        let mut last = None;
        for (at, figure) in thinned(&self.points) {
            if let Some(last) = last.filter(|_| self.steps) {
                let _ = write!(line, "{:.1},{:.1} ", x(at), y(last));
            }
            let _ = write!(line, "{:.1},{:.1} ", x(at), y(figure));
            last = Some(figure);
        }
        let mut grid = String::new();
        if let Some((began, ended)) = self.mark {
            // One that took milliseconds of hours is a line.
            let (at, width) = (x(began), (x(ended) - x(began)).max(2.0));
            let height = HEIGHT - TOP - BOTTOM;
            let _ = writeln!(
                grid,
                "<rect class=\"mark\" x=\"{at:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>"
            );
        }
        for part in [0, top / 2, top] {
            let (at, label) = (y(part), count(part));
            let _ = writeln!(
                grid,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 8.0,
                at + 4.0
            );
        }
        let times = [(LEFT, "start", self.from), (WIDTH - 8.0, "end", self.to)].map(
            |(at, anchor, time)| {
                let (y, time) = (HEIGHT - 6.0, seconds(time));
                format!("<text x=\"{at:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{time}</text>\n")
            },
        );
        figure(
            self.title,
            HEIGHT,
            &format!(
                "{grid}<polyline class=\"line\" points=\"{}\"/>\n{}",
                line.trim_end(),
                times.concat()
            ),
        )
    }
}

/// A part of a bar.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) label: String,
    pub(super) seconds: f64,
}

/// Parts of a whole beside each other, each as wide as it took long; empty where nothing took time.
pub(super) fn bar(title: &str, parts: &[Part]) -> String {
    let total: f64 = parts.iter().map(|part| part.seconds).sum();
    if total <= 0.0 {
        return String::new();
    }
    let mut drawn = String::new();
    let mut at = 0.0;
    for (index, part) in parts.iter().enumerate() {
        let width = part.seconds / total * WIDTH;
        let (label, took) = (escape(&part.label), seconds(part.seconds));
        let _ = writeln!(
            drawn,
            "<rect class=\"part{}\" x=\"{at:.2}\" y=\"2\" width=\"{width:.2}\" height=\"28\">\
             <title>{label}: {took}</title></rect>",
            index % 4
        );
        // A letter is some 7 units wide.
        if width > as_f64(u64::try_from(part.label.len()).unwrap_or_default()) * 7.0 + 8.0 {
            let _ =
                writeln!(drawn, "<text class=\"on\" x=\"{:.1}\" y=\"20\">{label}</text>", at + 5.0);
        }
        at += width;
    }
    figure(title, 32.0, &drawn)
}

fn figure(title: &str, height: f64, content: &str) -> String {
    let title = escape(title);
    format!(
        "<figure>\n<figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"{title}\">\n{content}</svg>\n</figure>\n"
    )
}

/// Every so-manieth point, and the last one.
fn thinned(points: &[(f64, u64)]) -> impl Iterator<Item = (f64, u64)> {
    let step = points.len().div_ceil(POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let kept = points.iter().enumerate();
    kept.filter(move |(index, _)| index.is_multiple_of(step) || *index == last)
        .map(|(_, point)| *point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_drawn_from_the_lower_left_to_the_upper_right() {
        let chart = Chart {
            title: "rows",
            points: vec![(2.0, 0), (4.0, 10)],
            from: 2.0,
            to: 4.0,
            steps: false,
            mark: None,
        };
        let svg = chart.svg();
        assert!(svg.contains("points=\"90.0,176.0 712.0,12.0\""), "{svg}");
        let marked = Chart { mark: Some((4.0, 4.0)), ..chart.clone() }.svg();
        assert!(marked.contains("class=\"mark\" x=\"712.0\"") && !svg.contains("mark"), "{marked}");
        assert_eq!(Chart { points: vec![(2.0, 0)], ..chart.clone() }.svg(), "");
        let steps = Chart { steps: true, ..chart }.svg();
        assert!(steps.contains("points=\"90.0,176.0 712.0,176.0 712.0,12.0\""), "{steps}");
    }

    #[test]
    fn parts_fill_the_bar_and_many_points_are_thinned() {
        let part = |label: &str, seconds| Part { label: label.into(), seconds };
        let drawn = bar("phases", &[part("a<b", 3.0), part("c", 1.0)]);
        assert!(
            drawn.contains("width=\"540.00\"") && drawn.contains("width=\"180.00\""),
            "{drawn}"
        );
        assert!(drawn.contains("a&lt;b: 3.00 s"), "{drawn}");
        assert_eq!(bar("phases", &[part("a", 0.0)]), "");
        let points: Vec<(f64, u64)> = (0..2_501).map(|at| (0.0, at)).collect();
        let kept: Vec<_> = thinned(&points).collect();
        assert!(kept.len() <= POINTS + 1 && kept.last() == Some(&(0.0, 2_500)), "{}", kept.len());
    }
}
