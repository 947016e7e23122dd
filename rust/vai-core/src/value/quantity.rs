//! Kubernetes quantities: `ParseQuantity` and `CanonicalizeBytes` of
//! `k8s.io/apimachinery/pkg/api/resource/quantity.go`.

use bigdecimal::num_bigint::BigUint;

use super::decimal::{Decimal, Parts, Whole, shown, split_number};

/// Where values are rounded up, away from zero: `Nano` in `scale_int.go`.
const NANO: i64 = -9;
/// `maxAllowed` in `amount.go`, for binary suffixes alone.
const MAX_BINARY: i64 = i64::MAX;

enum Suffix {
    Ten(i64),
    Two(u32),
}

/// Suffixes as powers of ten and of two: `newSuffixer` in `suffix.go`.
const DECIMAL: [(&str, i64); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
const BINARY: [(&str, u32); 6] =
    [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// Parses as `ParseQuantity` does, but that a number needs a digit: Go's scanner also takes `-`,
/// `.` and `Ki` for zero.
pub(super) fn parse(text: &str) -> Result<Decimal, String> {
    let wrong = || {
        format!(
            "'{}' is not a quantity: a number, and n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, \
             Ei or an exponent",
            shown(text)
        )
    };
    let range = || format!("'{}' has too many digits", shown(text));
    let (mut parts, rest) = split_number(text).ok_or_else(wrong)?;
    match suffix(rest).ok_or_else(wrong)? {
        Suffix::Ten(exponent) => {
            // Zero at any scale is zero.
            if parts.digits.iter().all(|digit| *digit == b'0') {
                return Ok(Decimal::zero());
            }
            parts.point = parts.point.checked_add(exponent).ok_or_else(range)?;
            round_up(&mut parts);
            Decimal::from_digits(parts.negative, &parts.digits, parts.point).ok_or_else(range)
        }
        Suffix::Two(exponent) => {
            let number = binary(&parts, exponent).ok_or_else(range)?;
            let mut parts = number.parts();
            round_up(&mut parts);
            let negative = parts.negative;
            let rounded =
                Decimal::from_digits(negative, &parts.digits, parts.point).ok_or_else(range)?;
            Ok(match rounded.whole() {
                Whole::Above => Decimal::from(MAX_BINARY),
                Whole::Below | Whole::Exactly(i64::MIN) | Whole::After(i64::MIN) => {
                    Decimal::from(-MAX_BINARY)
                }
                _ => rounded,
            })
        }
    }
}

fn suffix(text: &str) -> Option<Suffix> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(suffix, _)| *suffix == text) {
        return Some(Suffix::Ten(*exponent));
    }
    if let Some((_, exponent)) = BINARY.iter().find(|(suffix, _)| *suffix == text) {
        return Some(Suffix::Two(*exponent));
    }
    let exponent = text.strip_prefix(['e', 'E'])?;
    exponent.parse().ok().map(Suffix::Ten)
}

/// The number times a power of two.
fn binary(parts: &Parts, exponent: u32) -> Option<Decimal> {
    let fraction = i64::try_from(parts.digits.len()).ok()? - parts.point;
    // 18 digits are less than 2^60: shifted by 60 they still fit.
    if parts.digits.len() <= 18 {
        let mantissa =
            parts.digits.iter().fold(0_u128, |sum, digit| sum * 10 + u128::from(digit - b'0'));
        return Decimal::new(parts.negative, mantissa << exponent, -fraction);
    }
    let digits = (BigUint::parse_bytes(&parts.digits, 10)? << exponent).to_string();
    let point = i64::try_from(digits.len()).ok()? - fraction;
    Decimal::from_digits(parts.negative, digits.as_bytes(), point)
}

/// Rounds away from zero to a multiple of 10^-9: "if you want some resources, you should get some".
fn round_up(parts: &mut Parts) {
    // The exponent may be the largest that is read.
    let kept = parts.point.saturating_sub(NANO);
    let Ok(kept) = usize::try_from(kept) else {
        // Less than a nano.
        *parts = Parts { negative: parts.negative, digits: vec![b'1'], point: NANO + 1 };
        return;
    };
    if parts.digits.len() <= kept {
        return;
    }
    let cut = parts.digits.split_off(kept);
    if cut.iter().all(|digit| *digit == b'0') {
        return;
    }
    for digit in parts.digits.iter_mut().rev() {
        if *digit == b'9' {
            *digit = b'0';
        } else {
            *digit += 1;
            return;
        }
    }
    parts.digits.insert(0, b'1');
    parts.point += 1;
}

/// The shortest of the canonical forms, the decimal one of two equally short: what is kept is the
/// value, not how it was written.
pub(super) fn canonical(number: &Decimal) -> String {
    let decimal = decimal_text(number);
    let binary = match number.whole() {
        Whole::Exactly(whole) if whole != 0 => binary_text(whole),
        _ => None,
    };
    binary.filter(|binary| binary.len() < decimal.len()).unwrap_or(decimal)
}

/// A mantissa without trailing thousands, and the suffix of its exponent, a multiple of three.
fn decimal_text(number: &Decimal) -> String {
    let Parts { negative, mut digits, point } = number.parts();
    if digits.is_empty() {
        return "0".to_owned();
    }
    let exponent = point - i64::try_from(digits.len()).unwrap_or(0);
    let multiple = exponent.div_euclid(3) * 3;
    let zeros = usize::try_from(exponent - multiple).unwrap_or(0);
    digits.extend(std::iter::repeat_n(b'0', zeros));
    let digits = String::from_utf8_lossy(&digits).into_owned();
    let sign = if negative { "-" } else { "" };
    match DECIMAL.iter().find(|(_, exponent)| *exponent == multiple) {
        Some((suffix, _)) => format!("{sign}{digits}{suffix}"),
        None => format!("{sign}{digits}e{multiple}"),
    }
}

fn binary_text(whole: i64) -> Option<String> {
    let (suffix, exponent) =
        BINARY.iter().rev().find(|(_, exponent)| whole.trailing_zeros() >= *exponent)?;
    Some(format!("{}{suffix}", whole >> exponent))
}
