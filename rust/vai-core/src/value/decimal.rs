//! Exact decimal numbers whose bytes sort as they do.
//!
//! A number is `±0.d₁d₂d₃… × 10^point` with d₁ ≠ 0, and its bytes are
//!
//! - `80` for zero;
//! - for a positive one, the point (one byte from -40 to 80, else an escape and two bytes), then
//!   the digits in pairs, each as 1 to 100, an odd last one padded with 0. Trailing zeros are cut,
//!   so there is one form for one number, and a shorter one sorts before its continuations;
//! - for a negative one, those of its absolute value inverted, and `FF` behind them, so that a
//!   shorter one sorts after its continuations.

use std::fmt;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, BigUint, Sign};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Significant digits that a number may have: as many as indexed text has bytes.
const MAX_DIGITS: usize = crate::object::MAX_INDEXED_TEXT_BYTES;
/// The point lies within ±this: what is computed with stays small, whatever exponent is sent.
const MAX_POINT: i64 = 9_999;

const ZERO: u8 = 0x80;
/// Before two bytes: a point below that of [`FIRST`].
const TINY: u8 = 0x81;
/// Stands for [`FIRST_POINT`].
const FIRST: u8 = 0x82;
const FIRST_POINT: i64 = -40;
const LAST: u8 = 0xfa;
/// Before two bytes: a point above that of [`LAST`].
const HUGE: u8 = 0xfb;

/// An exact decimal number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decimal(Box<[u8]>);

/// A number among the integers of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// It is one.
    Exactly(i64),
    /// It lies between this one and the next.
    After(i64),
    /// It is less than all, or lies between the lowest and what comes before it.
    Below,
    /// It is greater than all.
    Above,
}

/// Sign, significant digits as ASCII, point.
pub(super) struct Parts {
    pub(super) negative: bool,
    pub(super) digits: Vec<u8>,
    pub(super) point: i64,
}

impl Decimal {
    /// 0
    #[must_use]
    pub fn zero() -> Self {
        Self(Box::new([ZERO]))
    }

    /// The bytes that sort as the numbers do.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes that [`Decimal::as_bytes`] gave; `None` for any others.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let candidate = Self(bytes.into());
        let Parts { negative, digits, point } = candidate.checked_parts()?;
        (Self::from_digits(negative, &digits, point)? == candidate).then_some(candidate)
    }

    /// ±mantissa × 10^exponent
    pub(super) fn new(negative: bool, mantissa: u128, exponent: i64) -> Option<Self> {
        let digits = mantissa.to_string();
        let point = exponent + i64::try_from(digits.len()).ok()?;
        Self::from_digits(negative, digits.as_bytes(), point)
    }

    /// ±0.digits × 10^point; `None` beyond the limits. The digits are ASCII.
    pub(super) fn from_digits(negative: bool, digits: &[u8], point: i64) -> Option<Self> {
        let Some(first) = digits.iter().position(|digit| *digit != b'0') else {
            return Some(Self::zero());
        };
        let last = digits.iter().rposition(|digit| *digit != b'0').map_or(first, |last| last);
        let point = point.checked_sub(i64::try_from(first).ok()?)?;
        let digits = &digits[first..=last];
        if digits.len() > MAX_DIGITS || !(-MAX_POINT..=MAX_POINT).contains(&point) {
            return None;
        }
        let mut bytes = Vec::with_capacity(4 + digits.len().div_ceil(2));
        let small = u8::try_from(point - FIRST_POINT).ok().and_then(|at| FIRST.checked_add(at));
        if let Some(header @ FIRST..=LAST) = small {
            bytes.push(header);
        } else {
            bytes.push(if point < FIRST_POINT { TINY } else { HUGE });
            bytes.extend(u16::try_from(point + MAX_POINT).ok()?.to_be_bytes());
        }
        bytes.extend(digits.chunks(2).map(|pair| {
            let value = |at: usize| pair.get(at).map_or(0, |digit| digit - b'0');
            value(0) * 10 + value(1) + 1
        }));
        if negative {
            for byte in &mut bytes {
                *byte = !*byte;
            }
            bytes.push(0xff);
        }
        Some(Self(bytes.into_boxed_slice()))
    }

    pub(super) fn parts(&self) -> Parts {
        // The bytes were checked when they were taken.
        self.checked_parts().unwrap_or(Parts { negative: false, digits: Vec::new(), point: 0 })
    }

    fn checked_parts(&self) -> Option<Parts> {
        let first = *self.0.first()?;
        if first == ZERO {
            return (self.0.len() == 1).then(|| Parts {
                negative: false,
                digits: Vec::new(),
                point: 0,
            });
        }
        let negative = first < ZERO;
        let flip = if negative { 0xff } else { 0 };
        let mut bytes = match self.0.split_last() {
            Some((0xff, rest)) if negative => rest,
            _ if negative => return None,
            _ => &self.0[..],
        }
        .iter()
        .map(|byte| byte ^ flip);
        let point = match bytes.next()? {
            TINY | HUGE => {
                i64::from(u16::from_be_bytes([bytes.next()?, bytes.next()?])) - MAX_POINT
            }
            header @ FIRST..=LAST => i64::from(header - FIRST) + FIRST_POINT,
            _ => return None,
        };
        let mut digits = Vec::with_capacity(2 * bytes.len());
        for pair in bytes {
            let pair = pair.checked_sub(1).filter(|pair| *pair < 100)?;
            digits.extend([b'0' + pair / 10, b'0' + pair % 10]);
        }
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        Some(Parts { negative, digits, point })
    }

    /// Mantissa and exponent, where the mantissa has at most 36 digits.
    pub(super) fn small(&self) -> Option<(i128, i64)> {
        let Parts { negative, digits, point } = self.parts();
        if digits.len() > 36 {
            return None;
        }
        let mantissa = digits.iter().fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        let exponent = point - i64::try_from(digits.len()).ok()?;
        Some((if negative { -mantissa } else { mantissa }, exponent))
    }

    /// Where it lies among the integers.
    #[must_use]
    pub fn whole(&self) -> Whole {
        let Parts { negative, digits, point } = self.parts();
        let beyond = if negative { Whole::Below } else { Whole::Above };
        // 2^63 has 19 digits.
        if point > 19 {
            return beyond;
        }
        let before_point = usize::try_from(point).unwrap_or(0);
        let magnitude = (0..before_point).fold(0_i128, |sum, at| {
            sum * 10 + i128::from(digits.get(at).map_or(0, |digit| digit - b'0'))
        });
        let exact = digits.len() <= before_point;
        let floor = match (negative, exact) {
            (false, _) => magnitude,
            (true, true) => -magnitude,
            (true, false) => -magnitude - 1,
        };
        match i64::try_from(floor) {
            Ok(floor) if exact => Whole::Exactly(floor),
            Ok(i64::MAX) => Whole::Above,
            Ok(floor) => Whole::After(floor),
            Err(_) => beyond,
        }
    }

    /// For sums and other arithmetic.
    #[must_use]
    pub fn to_bigdecimal(&self) -> BigDecimal {
        let Parts { negative, digits, point } = self.parts();
        let scale = i64::try_from(digits.len()).unwrap_or(0) - point;
        let magnitude = BigUint::parse_bytes(&digits, 10).unwrap_or_default();
        let sign = if negative { Sign::Minus } else { Sign::Plus };
        BigDecimal::new(BigInt::from_biguint(sign, magnitude), scale)
    }

    /// `None` for more than 1,024 significant digits and beyond 10^±9,999.
    #[must_use]
    pub fn from_bigdecimal(number: &BigDecimal) -> Option<Self> {
        let (mantissa, scale) = number.as_bigint_and_exponent();
        let digits = mantissa.magnitude().to_string();
        let point = i64::try_from(digits.len()).ok()?.checked_sub(scale)?;
        Self::from_digits(mantissa.sign() == Sign::Minus, digits.as_bytes(), point)
    }

    /// A JSON number where its readers keep it exact, else text.
    pub(super) fn to_json(&self) -> serde_json::Value {
        if let Whole::Exactly(number) = self.whole() {
            return number.into();
        }
        let text = self.to_string();
        match text.parse::<f64>() {
            Ok(float) if float.is_finite() && float.to_string().parse().as_ref() == Ok(self) => {
                float.into()
            }
            _ => text.into(),
        }
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self::new(number < 0, number.unsigned_abs().into(), 0).unwrap_or_else(Self::zero)
    }
}

/// Splits `[+-]digits[.digits]` off the beginning: the parts, and what follows. `None` without a
/// digit.
pub(super) fn split_number(text: &str) -> Option<(Parts, &str)> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let digits_of = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = unsigned.split_at(digits_of(unsigned));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits_of(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let point = i64::try_from(whole.len()).ok()?;
    Some((
        Parts { negative, digits: [whole.as_bytes(), fraction.as_bytes()].concat(), point },
        rest,
    ))
}

impl FromStr for Decimal {
    type Err = String;

    /// `[+-]digits[.digits][e[+-]digits]`: what JSON writes, and a sign, a leading or a trailing
    /// point besides.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{}' is not a number", shown(text));
        let (mut parts, rest) = split_number(text).ok_or_else(wrong)?;
        let range = || format!("'{}' has too many digits", shown(text));
        if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong());
            }
            if parts.digits.iter().all(|digit| *digit == b'0') {
                return Ok(Self::zero());
            }
            let exponent: i64 = exponent.parse().map_err(|_| range())?;
            parts.point = parts.point.checked_add(exponent).ok_or_else(range)?;
        } else if !rest.is_empty() {
            return Err(wrong());
        }
        Self::from_digits(parts.negative, &parts.digits, parts.point).ok_or_else(range)
    }
}

/// The beginning of what somebody sent, for a message.
pub(super) fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(60)]
}

/// Plain digits; an exponent where they would be many.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { negative, digits, point } = self.parts();
        let digits = std::str::from_utf8(&digits).map_err(|_| fmt::Error)?;
        if digits.is_empty() {
            return f.write_str("0");
        }
        if negative {
            f.write_str("-")?;
        }
        match usize::try_from(point) {
            Ok(before @ 1..=40) if before >= digits.len() => write!(f, "{digits:0<before$}"),
            Ok(before @ 1..=40) => write!(f, "{}.{}", &digits[..before], &digits[before..]),
            _ if (-9..=0).contains(&point) => {
                let zeros = usize::try_from(-point).unwrap_or(0);
                write!(f, "0.{:0<zeros$}{digits}", "")
            }
            _ => {
                let (first, rest) = digits.split_at(1);
                let dot = if rest.is_empty() { "" } else { "." };
                write!(f, "{first}{dot}{rest}e{}", point - 1)
            }
        }
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({self})")
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
