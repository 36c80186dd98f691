//! What must hold: `errors == 0`, `p99 < 5ms`, `per_second > 10k in kill..kill+2s`. Pure: text and
//! counts in, verdict out.

use crate::slots::Slot;
use crate::units::{share, show_micros, size, span};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// An assertion.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    text: String,
    figure: Figure,
    relation: Relation,
    /// Compared with: a number, or microseconds.
    bound: f64,
    window: Option<(Edge, Edge)>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    Answers,
    Errors,
    /// Errors against all exchanges.
    ErrorShare,
    PerSecond,
    Quantile(f64),
    Mean,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Equal,
    Unequal,
}

/// Where a window begins or ends: so long after (or before) an event, or after the measurement's start.
#[derive(Clone, Debug, PartialEq)]
struct Edge {
    anchor: Anchor,
    offset: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Anchor {
    Start,
    End,
    Event(String),
}

/// Whether it held, and what was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Whether it held.
    pub held: bool,
    /// The figure, as people read it.
    pub found: String,
}

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{text}`: {what}");
        let (claim, window) = match text.split_once(" in ") {
            Some((claim, window)) => (claim, Some(window)),
            None => (text, None),
        };
        let mut words = claim.split_whitespace();
        let (Some(figure), Some(relation), Some(bound), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(wrong(
                "an assertion is like `p99 < 5ms` or `errors == 0 in kill..kill+2s`",
            ));
        };
        let figure = parse_figure(figure).ok_or_else(|| {
            wrong("known are answers, errors, error_share, per_second, mean, max and p50, p99, p99.9, ...")
        })?;
        let relation = match relation {
            "<" => Relation::Less,
            "<=" => Relation::LessOrEqual,
            ">" => Relation::More,
            ">=" => Relation::MoreOrEqual,
            "==" => Relation::Equal,
            "!=" => Relation::Unequal,
            _ => return Err(wrong("compare with <, <=, >, >=, == or !=")),
        };
        let bound = bound.trim_matches('"');
        let bound = match figure {
            Figure::Answers | Figure::Errors | Figure::PerSecond => size(bound).map(|n| n as f64),
            Figure::ErrorShare => share(bound),
            _ if bound.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
                Err("a latency needs its unit, like 5ms".to_owned())
            }
            _ => span(bound).map(|span| span.as_secs_f64() * 1e6),
        };
        let bound = bound.map_err(|what| wrong(&what))?;
        let window = window.map(parse_window).transpose().map_err(|what| wrong(&what))?;
        Ok(Self { text: text.to_owned(), figure, relation, bound, window })
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn parse_figure(word: &str) -> Option<Figure> {
    Some(match word {
        "answers" => Figure::Answers,
        "errors" => Figure::Errors,
        "error_share" => Figure::ErrorShare,
        "per_second" => Figure::PerSecond,
        "mean" => Figure::Mean,
        "max" => Figure::Max,
        _ => {
            let percent: f64 = word.strip_prefix('p')?.parse().ok()?;
            Figure::Quantile(Some(percent / 100.0).filter(|q| (0.0..=1.0).contains(q))?)
        }
    })
}

/// `2s..5s`, `kill..kill+2s`, `kill-500ms..end`.
fn parse_window(text: &str) -> Result<(Edge, Edge), String> {
    let (from, to) = text.split_once("..").ok_or("a window is like 2s..5s or kill..kill+2s")?;
    Ok((parse_edge(from.trim())?, parse_edge(to.trim())?))
}

fn parse_edge(text: &str) -> Result<Edge, String> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(Edge { anchor: Anchor::Start, offset: span(text)?.as_secs_f64() });
    }
    // Names of events may have dashes, so the sign is one that a number follows.
    let sign = text
        .char_indices()
        .skip(1)
        .filter(|(_, c)| matches!(c, '+' | '-'))
        .find(|(at, _)| text.get(at + 1..).is_some_and(|rest| span(rest.trim()).is_ok()));
    let (name, offset) = match sign {
        None => (text, 0.0),
        Some((at, sign)) => {
            let (name, rest) = text.split_at(at);
            let offset = span(rest.get(1..).unwrap_or_default().trim())?.as_secs_f64();
            (name.trim(), if sign == '-' { -offset } else { offset })
        }
    };
    let anchor = match name {
        "" => return Err("a window is like 2s..5s or kill..kill+2s".to_owned()),
        "start" => Anchor::Start,
        "end" => Anchor::End,
        name => Anchor::Event(name.to_owned()),
    };
    Ok(Edge { anchor, offset })
}

impl Assertion {
    /// The events that it names.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        let edges = self.window.iter().flat_map(|(from, to)| [from, to]);
        edges.filter_map(|edge| match &edge.anchor {
            Anchor::Event(name) => Some(name.as_str()),
            Anchor::Start | Anchor::End => None,
        })
    }

    /// When it looks, after the start of the measurement; `None`: always, or an event did not happen.
    /// `event` says when events happened.
    #[must_use]
    pub fn window(
        &self,
        end: Duration,
        event: &dyn Fn(&str) -> Option<f64>,
    ) -> Option<(Duration, Duration)> {
        let (from, to) = self.window.as_ref()?;
        let time = |edge: &Edge| {
            let anchor = match &edge.anchor {
                Anchor::Start => 0.0,
                Anchor::End => end.as_secs_f64(),
                Anchor::Event(name) => event(name)?,
            };
            let at = (anchor + edge.offset).clamp(0.0, end.as_secs_f64());
            Some(Duration::from_secs_f64(at))
        };
        Some((time(from)?, time(to)?))
    }

    /// Whether it looks at a part of the time only.
    #[must_use]
    pub fn has_window(&self) -> bool {
        self.window.is_some()
    }

    /// Whether it holds for what was counted within `span`; `quantile` gives exact latencies, in microseconds.
    #[must_use]
    pub fn judge(&self, counts: &Slot, span: Duration, quantile: &dyn Fn(f64) -> u64) -> Judgement {
        let (answers, errors) = (counts.answers as f64, counts.errors as f64);
        let is_latency = matches!(self.figure, Figure::Quantile(_) | Figure::Mean | Figure::Max);
        if is_latency && counts.answers == 0 {
            return Judgement { held: false, found: "no answer".to_owned() };
        }
        let value = match self.figure {
            Figure::Answers => answers,
            Figure::Errors => errors,
            Figure::ErrorShare => errors / (answers + errors).max(1.0),
            Figure::PerSecond => answers / span.as_secs_f64().max(1e-6),
            Figure::Quantile(share) => quantile(share) as f64,
            Figure::Mean => counts.latencies.mean(),
            Figure::Max => quantile(1.0) as f64,
        };
        let held = match self.relation {
            Relation::Less => value < self.bound,
            Relation::LessOrEqual => value <= self.bound,
            Relation::More => value > self.bound,
            Relation::MoreOrEqual => value >= self.bound,
            Relation::Equal => (value - self.bound).abs() < 1e-9,
            Relation::Unequal => (value - self.bound).abs() >= 1e-9,
        };
        let found = match self.figure {
            Figure::Answers | Figure::Errors | Figure::PerSecond => format!("{value:.0}"),
            Figure::ErrorShare => format!("{:.3} %", value * 100.0),
            _ => show_micros(value),
        };
        Judgement { held, found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> (bool, String) {
        let mut counts = Slot::new().unwrap();
        (counts.answers, counts.errors) = (1000, 10);
        for micros in 1..=1000 {
            counts.latencies.record(micros).unwrap();
        }
        let quantile = |share: f64| (share * 1000.0) as u64;
        let assertion: Assertion = text.parse().unwrap();
        let judgement = assertion.judge(&counts, Duration::from_secs(2), &quantile);
        (judgement.held, judgement.found)
    }

    #[test]
    fn assertions_are_judged() {
        assert_eq!(judge("errors == 0"), (false, "10".to_owned()));
        assert_eq!(judge("errors <= 10"), (true, "10".to_owned()));
        assert_eq!(judge("error_share < 1%"), (true, "0.990 %".to_owned()));
        assert_eq!(judge("per_second > 0.4k"), (true, "500".to_owned()));
        assert_eq!(judge("p99 < 1ms"), (true, "990 us".to_owned()));
        assert_eq!(judge("p99.9 < 0.9ms"), (false, "999 us".to_owned()));
        assert_eq!(judge("max < \"2ms\""), (true, "1.00 ms".to_owned()));
        assert!(judge("mean > 400us").0 && judge("answers != 0").0 && judge("answers >= 1k").0);
    }

    #[test]
    fn without_answers_there_is_no_latency() {
        let assertion: Assertion = "p99 < 1s".parse().unwrap();
        let judgement = assertion.judge(&Slot::new().unwrap(), Duration::from_secs(1), &|_| 0);
        assert_eq!((judgement.held, judgement.found.as_str()), (false, "no answer"));
    }

    #[test]
    fn windows_hang_on_events() {
        let window = |text: &str| {
            let assertion: Assertion = format!("errors == 0 in {text}").parse().unwrap();
            let event = |name: &str| {
                [("kill", 3.0), ("re-load", 5.0)].into_iter().find(|e| e.0 == name).map(|e| e.1)
            };
            let window = assertion.window(Duration::from_secs(10), &event);
            window.map(|(from, to)| (from.as_millis(), to.as_millis()))
        };
        assert_eq!(window("2s..4s"), Some((2000, 4000)));
        assert_eq!(window("kill..kill+500ms"), Some((3000, 3500)));
        assert_eq!(window("kill-1s..end"), Some((2000, 10_000)));
        assert_eq!(window("re-load-1s..re-load + 20s"), Some((4000, 10_000)));
        assert_eq!(window("start+1s..end-1s"), Some((1000, 9000)));
        assert_eq!(window("never..end"), None);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, told) in [
            ("p99", "is like"),
            ("p101 < 5ms", "known are"),
            ("latency < 5ms", "known are"),
            ("p99 ~ 5ms", "compare with"),
            ("p99 < 5", "unit"),
            ("p99 < soon", "soon"),
            ("errors == x", "a size"),
            ("errors == 0 in kill", "window"),
            ("errors == 0 in ..end", "window"),
        ] {
            let error = text.parse::<Assertion>().expect_err(text);
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
