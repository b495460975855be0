//! The nearest known word to one that nobody knows.

/// The most similar of `known`, if it is similar enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The pairwise distance is quadratic in the length: nobody misspells a word of a hundred letters.
    if word.len() > 100 {
        return None;
    }
    let allowed = (word.chars().count() / 4).max(1);
    let folded = word.to_lowercase();
    let distance = |candidate: &str| {
        if candidate.len().abs_diff(word.len()) > allowed + 2 {
            return usize::MAX;
        }
        strsim::damerau_levenshtein(&folded, &candidate.to_lowercase())
    };
    let best = known.into_iter().take(MOST_COMPARED).map(|candidate| (distance(candidate), candidate)).min();
    best.filter(|(far, _)| *far <= allowed).map(|(_, candidate)| candidate)
}

/// So many candidates are compared at most: a hint must not take longer than the work.
const MOST_COMPARED: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_a_stranger_is_not() {
        let known = ["command", "ports", "postgres", "depends_on"];
        assert_eq!(nearest("comand", known), Some("command"));
        assert_eq!(nearest("Ports", known), Some("ports"));
        assert_eq!(nearest("postgers", known), Some("postgres"));
        assert_eq!(nearest("volumes", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
