//! Where a value that was cut by the end of a chunk ends.

use memchr::{memchr2, memchr3};

/// What was found in some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The value is complete with this many of the bytes. (Behind a number or a literal they
    /// include the delimiter: only it shows the end.)
    End(usize),
    /// With this many of the bytes, the last a line feed or a `{` at the beginning of a line,
    /// the value may have been cut off, or gone wrong: worth a parse.
    Suspect(usize),
    /// All bytes belong to the value.
    Nothing,
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the value.
    Before,
    /// In the value, outside strings.
    Outside,
    /// The same, right behind a line feed.
    LineStart,
    InString,
    /// In a string, right behind a backslash.
    Escaped,
}

/// Counts brackets outside strings. For bytes that are a beginning of valid JSON the count is
/// the nesting, so it finds the exact end; what it finds is parsed afterwards in any case.
#[derive(Clone, Debug)]
pub(crate) struct EndFinder {
    depth: u64,
    place: Place,
    /// Whether to look for suspects, as in a stream of lines.
    lines: bool,
}

impl EndFinder {
    pub(crate) fn new(lines: bool) -> Self {
        Self { depth: 0, place: Place::Before, lines }
    }

    /// Begins with a value of which `head` is there and known to be valid so far.
    pub(crate) fn begin(&mut self, head: &[u8]) {
        *self = Self::new(self.lines);
        let mut rest = head;
        while let Found::Suspect(taken) | Found::End(taken) = self.feed(rest) {
            rest = &rest[taken..];
        }
    }

    /// Takes the bytes that follow, up to and including what is found.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Found {
        let mut i = 0;
        while i < bytes.len() {
            let found = match self.place {
                Place::Escaped => {
                    self.place = Place::InString;
                    i += 1;
                    continue;
                }
                Place::InString => {
                    let Some(at) = self.string_stop(&bytes[i..]) else { return Found::Nothing };
                    i += at + 1;
                    self.in_string(bytes[i - 1], i)
                }
                Place::Before | Place::Outside | Place::LineStart => {
                    i += 1;
                    self.outside(bytes[i - 1], i)
                }
            };
            if found != Found::Nothing {
                return found;
            }
        }
        Found::Nothing
    }

    /// The next byte inside a string that matters.
    fn string_stop(&self, bytes: &[u8]) -> Option<usize> {
        if self.lines { memchr3(b'"', b'\\', b'\n', bytes) } else { memchr2(b'"', b'\\', bytes) }
    }

    /// One of those bytes, the `taken`-th of its bytes.
    fn in_string(&mut self, byte: u8, taken: usize) -> Found {
        match byte {
            b'\\' => self.place = Place::Escaped,
            b'\n' => return Found::Suspect(taken),
            _ => {
                self.place = Place::Outside;
                if self.depth == 0 {
                    return Found::End(taken);
                }
            }
        }
        Found::Nothing
    }

    /// One byte outside strings, the `taken`-th of its bytes.
    fn outside(&mut self, byte: u8, taken: usize) -> Found {
        let place = std::mem::replace(&mut self.place, Place::Outside);
        match byte {
            b'"' => self.place = Place::InString,
            b'{' | b'[' => {
                self.depth += 1;
                if self.lines && byte == b'{' && place == Place::LineStart {
                    return Found::Suspect(taken);
                }
            }
            b'}' | b']' => {
                if self.depth <= 1 {
                    return Found::End(taken);
                }
                self.depth -= 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if place == Place::Before => {
                self.place = Place::Before;
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => {
                return Found::End(taken);
            }
            b'\n' => {
                self.place = Place::LineStart;
                if self.lines {
                    return Found::Suspect(taken);
                }
            }
            _ => {}
        }
        Found::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_across_any_cut() {
        for (value, behind) in [
            (r#"{"a":"}","b":[1,{"c":"\"]"}]}"#, ""),
            (r#"["\\",[],{}]"#, ""),
            (r#""a \" string""#, ""),
            ("-12.5", ","),
            ("null", "}"),
        ] {
            let text = format!("{value}{behind}{{\"more\":1}}");
            for cut in 1..value.len() {
                let mut finder = EndFinder::new(false);
                finder.begin(&text.as_bytes()[..cut]);
                let found = finder.feed(&text.as_bytes()[cut..]);
                assert_eq!(
                    found,
                    Found::End(value.len() + behind.len() - cut),
                    "{value} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn a_new_line_inside_a_value_is_suspect() {
        let mut finder = EndFinder::new(true);
        assert_eq!(finder.feed(b"{\"a\":{\"b\":1}\n"), Found::Suspect(13));
        assert_eq!(finder.feed(b"{\"c\":2}\n"), Found::Suspect(1));
        let mut finder = EndFinder::new(true);
        assert_eq!(finder.feed(b"{\"a\":\"cut\n{\"c\":2}"), Found::Suspect(10));
        let mut finder = EndFinder::new(false);
        assert_eq!(finder.feed(b"{\"a\":\n{\"c\":2}}"), Found::End(14));
    }
}
