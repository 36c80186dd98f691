//! What people write in options and files: spans of time, sizes, shares, rates, distributions.
//! Pure: text in, values out.

use crate::rng::Rng;
use std::str::FromStr;
use std::time::Duration;

/// `5ms`, `1.5s`, `2m`, `250us`; a number by itself is in seconds.
///
/// # Errors
/// What is wrong with `text`.
pub fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => {
            return Err(format!("`{text}`: a span of time is a number with ns, us, ms, s, m or h"));
        }
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is no span of time"))?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| format!("`{text}` is out of range"))
}

/// `1024`, `10k`, `2MiB`: bytes. k, M, G (and kB, MB, GB) are powers of 1000; KiB, MiB, GiB of 1024.
///
/// # Errors
/// What is wrong with `text`.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "" | "B" => 1.0,
        "k" | "kB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return Err(format!("`{text}`: a size is a number with B, k, M, G, KiB, MiB or GiB")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is no size"))?;
    let bytes = number * scale;
    if !(0.0..1e18).contains(&bytes) {
        return Err(format!("`{text}` is out of range"));
    }
    Ok(bytes as u64)
}

/// `5%` or `0.05`: at least 0, at most 1.
///
/// # Errors
/// What is wrong with `text`.
pub fn share(text: &str) -> Result<f64, String> {
    let (digits, scale) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    let value: f64 = digits.trim().parse().map_err(|_| format!("`{text}` is no share, like 5%"))?;
    let value = value / scale;
    if !(0.0..=1.0).contains(&value) {
        return Err(format!("`{text}`: a share is between 0% and 100%"));
    }
    Ok(value)
}

/// Requests per second over a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// At the start.
    pub from: f64,
    /// At the end; the same unless the rate is a ramp.
    pub to: f64,
}

impl FromStr for Rate {
    type Err = String;

    /// `5000`, `10k`, `1000..20000`.
    fn from_str(text: &str) -> Result<Self, String> {
        let one = |part: &str| {
            let rate = size(part)
                .map_err(|_| format!("`{text}`: a rate is `5000` or a ramp, `1k..20k`"))?;
            Ok::<f64, String>(rate as f64)
        };
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (one(from)?, one(to)?),
            None => (one(text)?, one(text)?),
        };
        if from.max(to) < 1.0 {
            return Err(format!("`{text}`: at least one request per second"));
        }
        Ok(Self { from, to })
    }
}

/// A value that is drawn anew each time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Always the same.
    Fixed(f64),
    /// All between the two equally likely.
    Uniform(f64, f64),
    /// Exponential, with this mean.
    Exponential(f64),
    /// Normal, with mean and deviation; never below zero.
    Normal(f64, f64),
    /// The second value with this share, else the first.
    Either(f64, f64, f64),
}

impl Spread {
    /// `5ms`, `uniform:1ms..5ms`, `exp:3ms`, `normal:5ms,1ms`, `either:1ms,200ms,1%`; in seconds.
    ///
    /// # Errors
    /// What is wrong with `text`.
    pub fn of_spans(text: &str) -> Result<Self, String> {
        Self::parse(text, |part| Ok(span(part)?.as_secs_f64()))
    }

    /// `1024`, `uniform:1k..10k`, `exp:10k`, ...; in bytes.
    ///
    /// # Errors
    /// What is wrong with `text`.
    pub fn of_sizes(text: &str) -> Result<Self, String> {
        Self::parse(text, |part| Ok(size(part)? as f64))
    }

    fn parse(text: &str, one: impl Fn(&str) -> Result<f64, String>) -> Result<Self, String> {
        let Some((kind, rest)) = text.split_once(':') else { return Ok(Self::Fixed(one(text)?)) };
        let parts: Vec<&str> = match kind {
            "uniform" => rest.splitn(2, "..").collect(),
            _ => rest.split(',').map(str::trim).collect(),
        };
        match (kind, parts.as_slice()) {
            ("uniform", [low, high]) => {
                let (low, high) = (one(low)?, one(high)?);
                if low > high {
                    return Err(format!("`{text}`: the lower bound comes first"));
                }
                Ok(Self::Uniform(low, high))
            }
            ("exp", [mean]) => Ok(Self::Exponential(one(mean)?)),
            ("normal", [mean, deviation]) => Ok(Self::Normal(one(mean)?, one(deviation)?)),
            ("either", [usual, rare, often]) => {
                Ok(Self::Either(one(usual)?, one(rare)?, share(often)?))
            }
            _ => Err(format!(
                "`{text}`: a distribution is `A`, `uniform:A..B`, `exp:MEAN`, `normal:MEAN,DEVIATION` or `either:A,B,SHARE-OF-B`"
            )),
        }
    }

    /// A value.
    pub fn draw(self, rng: &mut Rng) -> f64 {
        match self {
            Self::Fixed(value) => value,
            Self::Uniform(low, high) => low + (high - low) * rng.unit(),
            Self::Exponential(mean) => -mean * (1.0 - rng.unit()).ln(),
            Self::Normal(mean, deviation) => {
                let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
                let angle = std::f64::consts::TAU * rng.unit();
                (mean + deviation * radius * angle.cos()).max(0.0)
            }
            Self::Either(usual, rare, share) => {
                if rng.unit() < share {
                    rare
                } else {
                    usual
                }
            }
        }
    }
}

/// A span for people: three digits and a unit.
#[must_use]
pub fn show_micros(micros: f64) -> String {
    let (value, unit) = match micros {
        m if m < 1e3 => (m, "us"),
        m if m < 1e6 => (m / 1e3, "ms"),
        m => (m / 1e6, "s"),
    };
    let digits = match value {
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// Number and unit of `text`.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_sizes_and_shares() {
        assert_eq!(span("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(span("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(span("2"), Ok(Duration::from_secs(2)));
        assert_eq!(size("10k"), Ok(10_000));
        assert_eq!(size("2MiB"), Ok(2_097_152));
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("0.5"), Ok(0.5));
        for bad in ["", "ms", "5 days", "-1s", "1.2.3s"] {
            assert!(span(bad).is_err(), "{bad}");
        }
        assert!(size("x").is_err() && size("9999999999G").is_err());
        assert!(share("101%").is_err() && share("-1%").is_err() && share("NaN").is_err());
    }

    #[test]
    fn rates() {
        assert_eq!("5000".parse(), Ok(Rate { from: 5000.0, to: 5000.0 }));
        assert_eq!("1k..20k".parse(), Ok(Rate { from: 1000.0, to: 20_000.0 }));
        for bad in ["0", "a", "1..b", "0..0", "5ms"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn distributions_have_the_mean_they_should() {
        let mean = |text: &str| {
            let spread = Spread::of_spans(text).unwrap();
            let mut rng = Rng::new(1);
            (0..20_000).map(|_| spread.draw(&mut rng)).sum::<f64>() / 20_000.0
        };
        for (text, expected) in [
            ("3ms", 0.003),
            ("uniform:1ms..5ms", 0.003),
            ("exp:3ms", 0.003),
            ("normal:3ms,500us", 0.003),
            ("either:1ms,101ms,2%", 0.003),
        ] {
            let found = mean(text);
            assert!((found - expected).abs() < 0.0003, "{text}: {found}");
        }
        for bad in ["uniform:5ms..1ms", "exp:", "gamma:1ms", "uniform:1ms", "either:1ms,2ms"] {
            assert!(Spread::of_spans(bad).is_err(), "{bad}");
        }
        assert_eq!(Spread::of_sizes("uniform:1k..2k"), Ok(Spread::Uniform(1000.0, 2000.0)));
    }

    #[test]
    fn spans_read_well() {
        let shown: Vec<_> = [0.5, 12.34, 999.0, 1500.0, 2.5e6].map(show_micros).into();
        assert_eq!(shown, ["0.50 us", "12.3 us", "999 us", "1.50 ms", "2.50 s"]);
    }
}
