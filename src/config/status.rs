//! Statuses of answers, alone and in ranges.

use std::fmt;

use toml::Spanned;
use toml::de::DeValue;

use super::document::integer;

/// The least status of a final answer.
pub(super) const FINAL_MIN: u16 = 200;
/// The least status that tells of a failure.
pub(super) const FAILURE_MIN: u16 = 400;
/// The highest status (RFC 9110 section 15).
const MAX: u16 = 599;

/// Why something is no status, or no range of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusError {
    /// Neither a number nor two.
    NotOne,
    /// A class such as `5xx` where a range may stand; its first digit.
    Class(u16),
    /// Lower than the least that makes sense here, or above 599.
    OutOfBounds {
        /// The least.
        min: u16,
    },
    /// A range whose end comes before its begin.
    Reversed,
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOne | Self::Class(_) => f.write_str("this is no status"),
            Self::OutOfBounds { min } => write!(f, "a status here lies between {min} and {MAX}"),
            Self::Reversed => f.write_str("this range of statuses ends before it begins"),
        }
    }
}

/// `503` or `"503"`; `None` for a value of another type.
pub(super) fn status(value: &Spanned<DeValue<'_>>, min: u16) -> Option<Result<u16, StatusError>> {
    match value.get_ref() {
        DeValue::Integer(_) => {
            let number = integer(value).and_then(|number| u16::try_from(number).ok());
            Some(bounded(number.unwrap_or(u16::MAX), min))
        }
        DeValue::String(text) => Some(one(text, min)),
        _ => None,
    }
}

/// `204`, `"204"` or `"200-299"`, both ends included; `None` for a value of another type.
pub(super) fn range(
    value: &Spanned<DeValue<'_>>,
    min: u16,
) -> Option<Result<(u16, u16), StatusError>> {
    if let DeValue::String(text) = value.get_ref()
        && let [digit @ b'2'..=b'5', b'x' | b'X', b'x' | b'X'] = text.as_bytes()
    {
        return Some(Err(StatusError::Class(u16::from(digit - b'0'))));
    }
    if let DeValue::String(text) = value.get_ref()
        && let Some((first, last)) = text.split_once('-')
    {
        return Some(match (one(first, min), one(last, min)) {
            (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
            (Ok(_), Ok(_)) => Err(StatusError::Reversed),
            (Err(why), _) | (_, Err(why)) => Err(why),
        });
    }
    status(value, min).map(|status| status.map(|status| (status, status)))
}

/// A status as text.
fn one(text: &str, min: u16) -> Result<u16, StatusError> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number).ok_or(StatusError::NotOne)?;
    bounded(number, min)
}

fn bounded(status: u16, min: u16) -> Result<u16, StatusError> {
    if (min..=MAX).contains(&status) { Ok(status) } else { Err(StatusError::OutOfBounds { min }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StatusError::{Class, NotOne, OutOfBounds, Reversed};

    #[test]
    fn ranges() {
        let low = Some(Err(OutOfBounds { min: 200 }));
        let cases = [
            ("204", Some(Ok((204, 204)))),
            ("\"204\"", Some(Ok((204, 204)))),
            ("\"200-299\"", Some(Ok((200, 299)))),
            ("\"204-204\"", Some(Ok((204, 204)))),
            ("\"599\"", Some(Ok((599, 599)))),
            ("600", low),
            ("199", low),
            ("-1", low),
            ("70000", low),
            ("\"100-299\"", low),
            ("\"299-200\"", Some(Err(Reversed))),
            ("\"2xx\"", Some(Err(Class(2)))),
            ("\"1xx\"", Some(Err(NotOne))),
            ("\"200-\"", Some(Err(NotOne))),
            ("\"200 - 299\"", Some(Err(NotOne))),
            ("\"+200\"", Some(Err(NotOne))),
            ("\"\"", Some(Err(NotOne))),
            ("\"99999\"", Some(Err(NotOne))),
            ("true", None),
            ("[200]", None),
        ];
        for (text, expected) in cases {
            let text = format!("x = {text}");
            let table = toml::de::DeTable::parse(&text).unwrap();
            assert_eq!(range(&table.get_ref()["x"], FINAL_MIN), expected, "{text}");
        }
    }
}
