//! A JSON reader over bytes that may end anywhere.
//!
//! It validates (RFC 8259, as strictly as Go's `encoding/json`, which wrote the bytes) and hands
//! out slices. Values of no interest are skipped without recursion and without being built. What
//! Go accepts passes through untouched: duplicate keys, `1e400`, integers of any length, lone
//! surrogates, escaped NULs. UTF-8 is checked apart, by whoever keeps the bytes.

mod escape;
mod skip;

use std::borrow::Cow;

use self::escape::unescape;
pub(crate) use self::skip::skip_space;
use self::skip::{skip_string, skip_value};

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
const NO_KEY: &str = "expected a key in quotes";
const NO_COLON: &str = "expected ':' after a key";
pub(super) const NO_COMMA_OR_BRACE: &str = "expected ',' or '}'";
const NO_COMMA_OR_BRACKET: &str = "expected ',' or ']'";

#[cfg(test)]
mod tests {
    use super::*;

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
