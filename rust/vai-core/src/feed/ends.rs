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

/// Counts brackets outside strings. For bytes that are a beginning of valid JSON the count is
/// the nesting, so it finds the exact end; what it finds is parsed afterwards in any case.
#[derive(Clone, Debug)]
pub(crate) struct EndFinder {
    depth: u64,
    begun: bool,
    in_string: bool,
    after_backslash: bool,
    after_line_feed: bool,
    /// Whether to look for suspects, as in a stream of lines.
    lines: bool,
}

impl EndFinder {
    pub(crate) fn new(lines: bool) -> Self {
        Self {
            depth: 0,
            begun: false,
            in_string: false,
            after_backslash: false,
            after_line_feed: false,
            lines,
        }
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
            if self.after_backslash {
                self.after_backslash = false;
                i += 1;
            } else if self.in_string {
                let rest = &bytes[i..];
                let hit = if self.lines {
                    memchr3(b'"', b'\\', b'\n', rest)
                } else {
                    memchr2(b'"', b'\\', rest)
                };
                let Some(at) = hit else { return Found::Nothing };
                i += at + 1;
                match rest[at] {
                    b'\\' => self.after_backslash = true,
                    b'\n' => return Found::Suspect(i),
                    _ => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Found::End(i);
                        }
                    }
                }
            } else {
                let byte = bytes[i];
                i += 1;
                if let found @ (Found::End(_) | Found::Suspect(_)) = self.outside(byte, i) {
                    return found;
                }
            }
        }
        Found::Nothing
    }

    /// One byte outside strings, the `taken`-th of its bytes.
    fn outside(&mut self, byte: u8, taken: usize) -> Found {
        let after_line_feed = std::mem::replace(&mut self.after_line_feed, byte == b'\n');
        match byte {
            b'"' => {
                self.in_string = true;
                self.begun = true;
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.begun = true;
                if byte == b'{' && after_line_feed && self.lines && self.depth > 1 {
                    return Found::Suspect(taken);
                }
            }
            b'}' | b']' => {
                if self.depth <= 1 {
                    return Found::End(taken);
                }
                self.depth -= 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => {
                if self.depth == 0 && self.begun {
                    return Found::End(taken);
                }
                if byte == b'\n' && self.lines {
                    return Found::Suspect(taken);
                }
            }
            _ => self.begun = true,
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
