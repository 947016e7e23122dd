//! Paths into objects: `.spec.containers[*].image`, `.status.conditions[type=Ready].status`.
//!
//! A path is read as users write it and as kubectl's and CRDs' `JSONPath` has it
//! (`k8s.io/client-go/util/jsonpath`), as far as that names values without computing any.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest text of a path. (A key of annotations is at most 317 characters.)
const MAX_BYTES: usize = 4_096;
/// Most steps of a path; visiting one step nests one call.
pub const MAX_STEPS: usize = 64;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// `.name`, `[app.kubernetes.io/name]`: the member of an object.
    Key(Box<str>),
    /// `[*]`: each element of an array, each member of an object.
    Each,
    /// `[0]`: one element of an array.
    Index(u32),
    /// `[type=Ready]`: each element, or member, that is an object whose member `key` is this text,
    /// or a number or boolean written so.
    Where {
        /// `type`
        key: Box<str>,
        /// `Ready`
        value: Box<str>,
    },
}

/// Where values are in an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    steps: Vec<Step>,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    /// What is wrong.
    pub message: String,
    /// The byte of the text where it is.
    pub position: usize,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at position {}", self.message, self.position)
    }
}

impl std::error::Error for PathError {}

impl Path {
    /// A path of these steps; `None` for none, or for too many.
    #[must_use]
    pub fn new(steps: Vec<Step>) -> Option<Self> {
        (1..=MAX_STEPS).contains(&steps.len()).then_some(Self { steps })
    }

    /// Reads `.spec.nodeName`, `spec.nodeName`, `{.spec.nodeName}`, `$.spec.nodeName`;
    /// `.metadata.labels[app.kubernetes.io/name]`, `['a.b']`, `.labels.a\.b`; `[0]`, `[*]`, `.*`;
    /// `[type=Ready]`, `[?(@.type=="Ready")]`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_BYTES {
            return Err(PathError {
                message: format!("a path of more than {MAX_BYTES} bytes"),
                position: MAX_BYTES,
            });
        }
        Parser { text, at: 0 }.path()
    }

    /// The steps, at least one.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether it can name more than one value of an object.
    #[must_use]
    pub fn is_many(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Each | Step::Where { .. }))
    }

    /// Whether it consists of keys alone.
    #[must_use]
    pub fn is_dotted(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::Key(_)))
    }

    /// What a field of this path is called: the path without its leading dot.
    #[must_use]
    pub fn name(&self) -> String {
        let text = self.to_string();
        text.strip_prefix('.').map_or(text.clone(), str::to_owned)
    }
}

/// The canonical form, which parses to the same path.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| write!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) if is_name(key) => write!(f, ".{key}"),
            Self::Key(key) if is_bare(key) && !is_digits(key) => write!(f, "[{key}]"),
            Self::Key(key) => write!(f, "[{}]", Quoted(key)),
            Self::Each => f.write_str("[*]"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Where { key, value } => {
                f.write_str("[")?;
                write_bare(key, f)?;
                f.write_str("=")?;
                write_bare(value, f)?;
                f.write_str("]")
            }
        }
    }
}

fn write_bare(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if is_bare(text) { f.write_str(text) } else { write!(f, "{}", Quoted(text)) }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for char in self.0.chars() {
            if matches!(char, '\'' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{char}")?;
        }
        f.write_str("'")
    }
}

fn is_name_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-')
}

/// What can follow a dot as it is.
fn is_name(key: &str) -> bool {
    !key.is_empty() && key.chars().all(is_name_char)
}

fn is_bare_char(char: char) -> bool {
    is_name_char(char) || matches!(char, '.' | '/' | '+' | '@' | '~' | '%')
}

/// What can stand in brackets without quotes.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(is_bare_char) && !key.starts_with('@')
}

fn is_digits(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a negative index stands before the closing bracket.
fn is_negative(text: &str) -> bool {
    let content = text.split(']').next().unwrap_or_default().trim_end();
    content.strip_prefix('-').is_some_and(|digits| !digits.is_empty() && is_digits(digits))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

type Parsed<T> = Result<T, PathError>;

impl<'a> Parser<'a> {
    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(PathError { message: message.into(), position: self.at })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Parsed<()> {
        if self.take(token) { Ok(()) } else { self.error(format!("expected '{token}'")) }
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn path(mut self) -> Parsed<Path> {
        self.space();
        let braced = self.take("{");
        self.space();
        self.take("$");
        let mut steps = Vec::new();
        loop {
            match self.peek() {
                Some('.') => {
                    self.at += 1;
                    match self.peek() {
                        // `.[0]` and `.['a']` are written too.
                        Some('[') => {}
                        Some('.') => return self.error("'..' is not supported: name every step"),
                        Some('*') => {
                            self.at += 1;
                            steps.push(Step::Each);
                        }
                        _ => steps.push(self.dotted()?),
                    }
                }
                Some('[') => steps.push(self.bracket()?),
                Some('}') if braced => break,
                Some(char) if char.is_whitespace() => break,
                Some(_) if steps.is_empty() => steps.push(self.dotted()?),
                Some(_) => return self.error("expected '.' or '['"),
                None => break,
            }
            if steps.len() > MAX_STEPS {
                return self.error(format!("more than {MAX_STEPS} steps"));
            }
        }
        self.space();
        if braced {
            self.expect("}")?;
            self.space();
        }
        if !self.rest().is_empty() {
            return self.error("expected the end of the path");
        }
        if steps.is_empty() {
            return self.error("expected a key such as .spec");
        }
        Ok(Path { steps })
    }

    /// A key behind a dot; a backslash takes the next character as it is.
    fn dotted(&mut self) -> Parsed<Step> {
        let mut key = String::new();
        while let Some(char) = self.peek() {
            match char {
                '\\' => {
                    self.at += 1;
                    let Some(escaped) = self.peek() else {
                        return self.error("expected a character behind the backslash");
                    };
                    key.push(escaped);
                    self.at += escaped.len_utf8();
                    continue;
                }
                '.' | '[' | '}' => break,
                ']' | '{' | '(' | ')' | '\'' | '"' | '*' | '=' | '<' | '>' | '!' | '&' | '|'
                | ',' => {
                    return self.error(format!("unexpected '{char}'; quote keys as in ['a b']"));
                }
                _ if char.is_whitespace() => break,
                _ => key.push(char),
            }
            self.at += char.len_utf8();
        }
        if key.is_empty() {
            return self.error("expected a key");
        }
        Ok(Step::Key(key.into()))
    }

    fn bracket(&mut self) -> Parsed<Step> {
        self.expect("[")?;
        self.space();
        let step = match self.peek() {
            Some('*') => {
                self.at += 1;
                Step::Each
            }
            Some('?') => self.filter()?,
            // `[-1]`; a key like `-1.x` is one.
            Some('-') if is_negative(self.rest()) => {
                return self.error("an index counts from the beginning");
            }
            _ => self.key_or_condition()?,
        };
        self.space();
        match self.peek() {
            Some(',') => self.error("one key or index, not several"),
            _ => self.expect("]").map(|()| step),
        }
    }

    /// `0`, `key`, `'key'`, `key=value`
    fn key_or_condition(&mut self) -> Parsed<Step> {
        let start = self.at;
        let quoted = matches!(self.peek(), Some('\'' | '"'));
        let key = self.word()?;
        self.space();
        if self.take("=") {
            self.take("=");
            self.space();
            return Ok(Step::Where { key, value: self.word()? });
        }
        if quoted || !is_digits(&key) {
            return Ok(Step::Key(key));
        }
        let Ok(index) = key.parse() else {
            self.at = start;
            return self.error("an index of more than 32 bits");
        };
        Ok(Step::Index(index))
    }

    /// `?(@.type=="Ready")`
    fn filter(&mut self) -> Parsed<Step> {
        self.expect("?")?;
        self.space();
        self.expect("(")?;
        self.space();
        self.expect("@")?;
        let key = if self.take("[") {
            let key = self.word()?;
            self.expect("]")?;
            key
        } else {
            self.expect(".")?;
            match self.dotted_until_operator() {
                "" => return self.error("expected a key"),
                key => key.into(),
            }
        };
        self.space();
        if self.peek() == Some('.') {
            return self.error("a filter compares one key of the element");
        }
        if !self.take("==") && !self.take("=") {
            return self.error("a filter compares with '=='");
        }
        self.space();
        let value = self.word()?;
        self.space();
        self.expect(")")?;
        Ok(Step::Where { key, value })
    }

    fn dotted_until_operator(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|char: char| !is_name_char(char)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// A quoted string, in which a backslash takes the next character as it is, or a bare one.
    fn word(&mut self) -> Parsed<Box<str>> {
        let Some(quote @ ('\'' | '"')) = self.peek() else {
            let rest = self.rest();
            let length = rest.find(|char: char| !is_bare_char(char)).unwrap_or(rest.len());
            if length == 0 {
                return self.error("expected a key");
            }
            self.at += length;
            return Ok(rest[..length].into());
        };
        let start = self.at;
        self.at += 1;
        let mut word = String::new();
        loop {
            let Some(mut char) = self.peek() else {
                self.at = start;
                return self.error("a quote that does not end");
            };
            self.at += char.len_utf8();
            if char == quote {
                return Ok(word.into());
            }
            if char == '\\' {
                let Some(escaped) = self.peek() else { continue };
                char = escaped;
                self.at += char.len_utf8();
            }
            word.push(char);
        }
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_a_path_has_one_canonical_form() {
        for (text, canonical) in [
            (".spec.nodeName", ".spec.nodeName"),
            ("spec.nodeName", ".spec.nodeName"),
            ("{.spec.nodeName}", ".spec.nodeName"),
            ("{ .spec.nodeName }", ".spec.nodeName"),
            ("$.spec.nodeName", ".spec.nodeName"),
            ("$['spec']['nodeName']", ".spec.nodeName"),
            (" .spec ", ".spec"),
            (".spec.containers[*].image", ".spec.containers[*].image"),
            (".spec.containers.*.image", ".spec.containers[*].image"),
            (".spec.containers[0].image", ".spec.containers[0].image"),
            (".spec.containers.[0].image", ".spec.containers[0].image"),
            (
                ".metadata.labels[app.kubernetes.io/name]",
                ".metadata.labels[app.kubernetes.io/name]",
            ),
            (
                ".metadata.labels['app.kubernetes.io/name']",
                ".metadata.labels[app.kubernetes.io/name]",
            ),
            (
                r".metadata.labels.app\.kubernetes\.io/name",
                ".metadata.labels[app.kubernetes.io/name]",
            ),
            (r#".a["b c"]"#, ".a['b c']"),
            (r".a['it\'s \\']", r".a['it\'s \\']"),
            (".data['0']", ".data.0"),
            (".data.0", ".data.0"),
            (".a['']", ".a['']"),
            (".a['*']", ".a['*']"),
            (".a['type=Ready']", ".a['type=Ready']"),
            (".status.conditions[type=Ready].status", ".status.conditions[type=Ready].status"),
            (
                ".status.conditions[ type == 'Ready' ].status",
                ".status.conditions[type=Ready].status",
            ),
            (
                r#"{.status.conditions[?(@.type=="Ready")].status}"#,
                ".status.conditions[type=Ready].status",
            ),
            (
                ".status.conditions[?(@.type=='Ready')].status",
                ".status.conditions[type=Ready].status",
            ),
            (".a[?( @['x.y'] == true )]", ".a[x.y=true]"),
            (".a[x='']", ".a[x='']"),
            (".a[type=a b]", "!.a[type=a b]"),
            ("함.목", "['함']['목']"),
        ] {
            match canonical.strip_prefix('!') {
                None => {
                    let path = Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
                    assert_eq!(path.to_string(), canonical, "{text}");
                    assert_eq!(Path::parse(canonical), Ok(path), "{canonical}");
                }
                Some(text) => assert!(Path::parse(text).is_err(), "{text}"),
            }
        }
    }

    #[test]
    fn errors_say_where() {
        for (text, position) in [
            ("", 0),
            (".", 1),
            ("{.a", 3),
            (".a}", 2),
            ("..a", 1),
            (".a..b", 3),
            (".a[", 3),
            (".a[0", 4),
            (".a[]", 3),
            (".a['b]", 3),
            (".a[-1]", 3),
            (".a[0:2]", 4),
            (".a['b','c']", 6),
            (".a[4294967296]", 3),
            (".a[0]b", 5),
            (".a b", 3),
            (".a=b", 2),
            (".a[?(@.b>3)]", 8),
            (".a[?(@.b.c=='x')]", 8),
            (".a[?(b==3)]", 5),
            (r".a\", 3),
            ("{.a}{.b}", 4),
            ("{range .items[*]}", 7),
        ] {
            match Path::parse(text) {
                Err(error) => assert_eq!(error.position, position, "{text}: {error}"),
                Ok(path) => panic!("{text}: {path}"),
            }
        }
        assert!(Path::parse(&".a".repeat(MAX_STEPS)).is_ok());
        assert!(Path::parse(&".a".repeat(MAX_STEPS + 1)).is_err());
        assert!(Path::parse(&"a".repeat(MAX_BYTES + 1)).is_err());
    }

    #[test]
    fn a_fields_name_is_its_path_without_the_dot() {
        assert_eq!(Path::parse(".spec.nodeName").unwrap().name(), "spec.nodeName");
        assert_eq!(Path::parse(".a['b c']").unwrap().name(), "a['b c']");
        assert_eq!(Path::parse("['b c']").unwrap().name(), "['b c']");
    }

    fn step() -> impl Strategy<Value = Step> {
        let text = prop_oneof!["[a-zA-Z0-9_./-]{0,8}", any::<String>()];
        prop_oneof![
            4 => text.clone().prop_map(|key| Step::Key(key.into())),
            1 => Just(Step::Each),
            1 => any::<u32>().prop_map(Step::Index),
            1 => (text.clone(), text)
                .prop_map(|(key, value)| Step::Where { key: key.into(), value: value.into() }),
        ]
    }

    #[test]
    fn a_key_may_begin_like_a_negative_index() {
        for text in ["[-1.x]", "[-1%]", "[-2a=b]"] {
            let path = Path::parse(text).unwrap();
            assert_eq!(Path::parse(&path.to_string()), Ok(path), "{text}");
        }
        assert_eq!(Path::parse("a[-1]").unwrap_err().position, 2);
    }

    proptest! {
        #[test]
        fn a_path_reads_back_as_it_prints(steps in vec(step(), 1..8)) {
            let path = Path::new(steps).unwrap();
            let text = path.to_string();
            prop_assert_eq!(Path::parse(&text), Ok(path.clone()), "{}", text);
            prop_assert_eq!(Path::parse(&path.name()), Ok(path), "{}", text);
        }

        #[test]
        fn any_text_is_a_path_or_an_error_within_it(text in any::<String>()) {
            match Path::parse(&text) {
                Ok(path) => prop_assert_eq!(Path::parse(&path.to_string()), Ok(path)),
                Err(error) => prop_assert!(error.position <= text.len()),
            }
        }

        #[test]
        fn near_misses_are_paths_or_errors(text in r#"[.\[\]{}$*?(@=)'"\\a0 -]{0,16}"#) {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
            }
        }
    }
}
