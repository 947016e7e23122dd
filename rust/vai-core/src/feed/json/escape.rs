//! The text that a string with escapes stands for.

/// Decodes the escapes of a string that [`super::Cursor::string`] has validated.
pub(super) fn unescape(raw: &[u8]) -> String {
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
    use crate::feed::json::Cursor;

    fn text(json: &str) -> String {
        Cursor::new(json.as_bytes()).string().unwrap().decode().into_owned()
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
}
