//! Durations: `ParseDuration` and `Duration.String` of Go's `time` package, with days and weeks.

use std::fmt;

use super::decimal::shown;

/// Units in nanoseconds. `d` and `w` are ours, always of 24 hours: Kubernetes keeps UTC.
const UNITS: [(&str, u64); 10] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // U+00B5
    ("μs", 1_000), // U+03BC
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// The magnitude of the lowest duration.
const LIMIT: u64 = 1 << 63;

/// Nanoseconds.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{}' is not a duration such as 90s, 1h30m or 2d", shown(text));
    let too_long = || format!("'{}' is longer than 292 years", shown(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = rest.split_at(digits(rest));
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(digits(after)),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(wrong());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == name).ok_or_else(wrong)?;
        let whole: u64 =
            if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
        let nanos = whole
            .checked_mul(*unit)
            .and_then(|nanos| total.checked_add(nanos)?.checked_add(fraction_of(*unit, fraction)));
        total = nanos.filter(|total| *total <= LIMIT).ok_or_else(too_long)?;
        rest = after;
    }
    match (negative, i64::try_from(total)) {
        (false, Ok(nanos)) => Ok(nanos),
        (true, Ok(nanos)) => Ok(-nanos),
        (true, Err(_)) => Ok(i64::MIN),
        (false, Err(_)) => Err(too_long()),
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// `unit` × 0.fraction, in the floating point that Go computes it in.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as `ParseDuration` does"
)]
fn fraction_of(unit: u64, fraction: &str) -> u64 {
    let mut sum: u64 = 0;
    let mut scale = 1.0;
    for digit in fraction.bytes() {
        // `leadingFraction`: digits beyond 63 bits are dropped.
        if sum > (LIMIT - 1) / 10 {
            break;
        }
        let next = sum * 10 + u64::from(digit - b'0');
        if next > LIMIT {
            break;
        }
        sum = next;
        scale *= 10.0;
    }
    (sum as f64 * (unit as f64 / scale)) as u64
}

/// As Go's `Duration.String`: `72h3m0.5s`, `1.5ms`, `0s`.
pub(super) fn format(nanos: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let magnitude = nanos.unsigned_abs();
    if nanos < 0 {
        f.write_str("-")?;
    }
    let (unit, name) = match magnitude {
        0 => return f.write_str("0s"),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => {
            let seconds = magnitude / 1_000_000_000;
            if seconds >= 3_600 {
                write!(f, "{}h", seconds / 3_600)?;
            }
            if seconds >= 60 {
                write!(f, "{}m", seconds / 60 % 60)?;
            }
            return with_fraction(magnitude % 60_000_000_000, 1_000_000_000, "s", f);
        }
    };
    with_fraction(magnitude, unit, name, f)
}

fn with_fraction(value: u64, unit: u64, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", value / unit)?;
    if !value.is_multiple_of(unit) {
        let width = unit.ilog10() as usize;
        let digits = format!("{:0width$}", value % unit);
        write!(f, ".{}", digits.trim_end_matches('0'))?;
    }
    f.write_str(name)
}
