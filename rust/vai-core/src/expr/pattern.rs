//! Regular expressions of bounded size, matched in linear time.

use std::fmt;
use std::hash::{Hash, Hasher};

use regex::{Regex, RegexBuilder};

/// A compiled expression takes no more than this: as much as the crate allows a cache for matching
/// (`dfa_size_limit`), a tenth of its default for the program (10 MiB).
const MAX_PROGRAM_BYTES: usize = 1 << 20;
/// Parentheses within parentheses; the crate's default of 250 is for those who trust the author.
const MAX_NESTING: u32 = 64;

/// A regular expression; two are equal when they are written alike.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it. The error is a sentence without a position.
    pub fn new(text: &str) -> Result<Self, String> {
        RegexBuilder::new(text)
            .size_limit(MAX_PROGRAM_BYTES)
            .nest_limit(MAX_NESTING)
            .build()
            .map(Self)
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => format!(
                    "the regular expression is too large: compiled it takes more than \
                     {MAX_PROGRAM_BYTES} bytes; use smaller repetitions"
                ),
                // The last line says what is wrong, the ones before it draw an arrow.
                error => {
                    let text = error.to_string();
                    let reason = text.lines().last().unwrap_or_default();
                    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                    format!("not a regular expression: {reason}")
                }
            })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is found anywhere in the text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_anywhere() {
        let pattern = Pattern::new("b+").unwrap();
        assert!(pattern.is_match("abbc"));
        assert!(!pattern.is_match("ac"));
        assert_eq!(pattern, Pattern::new("b+").unwrap());
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (text, says) in [
            ("a(", "unclosed group"),
            ("[", "unclosed character class"),
            ("(?:a{1000}){1000}", "too large"),
            (r"\y", "unrecognized escape"),
            (&"(".repeat(100), "regular expression"),
        ] {
            let message = Pattern::new(text).unwrap_err();
            assert!(message.contains(says), "{text}: {message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
