//! Upper and lower case as one.

use std::borrow::Cow;

/// Which letters count as equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fold {
    /// Byte for byte.
    Exact,
    /// `A` to `Z` equal `a` to `z`, nothing else: what SQLite's LIKE does
    /// (<https://sqlite.org/lang_expr.html#like>), and Rancher's Steve with it.
    Ascii,
    /// Case in Unicode's sense, close to its full case folding: `Straße` equals `STRASSE`.
    Unicode,
}

impl Fold {
    /// The form in which equal texts are the same bytes. Folding twice changes nothing.
    #[must_use]
    pub fn fold(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Exact => Cow::Borrowed(text),
            _ if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Cow::Borrowed(text)
            }
            Self::Unicode if !text.is_ascii() => Cow::Owned(
                // Character by character: str::to_lowercase looks at neighbours (final sigma).
                // Down, up, down: the capital sharp s has a lower case, that one an upper one.
                text.chars()
                    .flat_map(char::to_lowercase)
                    .flat_map(char::to_uppercase)
                    .flat_map(char::to_lowercase)
                    .collect(),
            ),
            _ => Cow::Owned(text.to_ascii_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_folding_leaves_other_letters_alone() {
        assert_eq!(Fold::Ascii.fold("ÄPFEL"), "Äpfel");
        assert_eq!(Fold::Exact.fold("Äpfel"), "Äpfel");
    }

    #[test]
    fn unicode_folding_makes_cases_one() {
        for (a, b) in [
            ("Äpfel", "äPFEL"),
            ("Straße", "STRASSE"),
            ("GRÜẞE", "grüße"),
            ("ΟΔΟΣ", "οδος"),
            ("ΟΔΟΣ", "οδοσ"),
            ("\u{212a}", "k"),
            ("plain", "PLAIN"),
        ] {
            assert_eq!(Fold::Unicode.fold(a), Fold::Unicode.fold(b), "{a} {b}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for char in '\0'..=char::MAX {
            let text = char.to_string();
            for fold in [Fold::Ascii, Fold::Unicode] {
                let once = fold.fold(&text);
                assert_eq!(fold.fold(&once), once, "{char:?} U+{:X}", u32::from(char));
            }
        }
    }
}
