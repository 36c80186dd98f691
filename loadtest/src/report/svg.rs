//! Charts as SVG: lines over an axis, linear or logarithmic. Pure: numbers in, text out.

use std::fmt::Write;

/// A chart with its axes.
pub(super) struct Chart<'a> {
    /// Above it.
    pub(super) title: &'a str,
    /// What the lines have in common, from left to right.
    pub(super) across: Axis,
    /// From bottom to top.
    pub(super) up: Axis,
    /// The lines, in the order of the legend.
    pub(super) lines: Vec<Line<'a>>,
    /// Vertical lines with a word: events.
    pub(super) marks: Vec<(f64, String)>,
}

/// A line through points.
pub(super) struct Line<'a> {
    /// In the legend.
    pub(super) name: &'a str,
    /// A class of the page's style sheet.
    pub(super) class: &'a str,
    /// In units of the axes; where a value is not a number, the line has a gap.
    pub(super) points: Vec<(f64, f64)>,
}

/// One axis.
pub(super) struct Axis {
    /// Smallest and largest value.
    pub(super) ends: (f64, f64),
    /// Powers of ten are equally far apart.
    pub(super) logarithmic: bool,
    /// Where lines of the grid are, with their words.
    pub(super) ticks: Vec<(f64, String)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 30.0;

impl Axis {
    /// From zero to something round above `most`.
    #[must_use]
    pub(super) fn linear(most: f64, show: impl Fn(f64) -> String) -> Self {
        let step = step(most.max(1e-9) / 5.0);
        let count = (most / step).ceil().max(1.0);
        let ticks = (0..=count as u32).map(|index| f64::from(index) * step);
        Self {
            ends: (0.0, count * step),
            logarithmic: false,
            ticks: ticks.map(|at| (at, show(at))).collect(),
        }
    }

    /// Powers of ten around `least` and `most`.
    #[must_use]
    pub(super) fn logarithmic(least: f64, most: f64, show: impl Fn(f64) -> String) -> Self {
        let first = least.max(1e-9).log10().floor() as i32;
        let last = (most.max(1e-9).log10().ceil() as i32).max(first + 1);
        let ticks = (first..=last).map(|power| 10_f64.powi(power));
        Self {
            ends: (10_f64.powi(first), 10_f64.powi(last)),
            logarithmic: true,
            ticks: ticks.map(|at| (at, show(at))).collect(),
        }
    }

    /// Where `value` is, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.max(1e-9).log10() } else { value };
        let (from, to) = (scale(self.ends.0), scale(self.ends.1));
        ((scale(value) - from) / (to - from)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0].into_iter();
    factors
        .map(|factor| factor * power)
        .find(|step| *step >= least * 0.999_999)
        .unwrap_or(power * 10.0)
}

impl Chart<'_> {
    /// The whole `<svg>` element.
    #[must_use]
    pub(super) fn draw(&self) -> String {
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><text class=\"title\" x=\"{LEFT}\" y=\"18\">{}</text>",
            escape(self.title)
        );
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, word) in &self.up.ticks {
            let y = self.y(*value);
            _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                escape(word)
            );
        }
        for (value, word) in &self.across.ticks {
            let x = self.x(*value);
            _ = write!(
                out,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/><text class=\"tick middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 18.0,
                escape(word)
            );
        }
        for (at, word) in &self.marks {
            let x = self.x(*at);
            _ = write!(
                out,
                "<path class=\"mark\" d=\"M{x:.1} {TOP}V{bottom}\"/><text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 3.0,
                TOP + 10.0,
                escape(word)
            );
        }
        for line in &self.lines {
            self.draw_line(&mut out, line);
        }
        self.draw_legend(&mut out);
        out.push_str("</svg>");
        out
    }

    fn draw_line(&self, out: &mut String, line: &Line<'_>) {
        if line.points.len() == 1 {
            for (x, y) in &line.points {
                _ = write!(
                    out,
                    "<circle class=\"{}\" r=\"2.5\" cx=\"{:.1}\" cy=\"{:.1}\"/>",
                    line.class,
                    self.x(*x),
                    self.y(*y)
                );
            }
            return;
        }
        _ = write!(out, "<path class=\"line {}\" d=\"", line.class);
        let mut verb = 'M';
        for (x, y) in &line.points {
            if y.is_nan() {
                verb = 'M';
                continue;
            }
            _ = write!(out, "{verb}{:.1} {:.1}", self.x(*x), self.y(*y));
            verb = 'L';
        }
        out.push_str("\"/>");
    }

    fn draw_legend(&self, out: &mut String) {
        if self.lines.len() < 2 {
            return; // the title says it
        }
        let mut x = WIDTH - RIGHT;
        for line in self.lines.iter().rev() {
            x -= 34.0 + 6.6 * line.name.chars().count() as f64;
            _ = write!(
                out,
                "<path class=\"line {}\" d=\"M{x:.1} 14h16\"/><text class=\"tick\" x=\"{:.1}\" y=\"18\">{}</text>",
                line.class,
                x + 21.0,
                escape(line.name)
            );
        }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.across.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.up.place(value) * (HEIGHT - TOP - BOTTOM)
    }
}

/// Text that is safe within an element or an attribute.
#[must_use]
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_values() {
        let show = |value: f64| format!("{value}");
        let words = |axis: Axis| axis.ticks.into_iter().map(|(_, word)| word).collect::<Vec<_>>();
        assert_eq!(words(Axis::linear(930.0, show)), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(words(Axis::linear(0.0, show)).len(), 2);
        assert_eq!(words(Axis::logarithmic(30.0, 900.0, show)), ["10", "100", "1000"]);
        assert_eq!(words(Axis::logarithmic(10.0, 10.0, show)), ["10", "100"]);
    }

    #[test]
    fn a_chart_draws_its_lines_inside() {
        let show = |value: f64| format!("{value}");
        let line = |points| Line { name: "a < b", class: "one", points };
        let chart = Chart {
            title: "T & U",
            across: Axis::linear(10.0, show),
            up: Axis::logarithmic(1.0, 100.0, show),
            lines: vec![
                line(vec![(0.0, 1.0), (10.0, 100.0), (10.0, f64::NAN), (99.0, 0.0)]),
                line(Vec::new()),
            ],
            marks: vec![(5.0, "kill".to_owned())],
        };
        let drawn = chart.draw();
        assert!(drawn.contains("d=\"M70.0 210.0L732.0 34.0M732.0 210.0\""), "{drawn}");
        assert!(
            drawn.contains("T &amp; U") && drawn.contains("a &lt; b") && drawn.contains("kill")
        );
    }
}
