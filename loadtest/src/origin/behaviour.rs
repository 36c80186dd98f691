//! How an origin answers: what is said for all requests, and what one request asks for in its path.
//! Pure: a request and random numbers in, an answer's shape out.

use crate::head::Request;
use crate::rng::Rng;
use crate::units::{Spread, share, size, span};
use std::str::FromStr;
use std::time::Duration;

/// How requests are answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// Bytes of an answer whose path is not a number.
    pub size: Spread,
    /// Answer in chunks instead of with a Content-Length.
    pub chunked: bool,
    /// Wait before each answer, in seconds.
    pub delay: Option<Spread>,
    /// Statuses other than 200, each with its share.
    pub statuses: Vec<(u16, f64)>,
    /// Faults, each with its share.
    pub faults: Vec<(Fault, f64)>,
    /// Bodies are sent slowly.
    pub pace: Option<Pace>,
}

/// Where an answer ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A reset instead of an answer.
    Before,
    /// A reset after half of the head.
    Head,
    /// A reset after half of the body.
    Body,
    /// No answer, for as long as the client waits.
    Hang,
}

/// So many bytes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes of one step.
    pub bytes: u64,
    /// From one step to the next.
    pub each: Duration,
}

/// What one answer is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) shape: Shape,
    pub(super) delay: Duration,
    pub(super) fault: Option<Fault>,
    pub(super) pace: Option<Pace>,
}

/// What the bytes of an answer depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) status: u16,
    pub(super) size: u64,
    pub(super) chunked: bool,
    pub(super) head_only: bool,
    pub(super) close: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            size: Spread::Fixed(1024.0),
            chunked: false,
            delay: None,
            statuses: Vec::new(),
            faults: Vec::new(),
            pace: None,
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "before" => Self::Before,
            "head" => Self::Head,
            "body" => Self::Body,
            "hang" => Self::Hang,
            _ => return Err(format!("`{text}`: a fault is before, head, body or hang")),
        })
    }
}

impl FromStr for Pace {
    type Err = String;

    /// `1k/10ms`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (bytes, each) =
            text.split_once('/').ok_or_else(|| format!("`{text}`: a pace is like 1k/10ms"))?;
        let bytes = size(bytes)?;
        if bytes == 0 {
            return Err(format!("`{text}`: at least one byte at a time"));
        }
        Ok(Self { bytes, each: span(each)? })
    }
}

/// `503:5%`, `body:1%`: a word and its share.
///
/// # Errors
/// What is wrong with `text`.
pub fn with_share<T: FromStr>(text: &str) -> Result<(T, f64), String> {
    let (what, often) =
        text.split_once(':').ok_or_else(|| format!("`{text}` has no share, like `{text}:5%`"))?;
    let what = what.parse().map_err(|_| format!("`{what}` is not known"))?;
    Ok((what, share(often)?))
}

impl Behaviour {
    /// What `request` gets.
    pub(super) fn wanted(&self, request: &Request<'_>, rng: &mut Rng) -> Result<Wanted, String> {
        let (path, query) = match request.target.iter().position(|b| *b == b'?') {
            None => (request.target, None),
            Some(at) => {
                let (path, query) = request.target.split_at(at);
                (path, query.get(1..))
            }
        };
        let named = path.strip_prefix(b"/").and_then(|path| {
            let digits = path.split(|b| *b == b'/').next()?;
            std::str::from_utf8(digits).ok()?.parse().ok()
        });
        let size = match (named, self.size) {
            (Some(size), _) => size,
            (None, Spread::Fixed(size)) => size as u64,
            (None, spread) => spread.draw(rng) as u64,
        };
        let status = draw(&self.statuses, rng).unwrap_or(200);
        let mut wanted = Wanted {
            shape: Shape {
                status,
                size,
                chunked: self.chunked,
                head_only: request.method == b"HEAD",
                close: !request.keep_alive,
            },
            delay: self.delay.map_or(Duration::ZERO, |delay| seconds(delay.draw(rng))),
            fault: draw(&self.faults, rng),
            pace: self.pace,
        };
        if let Some(query) = query {
            let query =
                std::str::from_utf8(query).map_err(|_| "the query is no text".to_owned())?;
            ask(&mut wanted, query, rng)?;
        }
        Ok(wanted)
    }
}

/// What the query asks for; words that are not known are left to others.
fn ask(wanted: &mut Wanted, query: &str, rng: &mut Rng) -> Result<(), String> {
    for part in query.split('&') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name {
            "status" => {
                let status = value.parse().ok().filter(|status| (200..1000).contains(status));
                wanted.shape.status = status.ok_or_else(|| format!("no status `{value}`"))?;
            }
            "delay" => wanted.delay = seconds(Spread::of_spans(value)?.draw(rng)),
            "chunked" => wanted.shape.chunked = true,
            "close" => wanted.shape.close = true,
            "fault" => wanted.fault = Some(value.parse()?),
            "pace" => wanted.pace = Some(value.parse()?),
            _ => {}
        }
    }
    Ok(())
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

/// One of `choices`, each with its share; mostly none.
fn draw<T: Copy>(choices: &[(T, f64)], rng: &mut Rng) -> Option<T> {
    if choices.is_empty() {
        return None;
    }
    let mut point = rng.unit();
    choices.iter().find_map(|(choice, share)| {
        point -= share;
        (point < 0.0).then_some(*choice)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head;

    fn wanted(behaviour: &Behaviour, target: &str, rng: &mut Rng) -> Result<Wanted, String> {
        let head = format!("GET {target} HTTP/1.1\r\n\r\n");
        behaviour.wanted(&head::request(head.as_bytes()).unwrap(), rng)
    }

    #[test]
    fn the_path_says_how_much() {
        let behaviour = Behaviour { size: Spread::Fixed(7.0), ..Behaviour::default() };
        for (target, expected) in [
            ("/", 7),
            ("/102400", 102_400),
            ("/10?x=1", 10),
            ("/10/more", 10),
            ("/10x", 7),
            ("*", 7),
        ] {
            let found = wanted(&behaviour, target, &mut Rng::new(1)).unwrap();
            assert_eq!(found.shape.size, expected, "{target}");
        }
    }

    #[test]
    fn the_query_asks_for_more() {
        let target = "/5?status=503&delay=5ms&chunked&close&fault=body&pace=1k/10ms&other=1";
        let found = wanted(&Behaviour::default(), target, &mut Rng::new(1)).unwrap();
        let shape = Shape { status: 503, size: 5, chunked: true, head_only: false, close: true };
        let pace = Some(Pace { bytes: 1000, each: Duration::from_millis(10) });
        let delay = Duration::from_millis(5);
        assert_eq!(found, Wanted { shape, delay, fault: Some(Fault::Body), pace });
        for bad in ["status=1000", "status=x", "delay=soon", "fault=x", "pace=0/1ms", "pace=1"] {
            assert!(
                wanted(&Behaviour::default(), &format!("/?{bad}"), &mut Rng::new(1)).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn shares_are_kept() {
        let behaviour = Behaviour {
            statuses: vec![with_share("503:10%").unwrap(), with_share("404:0.2").unwrap()],
            faults: vec![with_share("head:5%").unwrap()],
            size: Spread::Uniform(10.0, 20.0),
            ..Behaviour::default()
        };
        let (mut rng, mut counts) = (Rng::new(1), [0; 4]);
        for _ in 0..10_000 {
            let found = wanted(&behaviour, "/", &mut rng).unwrap();
            assert!((10..20).contains(&found.shape.size));
            match (found.shape.status, found.fault) {
                (_, Some(_)) => counts[3] += 1,
                (503, None) => counts[1] += 1,
                (404, None) => counts[2] += 1,
                _ => counts[0] += 1,
            }
        }
        let [_, unavailable, missing, faults] = counts;
        assert!((850..1050).contains(&unavailable), "{counts:?}");
        assert!((1750..2050).contains(&missing), "{counts:?}");
        assert!((430..570).contains(&faults), "{counts:?}");
        assert!(with_share::<u16>("503").is_err() && with_share::<Fault>("x:1%").is_err());
    }
}
