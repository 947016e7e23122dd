//! Known names closest to a misspelt one, for error messages.

/// The `limit` closest names by edit distance; a name that shares less than half of the word's
/// letters is no help and is left out.
#[must_use]
pub fn nearest<S: AsRef<str>>(word: &str, known: &[S], limit: usize) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> = known
        .iter()
        .map(|name| (distance(word, name.as_ref()), name.as_ref()))
        .filter(|(score, _)| *score <= word.chars().count().div_ceil(2))
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(limit).map(|(_, name)| name.to_owned()).collect()
}

/// Levenshtein's distance in characters, one row at a time. A long word only costs its beginning.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(LONGEST).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_names_come_first_and_strangers_not_at_all() {
        let known = ["pods", "nodes", "podtemplates", "deployments.apps", "services"];
        assert_eq!(nearest("pdos", &known, 3), ["pods"]);
        assert_eq!(nearest("podes", &known, 3), ["nodes", "pods"]);
        assert!(nearest("zzz", &known, 3).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
