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

/// Edit distance in characters where two swapped neighbours count once (optimal string alignment),
/// three rows at a time. A long word only costs its beginning.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let a: Vec<char> = a.chars().take(LONGEST).collect();
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
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
        assert_eq!(nearest("pdos", &["pdb", "ds", "pods"], 1), ["pods"], "swapped letters");
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
