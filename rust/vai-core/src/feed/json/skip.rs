//! Over a value without building it: where it ends, or where it goes wrong.

use super::{
    MAX_DEPTH, NO_COLON, NO_COMMA_OR_BRACE, NO_COMMA_OR_BRACKET, NO_KEY, Read, Stop, TOO_DEEP,
};

const NO_VALUE: &str = "expected a value";
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
pub(super) fn skip_string(bytes: &[u8], mut i: usize) -> Read<(usize, bool)> {
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
pub(super) fn skip_value(bytes: &[u8], mut i: usize, depth: u32) -> Read<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(text: &str) -> Read<usize> {
        skip_value(text.as_bytes(), 0, 0)
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
}
