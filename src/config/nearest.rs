//! The nearest word to a mistyped one.

/// The candidate nearest to `word`, if it is near enough to be what was meant: at most one edit
/// for every three characters, and at least one. Letter case and `-`/`_` count as no difference.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Nobody means a word of this length by a mistake of some letters; and the cost is quadratic.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let bound = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| {
            candidate.len() <= LONGEST && candidate.len().abs_diff(word.len()) <= 3 * bound
        })
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= bound && distance < candidate.chars().count())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

fn folded(word: &str) -> Vec<char> {
    word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn one into the other
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (folded(a), folded(b));
    let mut two_ago: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    let mut a_before = None;
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(previous.len());
        let mut left = i + 1;
        let mut b_before = None;
        row.push(left);
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX);
            let change = at(&previous, j) + usize::from(x != y);
            let mut best = change.min(at(&previous, j + 1) + 1).min(left + 1);
            if a_before == Some(y) && b_before == Some(x) && j > 0 {
                best = best.min(at(&two_ago, j - 1).saturating_add(1));
            }
            row.push(best);
            left = best;
            b_before = Some(y);
        }
        a_before = Some(x);
        two_ago = std::mem::replace(&mut previous, row);
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let cases = [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("weight", "weight", 0),
            ("wieght", "weight", 1),
            ("wiehgt", "weight", 2),
            ("idle-timeout", "IDLE_TIMEOUT", 0),
            ("kitten", "sitting", 3),
        ];
        for (a, b, expected) in cases {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn only_plausible_words() {
        let words = ["bind", "timeouts", "limits", "via"];
        let cases = [
            ("bnid", Some("bind")),
            ("timeout", Some("timeouts")),
            ("limit", Some("limits")),
            ("x", None),
            ("balance", None),
            ("", None),
            ("vai", Some("via")),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
    }
}
