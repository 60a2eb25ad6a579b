//! Pictures: figures over time, and parts of a whole beside each other.
//!
//! The lines are SVG, which is stretched to whatever width there is; words and figures are text of
//! the page, which keeps its size on a telephone.

use std::fmt::Write;

use super::{
    super::output::format::as_f64,
    axis::{self, Tick},
    html::escape,
};

/// The picture's own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// A letter of a label in a bar, in parts of a narrow page.
const LETTER: f64 = 0.026;

/// A figure over time, that stays what it was until the next one.
#[derive(Debug, Clone)]
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// What the picture adds up to.
    pub(super) note: String,
    /// Seconds since the picture's beginning and figures, in the order of time.
    pub(super) points: Vec<(f64, f64)>,
    /// Seconds that the picture shows.
    pub(super) span: f64,
    /// From when to when something is marked: the cutover.
    pub(super) mark: Option<(f64, f64)>,
}

impl Chart<'_> {
    /// Empty where there is no figure, or no time passes.
    pub(super) fn html(&self) -> String {
        if self.points.is_empty() || self.span <= 0.0 {
            return String::new();
        }
        let most = self.points.iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
        let upright = axis::figures(most);
        let top = upright.last().map_or(1.0, |tick| tick.at);
        let grid: String = upright
            .iter()
            .map(|tick| format!("M0 {:.2}H{WIDTH}", (1.0 - tick.at / top) * HEIGHT))
            .collect();
        let line = self.line(top);
        let (began, ended) = (self.x(self.points[0].0), self.x(self.span));
        let title = escape(self.title);
        format!(
            "<figure class=\"chart\">\n<figcaption><b>{title}</b> {}</figcaption>\n\
             <div class=\"plot\">\n<div class=\"y\">{}</div>\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{title}\">\n<path class=\"grid\" d=\"{grid}\"/>\n{}\
             <path class=\"area\" d=\"{line}V{HEIGHT}H{began:.2}Z\"/>\n\
             <path class=\"line\" d=\"{line}H{ended:.2}\"/>\n</svg>\n\
             <div class=\"x\">{}</div>\n</div>\n</figure>\n",
            escape(&self.note),
            labels("bottom", &upright, top),
            self.marked(),
            labels("left", &axis::times(self.span), self.span),
        )
    }

    fn x(&self, at: f64) -> f64 {
        (at / self.span).clamp(0.0, 1.0) * WIDTH
    }

    fn line(&self, top: f64) -> String {
        let mut line = String::new();
        for (index, (at, figure)) in self.points.iter().enumerate() {
            let (x, y) = (self.x(*at), (1.0 - figure / top) * HEIGHT);
            let _ = if index == 0 {
                write!(line, "M{x:.2} {y:.2}")
            } else {
                write!(line, "H{x:.2}V{y:.2}")
            };
        }
        let _ = write!(line, "H{WIDTH}");
        line
    }

    fn marked(&self) -> String {
        let Some((began, ended)) = self.mark else { return String::new() };
        // One that took milliseconds of hours is a line.
        let width = (self.x(ended) - self.x(began)).max(3.0);
        let at = self.x(began).min(WIDTH - width);
        format!(
            "<rect class=\"mark\" x=\"{at:.2}\" y=\"0\" width=\"{width:.2}\" height=\"{HEIGHT}\"/>\n"
        )
    }
}

fn labels(side: &str, ticks: &[Tick], most: f64) -> String {
    let label = |tick: &Tick| {
        format!("<span style=\"{side}:{:.2}%\">{}</span>", tick.at / most * 100.0, tick.label)
    };
    ticks.iter().map(label).collect()
}

/// A part of a bar.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) label: String,
    pub(super) seconds: f64,
    /// What is said of it: how long it took.
    pub(super) took: String,
    /// `part0` to `part7`, `open` or `held`.
    pub(super) class: String,
}

/// Parts of a whole beside each other, each as wide as it took long; empty where nothing took time.
pub(super) fn bar(title: &str, parts: &[Part]) -> String {
    let total: f64 = parts.iter().map(|part| part.seconds).sum();
    if total <= 0.0 {
        return String::new();
    }
    let (mut drawn, mut named) = (String::new(), String::new());
    for Part { label, seconds, took, class } in parts {
        let share = seconds / total;
        let letters = as_f64(u64::try_from(label.chars().count()).unwrap_or(u64::MAX));
        let (label, took) = (escape(label), escape(took));
        // What does not fit is in the legend.
        let inside = if share > letters * LETTER + 0.02 { label.as_str() } else { "" };
        let _ = write!(
            drawn,
            "<span class=\"{class}\" style=\"flex-grow:{:.4}\" title=\"{label}: {took}\">{inside}</span>",
            share * 1000.0
        );
        let _ = write!(named, "<li><i class=\"{class}\"></i>{label} <b>{took}</b></li>");
    }
    let title = escape(title);
    format!(
        "<figure>\n<figcaption><b>{title}</b></figcaption>\n\
         <div class=\"bar\" role=\"img\" aria-label=\"{title}\">{drawn}</div>\n\
         <ul class=\"legend\">{named}</ul>\n</figure>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart<'static> {
        Chart {
            title: "rows",
            note: "at most <8>".into(),
            points: vec![(0.0, 0.0), (2.0, 8.0)],
            span: 4.0,
            mark: None,
        }
    }

    #[test]
    fn figures_are_steps_between_the_ends_of_both_axes() {
        let drawn = chart().html();
        assert!(drawn.contains("class=\"line\" d=\"M0.00 100.00H500.00V0.00H1000"), "{drawn}");
        assert!(drawn.contains("at most &lt;8&gt;"), "{drawn}");
        assert!(drawn.contains("<span style=\"bottom:100.00%\">8</span>"), "{drawn}");
        assert!(drawn.contains("<span style=\"left:50.00%\">2 s</span>"), "{drawn}");
        assert_eq!(Chart { points: Vec::new(), ..chart() }.html(), "");
        assert_eq!(Chart { span: 0.0, ..chart() }.html(), "");
    }

    #[test]
    fn a_mark_stays_within_the_frame_and_can_be_seen() {
        let marked = Chart { mark: Some((4.0, 4.0)), ..chart() }.html();
        assert!(marked.contains("class=\"mark\" x=\"997.00\" y=\"0\" width=\"3.00\""), "{marked}");
        assert!(!chart().html().contains("mark"));
    }

    #[test]
    fn parts_fill_the_bar_and_only_those_that_are_wide_enough_are_named_in_it() {
        let part = |label: &str, seconds: f64| Part {
            label: label.into(),
            seconds,
            took: format!("{seconds:.2} s"),
            class: "part0".into(),
        };
        let drawn = bar("phases", &[part("a<b", 3.0), part("long name", 0.1)]);
        assert!(drawn.contains("title=\"a&lt;b: 3.00 s\">a&lt;b</span>"), "{drawn}");
        assert!(drawn.contains("title=\"long name: 0.10 s\"></span>"), "{drawn}");
        assert!(drawn.contains("</i>long name <b>0.10 s</b>"), "{drawn}");
        assert_eq!(bar("phases", &[part("a", 0.0)]), "");
    }
}
