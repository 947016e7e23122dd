//! A JSON reader over bytes that may end anywhere.
//!
//! It validates (RFC 8259, as strictly as Go's `encoding/json`, which wrote the bytes) and hands
//! out slices. Values of no interest are skipped without recursion and without being built. What
//! Go accepts passes through untouched: duplicate keys, `1e400`, integers of any length, lone
//! surrogates, escaped NULs. UTF-8 is checked apart, by whoever keeps the bytes.

use std::borrow::Cow;

/// Levels of nesting allowed: `maxNestingDepth` of Go's `encoding/json/scanner.go` is 10,000 for
/// the object the server accepted; a few more for the envelope it is sent in.
pub(crate) const MAX_DEPTH: u32 = 10_000 + 8;

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// All bytes so far are right, but they end inside the value.
    Incomplete,
    /// The byte at this position cannot be.
    Malformed { at: usize, problem: &'static str },
}

pub(crate) type Read<T> = Result<T, Stop>;

/// A string's content between the quotes, escapes untouched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) raw: &'a [u8],
    /// Where `raw` begins; the opening quote is one before.
    pub(crate) start: usize,
    pub(crate) escaped: bool,
}

impl<'a> Text<'a> {
    /// Whether the decoded string is `name`, which has no character that must be escaped.
    #[inline]
    pub(crate) fn is(self, name: &[u8]) -> bool {
        if self.escaped { self.decode().as_bytes() == name } else { same(self.raw, name) }
    }

    /// The string; lone surrogates (and bytes that are not UTF-8) become U+FFFD.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if self.escaped {
            return Cow::Owned(unescape(self.raw));
        }
        // Nearly always it is UTF-8, which is seen sooner than it is searched for what is not.
        std::str::from_utf8(self.raw)
            .map_or_else(|_| String::from_utf8_lossy(self.raw), Cow::Borrowed)
    }
}

/// Whether both are equal. Keys are short: they are compared here, without a call of `memcmp`.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    if let (Some(head), Some(tail)) = (one.first_chunk::<8>(), one.last_chunk::<8>()) {
        return other.first_chunk() == Some(head)
            && other.last_chunk() == Some(tail)
            && (one.len() <= 16 || one == other);
    }
    if let (Some(head), Some(tail)) = (one.first_chunk::<4>(), one.last_chunk::<4>()) {
        return other.first_chunk() == Some(head) && other.last_chunk() == Some(tail);
    }
    one.iter().eq(other)
}

/// Reads from `bytes`, forwards. After an error the position is of no use.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) pos: usize,
    depth: u32,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0, depth: 0 }
    }

    /// The next byte that is not white space; it is not taken.
    #[inline]
    pub(crate) fn peek(&mut self) -> Read<u8> {
        self.pos = skip_space(self.bytes, self.pos);
        self.bytes.get(self.pos).copied().ok_or(Stop::Incomplete)
    }

    #[inline]
    fn take(&mut self, byte: u8, problem: &'static str) -> Read<()> {
        if self.peek()? != byte {
            return Err(self.malformed(problem));
        }
        self.pos += 1;
        Ok(())
    }

    fn malformed(&self, problem: &'static str) -> Stop {
        Stop::Malformed { at: self.pos, problem }
    }

    fn deeper(&mut self) -> Read<()> {
        if self.depth >= MAX_DEPTH {
            return Err(self.malformed(TOO_DEEP));
        }
        self.depth += 1;
        Ok(())
    }

    /// Reads a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Read<Text<'a>> {
        self.take(b'"', "expected a string")?;
        let start = self.pos;
        let (end, escaped) = skip_string(self.bytes, start)?;
        self.pos = end;
        Ok(Text { raw: &self.bytes[start..end - 1], start, escaped })
    }

    /// Skips any value and returns its bytes.
    #[inline]
    pub(crate) fn value(&mut self) -> Read<&'a [u8]> {
        self.pos = skip_space(self.bytes, self.pos);
        let start = self.pos;
        self.pos = skip_value(self.bytes, start, self.depth)?;
        Ok(&self.bytes[start..self.pos])
    }

    /// Reads an object; `each` must read the one value that belongs to the key it is given.
    #[inline]
    pub(crate) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Text<'a>) -> Read<()>,
    ) -> Read<()> {
        self.take(b'{', "expected an object")?;
        self.deeper()?;
        if self.peek()? == b'}' {
            return self.leave();
        }
        loop {
            if self.peek()? != b'"' {
                return Err(self.malformed(NO_KEY));
            }
            let key = self.string()?;
            self.take(b':', NO_COLON)?;
            each(self, key)?;
            match self.peek()? {
                b',' => self.pos += 1,
                b'}' => return self.leave(),
                _ => return Err(self.malformed(NO_COMMA_OR_BRACE)),
            }
        }
    }

    /// Reads an array; `each` must read one value.
    #[inline]
    pub(crate) fn array(&mut self, mut each: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.take(b'[', "expected an array")?;
        self.deeper()?;
        if self.peek()? == b']' {
            return self.leave();
        }
        loop {
            each(self)?;
            match self.peek()? {
                b',' => self.pos += 1,
                b']' => return self.leave(),
                _ => return Err(self.malformed(NO_COMMA_OR_BRACKET)),
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it ends functions that return Read")]
    fn leave(&mut self) -> Read<()> {
        self.pos += 1;
        self.depth -= 1;
        Ok(())
    }
}

const TOO_DEEP: &str = "nested deeper than 10,000 levels";
const NO_VALUE: &str = "expected a value";
const NO_KEY: &str = "expected a key in quotes";
const NO_COLON: &str = "expected ':' after a key";
pub(super) const NO_COMMA_OR_BRACE: &str = "expected ',' or '}'";
const NO_COMMA_OR_BRACKET: &str = "expected ',' or ']'";
const CONTROL: &str = "control character in a string";
const BAD_ESCAPE: &str = "unknown escape in a string";
const BAD_NUMBER: &str = "not a number";

#[inline]
pub(crate) fn skip_space(bytes: &[u8], mut i: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(i) {
        i += 1;
    }
    i
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A high bit at the first byte of `word` (little-endian) that is a quote, a backslash or a
/// control character. Bits above the first may be wrong, as borrows run upwards.
#[inline]
fn special(word: u64) -> u64 {
    let quote = word ^ (ONES * u64::from(b'"'));
    let backslash = word ^ (ONES * u64::from(b'\\'));
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    ((quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | below_space)
        & HIGHS
}

/// Position behind the closing quote of a string whose content begins at `i`, and whether it has
/// escapes. Eight bytes at a time: most strings of an object are too short for `memchr`'s setup.
#[inline]
fn skip_string(bytes: &[u8], mut i: usize) -> Read<(usize, bool)> {
    let mut escaped = false;
    loop {
        while let Some(eight) = bytes.get(i..).and_then(<[u8]>::first_chunk::<8>) {
            let found = special(u64::from_le_bytes(*eight));
            if found != 0 {
                i += (found.trailing_zeros() / 8) as usize;
                break;
            }
            i += 8;
        }
        match bytes.get(i) {
            None => return Err(Stop::Incomplete),
            Some(b'"') => return Ok((i + 1, escaped)),
            Some(b'\\') => {
                escaped = true;
                i = skip_escape(bytes, i + 1)?;
            }
            Some(0..=0x1f) => return Err(Stop::Malformed { at: i, problem: CONTROL }),
            // Only within the last seven bytes.
            Some(_) => i += 1,
        }
    }
}

/// Position behind an escape whose backslash is before `i`.
fn skip_escape(bytes: &[u8], i: usize) -> Read<usize> {
    match bytes.get(i) {
        None => Err(Stop::Incomplete),
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(i + 1),
        Some(b'u') => {
            for at in i + 1..i + 5 {
                match bytes.get(at) {
                    None => return Err(Stop::Incomplete),
                    Some(digit) if digit.is_ascii_hexdigit() => {}
                    Some(_) => return Err(Stop::Malformed { at, problem: BAD_ESCAPE }),
                }
            }
            Ok(i + 5)
        }
        Some(_) => Err(Stop::Malformed { at: i, problem: BAD_ESCAPE }),
    }
}

fn skip_literal(bytes: &[u8], start: usize, word: &[u8]) -> Read<usize> {
    for (at, want) in (start..).zip(word) {
        match bytes.get(at) {
            None => return Err(Stop::Incomplete),
            Some(got) if got == want => {}
            Some(_) => return Err(Stop::Malformed { at, problem: NO_VALUE }),
        }
    }
    Ok(start + word.len())
}

/// Position behind a number. At the end of the bytes it is incomplete: a digit may follow.
fn skip_number(bytes: &[u8], mut i: usize) -> Read<usize> {
    if bytes.get(i) == Some(&b'-') {
        i += 1;
    }
    i = match bytes.get(i) {
        Some(b'0') => i + 1,
        _ => skip_digits(bytes, i)?,
    };
    if bytes.get(i) == Some(&b'.') {
        i = skip_digits(bytes, i + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(i) {
        i += 1;
        if let Some(b'+' | b'-') = bytes.get(i) {
            i += 1;
        }
        i = skip_digits(bytes, i)?;
    }
    if i < bytes.len() { Ok(i) } else { Err(Stop::Incomplete) }
}

fn skip_digits(bytes: &[u8], start: usize) -> Read<usize> {
    let mut i = start;
    while let Some(b'0'..=b'9') = bytes.get(i) {
        i += 1;
    }
    match bytes.get(i) {
        None => Err(Stop::Incomplete),
        Some(_) if i == start => Err(Stop::Malformed { at: i, problem: BAD_NUMBER }),
        Some(_) => Ok(i),
    }
}

/// The open containers: one bit each (1 = object), 64 in a register and the rest in a vector.
struct Open {
    bits: u64,
    older: Vec<u64>,
    depth: u32,
}

impl Open {
    fn push(&mut self, object: bool) {
        if self.depth != 0 && self.depth.is_multiple_of(64) {
            self.older.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
        if self.depth != 0 && self.depth.is_multiple_of(64) {
            self.bits = self.older.pop().unwrap_or(0);
        }
    }

    fn in_object(&self) -> bool {
        self.bits & 1 == 1
    }
}

/// Reads `"key":` and returns the position behind it.
#[inline]
fn skip_key(bytes: &[u8], i: usize) -> Read<usize> {
    let i = skip_space(bytes, i);
    match bytes.get(i) {
        None => return Err(Stop::Incomplete),
        Some(b'"') => {}
        Some(_) => return Err(Stop::Malformed { at: i, problem: NO_KEY }),
    }
    let (end, _) = skip_string(bytes, i + 1)?;
    let i = skip_space(bytes, end);
    match bytes.get(i) {
        None => Err(Stop::Incomplete),
        Some(b':') => Ok(i + 1),
        Some(_) => Err(Stop::Malformed { at: i, problem: NO_COLON }),
    }
}

/// Position behind the value that begins at `i`, which lies `depth` levels deep.
fn skip_value(bytes: &[u8], mut i: usize, depth: u32) -> Read<usize> {
    let mut open = Open { bits: 0, older: Vec::new(), depth: 0 };
    loop {
        // At a value.
        i = skip_space(bytes, i);
        let Some(&first) = bytes.get(i) else { return Err(Stop::Incomplete) };
        match first {
            b'"' => i = skip_string(bytes, i + 1)?.0,
            b'{' | b'[' => {
                if depth + open.depth >= MAX_DEPTH {
                    return Err(Stop::Malformed { at: i, problem: TOO_DEEP });
                }
                let object = first == b'{';
                open.push(object);
                i = skip_space(bytes, i + 1);
                match bytes.get(i) {
                    None => return Err(Stop::Incomplete),
                    // `{` + 2 = `}` and `[` + 2 = `]`
                    Some(&next) if next == first + 2 => {
                        open.pop();
                        i += 1;
                    }
                    Some(_) => {
                        if object {
                            i = skip_key(bytes, i)?;
                        }
                        continue;
                    }
                }
            }
            b't' => i = skip_literal(bytes, i, b"true")?,
            b'f' => i = skip_literal(bytes, i, b"false")?,
            b'n' => i = skip_literal(bytes, i, b"null")?,
            b'-' | b'0'..=b'9' => i = skip_number(bytes, i)?,
            _ => return Err(Stop::Malformed { at: i, problem: NO_VALUE }),
        }
        // Behind a value.
        loop {
            if open.depth == 0 {
                return Ok(i);
            }
            i = skip_space(bytes, i);
            let Some(&next) = bytes.get(i) else { return Err(Stop::Incomplete) };
            match (next, open.in_object()) {
                (b',', true) => {
                    i = skip_key(bytes, i + 1)?;
                    break;
                }
                (b',', false) => {
                    i += 1;
                    break;
                }
                (b'}', true) | (b']', false) => {
                    open.pop();
                    i += 1;
                }
                (_, true) => return Err(Stop::Malformed { at: i, problem: NO_COMMA_OR_BRACE }),
                (_, false) => return Err(Stop::Malformed { at: i, problem: NO_COMMA_OR_BRACKET }),
            }
        }
    }
}

/// Decodes the escapes of a string that [`Cursor::string`] has validated.
fn unescape(raw: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.push_str(&String::from_utf8_lossy(&rest[..at]));
        let (decoded, used) = unescape_one(&rest[at + 1..]);
        out.push(decoded);
        rest = &rest[at + 1 + used..];
    }
    out.push_str(&String::from_utf8_lossy(rest));
    out
}

/// Decodes one escape (or a pair of surrogates) behind its backslash; returns the bytes used.
fn unescape_one(escape: &[u8]) -> (char, usize) {
    let simple = match escape.first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_unicode(escape),
        Some(&other) => char::from(other),
        None => return (char::REPLACEMENT_CHARACTER, 0),
    };
    (simple, 1)
}

fn unescape_unicode(escape: &[u8]) -> (char, usize) {
    let Some(unit) = hex4(escape.get(1..5)) else {
        return (char::REPLACEMENT_CHARACTER, escape.len());
    };
    if let Some(decoded) = char::from_u32(unit) {
        return (decoded, 5);
    }
    // A surrogate: the high half of a pair, or alone.
    if unit < 0xdc00
        && escape.get(5..7) == Some(b"\\u")
        && let Some(low @ 0xdc00..=0xdfff) = hex4(escape.get(7..11))
    {
        let joined = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        return (char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::REPLACEMENT_CHARACTER, 5)
}

fn hex4(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(text: &str) -> Read<usize> {
        skip_value(text.as_bytes(), 0, 0)
    }

    fn text(json: &str) -> String {
        Cursor::new(json.as_bytes()).string().unwrap().decode().into_owned()
    }

    #[test]
    fn valid_values_are_skipped_to_their_end() {
        for value in [
            r#""""#,
            r#""a long string with é and \" and \\ and \u12aF""#,
            "true",
            "false",
            "null",
            "0",
            "-0",
            "-1.5e+10",
            "1e400",
            "123456789012345678901234567890",
            "{}",
            "[]",
            "[ ]",
            "{ }",
            r#"{"a":1,"a":2}"#,
            r#"[1,[2,[{"x":[]}]], null ]"#,
            "{\n \"a\" : [ 1 , 2 ]\t}",
            r#""\ud800""#,
            r#""\u0000""#,
        ] {
            let followed = format!("{value},");
            assert_eq!(skip(&followed), Ok(value.len()), "{value}");
            // Every beginning of it is incomplete, never malformed.
            for (end, _) in followed.char_indices().take_while(|(end, _)| *end < value.len()) {
                let number_so_far = !value.starts_with(['{', '[', '"']) && end > 0;
                let result = skip(&followed[..end]);
                assert!(
                    result == Err(Stop::Incomplete),
                    "{value} cut at {end}: {result:?} {number_so_far}"
                );
            }
        }
    }

    #[test]
    fn malformed_values_are_found_where_they_go_wrong() {
        for (value, at) in [
            ("[1 2]", 3),
            ("[1,]", 3),
            ("[,1]", 1),
            ("{\"a\" 1}", 5),
            ("{\"a\":}", 5),
            ("{a:1}", 1),
            ("{\"a\":1,}", 7),
            ("{\"a\":1]", 6),
            ("[1}", 2),
            ("tru ", 3),
            ("nil,", 1),
            ("01,", 99),
            ("-,", 1),
            ("1.,", 2),
            ("1e,", 2),
            (".5,", 0),
            ("+1,", 0),
            ("\"\t\"", 1),
            ("\"12345678\n\"", 9),
            ("\"\\x\"", 2),
            ("\"\\u12g4\"", 5),
            ("NaN", 0),
        ] {
            match skip(value) {
                Err(Stop::Malformed { at: found, .. }) => assert_eq!(found, at, "{value}"),
                // `01` is the number 0 followed by something else, which its container refuses.
                other => assert!(at == 99 && other == Ok(1), "{value}: {other:?}"),
            }
        }
    }

    #[test]
    fn nesting_is_bounded_as_in_encoding_json_and_needs_no_recursion() {
        let nested = |levels: u32| "[".repeat(levels as usize) + &"]".repeat(levels as usize);
        assert_eq!(skip(&nested(10_000)), Ok(20_000));
        assert_eq!(skip(&nested(MAX_DEPTH)), Ok(2 * MAX_DEPTH as usize));
        assert_eq!(
            skip(&nested(MAX_DEPTH + 1)),
            Err(Stop::Malformed { at: MAX_DEPTH as usize, problem: TOO_DEEP })
        );
        let mixed = "{\"a\":[".repeat(200) + &"]}".repeat(200);
        assert_eq!(skip(&mixed), Ok(mixed.len()));
        let wrong = "{\"a\":[".repeat(200) + &"]}".repeat(100) + "}";
        assert!(matches!(skip(&wrong), Err(Stop::Malformed { .. })));
    }

    #[test]
    fn strings_are_decoded_with_lone_surrogates_replaced() {
        for (json, want) in [
            (r#""plain""#, "plain"),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\u00e9\u0000x""#, "é\0x"),
            (r#""\ud83d\ude00!""#, "😀!"),
            (r#""\ud83d!""#, "\u{fffd}!"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ] {
            assert_eq!(text(json), want, "{json}");
        }
    }

    #[test]
    fn equal_bytes_are_the_same_whatever_their_length() {
        let text = b"metadata.managedFields[*].fieldsV1";
        for length in 0..=text.len() {
            let one = &text[..length];
            let mut other = one.to_vec();
            assert!(same(one, &other), "{length}");
            assert!(!same(one, &text[..=length.min(text.len() - 1)]) || length == text.len());
            for at in 0..length {
                other.copy_from_slice(one);
                other[at] ^= 1;
                assert!(!same(one, &other), "{length} bytes that differ at {at}");
            }
        }
    }

    #[test]
    fn keys_are_compared_decoded() {
        let mut cursor = Cursor::new(br#""n\u0061me""#);
        let key = cursor.string().unwrap();
        assert!(key.is(b"name"));
        assert!(!key.is(b"n\\u0061me"));
    }
}
