//! Dates read: the three forms of RFC 9110 5.6.7. Names of days and months in any case, as caches
//! should (RFC 9111 4.2); a zone other than GMT is a mistake.

/// Seconds since 1970 UTC. `now`: for years of two digits, which lie at most 50 years ahead.
#[must_use]
pub fn parse(text: &[u8], now: u64) -> Option<u64> {
    let text = text.trim_ascii();
    match memchr::memchr(b',', text) {
        Some(3) => imf(text.get(3..)?),
        Some(day) if is_long_day(text.get(..day)?) => rfc850(text.get(day..)?, now),
        Some(_) => None,
        None => asctime(text),
    }
}

/// `, 06 Nov 1994 08:49:37 GMT`
fn imf(text: &[u8]) -> Option<u64> {
    let [b',', b' ', d1, d2, b' ', m1, m2, m3, b' ', y1, y2, y3, y4, b' ', time @ ..] = text else {
        return None;
    };
    let (clock, zone) = time.split_at_checked(8)?;
    if !zone.eq_ignore_ascii_case(b" gmt") {
        return None;
    }
    let day = number(&[*d1, *d2])?;
    instant(number(&[*y1, *y2, *y3, *y4])?, month(&[*m1, *m2, *m3])?, day, clock)
}

/// `, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8], now: u64) -> Option<u64> {
    let [b',', b' ', d1, d2, b'-', m1, m2, m3, b'-', y1, y2, b' ', time @ ..] = text else {
        return None;
    };
    let (clock, zone) = time.split_at_checked(8)?;
    if !zone.eq_ignore_ascii_case(b" gmt") {
        return None;
    }
    // The year now, closely enough: what differs by a day or so lies 50 years ahead.
    let this = 1970 + now / 31_556_952;
    let mut year = this - this % 100 + number(&[*y1, *y2])?;
    if year > this + 50 {
        year -= 100;
    }
    instant(year, month(&[*m1, *m2, *m3])?, number(&[*d1, *d2])?, clock)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<u64> {
    let [_, _, _, b' ', m1, m2, m3, b' ', d1, d2, b' ', rest @ ..] = text else { return None };
    let (clock, year) = rest.split_at_checked(8)?;
    let [b' ', y1, y2, y3, y4] = year else { return None };
    let day = if *d1 == b' ' { number(&[*d2]) } else { number(&[*d1, *d2]) }?;
    instant(number(&[*y1, *y2, *y3, *y4])?, month(&[*m1, *m2, *m3])?, day, clock)
}

fn is_long_day(text: &[u8]) -> bool {
    const DAYS: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    DAYS.iter().any(|day| text.eq_ignore_ascii_case(day.as_bytes()))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

fn month(name: &[u8; 3]) -> Option<u64> {
    const MONTHS: [&[u8; 3]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec",
    ];
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    Some(at as u64 + 1)
}

/// `clock` is `08:49:37`. Times before 1970 are its first second.
fn instant(year: u64, month: u64, day: u64, clock: &[u8]) -> Option<u64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    // 60: a leap second.
    if hour > 23 || minute > 59 || second > 60 || day == 0 || day > days_of(year, month) {
        return None;
    }
    // Years are counted from March, so that the leap day is a year's last.
    let (years, months) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days =
        365 * years + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day - 1;
    let days = days.saturating_sub(719_468);
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

const fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::super::date;
    use super::*;

    const NOW: u64 = 1_764_000_000;

    #[test]
    fn the_three_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "SUN, 06 nov 1994 08:49:37 gmt",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), Some(784_111_777), "{text}");
        }
        // 49 years ahead, and what would be 60 years ahead.
        assert_eq!(parse(b"Friday, 01-Jan-74 00:00:00 GMT", NOW), Some(3_281_990_400));
        assert_eq!(parse(b"Friday, 01-Jan-85 00:00:00 GMT", NOW), Some(473_385_600));
        assert_eq!(parse(b"Thu, 01 Jan 1601 00:00:00 GMT", NOW), Some(0));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "0",
            "-1",
            "",
            "foo",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 +0000",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 30 Feb 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for days in (0..200_000).step_by(13) {
            let secs = days * 86_400 + days % 86_400;
            let mut text = Vec::new();
            date::write(&mut text, secs);
            assert_eq!(parse(&text, NOW), Some(secs));
        }
    }
}
