//! Field selectors: a port of `k8s.io/apimachinery/pkg/fields/selector.go` (read at v0.36).

use std::borrow::Cow;
use std::fmt;

use super::SelectorError;

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldTerm {
    /// The field label, for example `status.phase`, exactly as written: white space counts.
    pub path: String,
    /// `!=` instead of `=`.
    pub not_equal: bool,
    /// The value, unescaped.
    pub value: String,
}

impl FieldTerm {
    /// Whether a field with this value meets the term; a missing field counts as empty.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        (value.unwrap_or("") == self.value) != self.not_equal
    }
}

/// All terms must hold; none at all selects everything.
///
/// Which fields a kind has is not known here: [`crate::field::FieldSet::index_of`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    /// Sorted as they print, without repetitions: one form for one meaning.
    pub terms: Vec<FieldTerm>,
}

impl FieldSelector {
    /// Parses as `fields.ParseSelector` does: the same strings, to the same meaning.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for (position, part) in split_terms(text) {
            if !part.is_empty() {
                let term = parse_term(part, position).map_err(|error| error.in_characters(text))?;
                // `Transform`: a term of nothing at all is Everything.
                if !(term.path.is_empty() && term.value.is_empty()) {
                    terms.push(term);
                }
            }
        }
        terms.sort_by_cached_key(FieldTerm::to_string);
        terms.dedup();
        Ok(Self { terms })
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether an object with these field values is selected; a missing field counts as empty.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        self.terms.iter().all(|term| term.matches(field(&term.path).as_deref()))
    }
}

impl fmt::Display for FieldTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = if self.not_equal { "!=" } else { "=" };
        write!(f, "{}{operator}{}", self.path, escape(&self.value))
    }
}

/// The canonical form; it can be parsed again and sent to a server.
impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{term}")?;
        }
        Ok(())
    }
}

/// The parts between commas that no backslash escapes, with their positions.
fn split_terms(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut after_backslash = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if after_backslash => after_backslash = false,
            b'\\' => after_backslash = true,
            b',' => {
                parts.push((start, &text[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push((start, &text[start..]));
    parts
}

/// Splits at the first operator: nothing is escaped on its left.
fn parse_term(part: &str, position: usize) -> Result<FieldTerm, SelectorError> {
    for (at, _) in part.char_indices() {
        let rest = &part[at..];
        for operator in ["!=", "==", "="] {
            if let Some(value) = rest.strip_prefix(operator) {
                let value_position = position + at + operator.len();
                return Ok(FieldTerm {
                    path: part[..at].to_owned(),
                    not_equal: operator == "!=",
                    value: unescape(value, value_position)?,
                });
            }
        }
    }
    Err(SelectorError { message: format!("can't understand '{part}'"), position })
}

/// `UnescapeValue`: backslash, comma and equals sign must be escaped, nothing else may be.
fn unescape(value: &str, position: usize) -> Result<String, SelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.char_indices();
    while let Some((at, char)) = chars.next() {
        let error = |message| Err(SelectorError { message, position: position + at });
        match char {
            '\\' => match chars.next() {
                Some((_, escaped @ ('\\' | ',' | '='))) => out.push(escaped),
                Some((_, other)) => return error(format!("invalid escape sequence: \\{other}")),
                None => return error("invalid escape sequence: \\".to_owned()),
            },
            ',' | '=' => return error(format!("unescaped character in value: {char}")),
            _ => out.push(char),
        }
    }
    Ok(out)
}

/// `EscapeValue`
fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', ',', '=']) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 4);
    for char in value.chars() {
        if matches!(char, '\\' | ',' | '=') {
            out.push('\\');
        }
        out.push(char);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, fields: &[(&str, &'static str)]) -> bool {
        let find = |path: &str| {
            fields.iter().find(|(have, _)| *have == path).map(|(_, value)| Cow::Borrowed(*value))
        };
        FieldSelector::parse(selector).unwrap().matches(find)
    }

    // The cases below follow apimachinery's pkg/fields/selector_test.go (v0.36): TestSplitTerms,
    // TestSplitTerm, TestEscapeValue, TestSelectorParse, TestSelectorMatches.

    #[test]
    fn valid_selectors_have_one_canonical_form() {
        for (text, canonical) in [
            ("", ""),
            ("a=a,", "a=a"),
            (",,a=a", "a=a"),
            ("x=a,y=b,z=c", "x=a,y=b,z=c"),
            ("x=a,a=x", "a=x,x=a"),
            ("x!=a,y==b", "x!=a,y=b"),
            (r"x=a||y\=b", r"x=a||y\=b"),
            (r"x=a\=\=b", r"x=a\=\=b"),
            (r"k=\,,k2=v2", r"k2=v2,k=\,"),
            (r"k=\\,k2=v2", r"k2=v2,k=\\"),
            (r"k=\\\,,k2=v2", r"k2=v2,k=\\\,"),
            ("함=수,목=록", "목=록,함=수"),
            ("k=", "k="),
            ("k!=", "k!="),
            ("=", ""),
            ("!=", ""),
            ("=v", "=v"),
            (" k = v ", " k = v "),
            ("a==1,a=2,a=1", "a=1,a=2"),
        ] {
            let selector =
                FieldSelector::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(selector.to_string(), canonical, "{text:?}");
            assert_eq!(FieldSelector::parse(canonical).unwrap(), selector, "{canonical:?}");
        }
    }

    #[test]
    fn invalid_selectors_say_where() {
        for (text, position) in [
            ("x=a||y=b", 6),
            ("x==a==b", 4),
            ("x=a,b", 4),
            ("x in (a)", 0),
            ("x", 0),
            ("a=b,x", 4),
            (r"k=\", 2),
            (r"k=\\\", 4),
            (r"k=\a", 2),
            (r"k=ab\d", 4),
            (r"k\,v", 0),
            ("k===v", 3),
            ("é=ü,x", 4),
            (r"é=ü,k=ñ\a", 7),
        ] {
            let error = FieldSelector::parse(text).expect_err(text);
            assert_eq!(error.position, position, "{text:?}: {error}");
        }
    }

    #[test]
    fn matching_follows_apimachinery() {
        let fields = [("foo", "bar"), ("baz", "blah"), ("complex", r"=value\,\")];
        for selector in [
            "",
            "foo=bar",
            "foo=bar,baz=blah",
            r"foo=bar,baz=blah,complex=\=value\\\,\\",
            "foo!=x",
            "absent=",
            "absent!=x",
            "notin=,in!=in",
        ] {
            assert!(matches(selector, &fields), "{selector}");
        }
        for selector in
            ["foo=blah", "baz=bar", "foo=bar,foobar=bar", "foo!=bar", "absent!=", "absent=x"]
        {
            assert!(!matches(selector, &fields), "{selector}");
        }
    }
}
