//! Typed values: what fields hold, what literals mean, how both are stored and ordered.

mod decimal;
mod duration;
mod ip;
mod quantity;
mod sum;
mod time;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

pub use self::decimal::{Decimal, Whole};
pub use self::ip::Ip;
pub use self::sum::Sum;
use crate::error::{Error, Result};
use crate::feed::json::{Cursor, Text};
use crate::object::{MAX_INDEXED_TEXT_BYTES, capped};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Strings, ordered by their bytes.
    Text,
    /// Integers of 64 bits.
    Int,
    /// Decimal numbers, exact.
    Number,
    /// Kubernetes quantities: `500m` is 0.5, `2Gi` more than `1500M`.
    Quantity,
    /// Moments, to the microsecond.
    Time,
    /// Lengths of time, to the nanosecond.
    Duration,
    /// IPv4 addresses, before IPv6 addresses.
    Ip,
    /// false, before true.
    Bool,
}

impl Type {
    /// All types, in the order of their documentation.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Int,
        Self::Number,
        Self::Quantity,
        Self::Time,
        Self::Duration,
        Self::Ip,
        Self::Bool,
    ];

    /// Its name, as users write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::Number => "number",
            Self::Quantity => "quantity",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Ip => "ip",
            Self::Bool => "bool",
        }
    }

    /// The type of a CRD's printer column, `additionalPrinterColumns[].type`: those of `OpenAPI`,
    /// and `date` (`ValidateCustomResourceColumnDefinition` in apiextensions-apiserver,
    /// `pkg/apis/apiextensions/validation/validation.go`).
    #[must_use]
    pub fn of_printer_column(column: &str) -> Option<Self> {
        Some(match column {
            "string" => Self::Text,
            "integer" => Self::Int,
            "number" => Self::Number,
            "boolean" => Self::Bool,
            "date" => Self::Time,
            _ => return None,
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Type {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Self::ALL.into_iter().find(|ty| ty.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.into_iter().map(Self::name).collect();
            format!("unknown type '{text}': one of {}", names.join(", "))
        })
    }
}

/// A value of a field. Equality, order and hash mean something within one [`Type`]; of what is
/// read as JSON has it the order is that of the variants: truths, numbers, texts (as jq's `sort`,
/// <https://jqlang.org/manual/#sort-sort_by>).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// [`Type::Bool`]
    Bool(bool),
    /// [`Type::Int`]
    Int(i64),
    /// [`Type::Number`] and [`Type::Quantity`]
    Decimal(Decimal),
    /// [`Type::Time`]: microseconds since 1970.
    Time(i64),
    /// [`Type::Duration`]: nanoseconds.
    Duration(i64),
    /// [`Type::Ip`]
    Ip(Ip),
    /// [`Type::Text`]
    Text(Box<str>),
}

/// What a place in an object gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Value(Value),
    /// `null` and `""`: no value, as Go's `omitempty` leaves them out.
    Missing,
    /// It can't be read as its type: it counts as missing, and is counted.
    Invalid,
}

impl Value {
    /// Text as a value.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// Reads a literal.
    ///
    /// Quantities as `resource.ParseQuantity` of apimachinery, durations as Go's
    /// `time.ParseDuration` and in days and weeks, moments as RFC 3339 or a date.
    pub fn parse(ty: Type, text: &str) -> std::result::Result<Self, String> {
        match ty {
            Type::Text => Ok(Self::text(text)),
            Type::Int => parse_int(text).map(Self::Int),
            Type::Number => text.parse().map(Self::Decimal),
            Type::Quantity => quantity::parse(text).map(Self::Decimal),
            Type::Time => time::parse(text).map(Self::Time),
            Type::Duration => duration::parse(text).map(Self::Duration),
            Type::Ip => text.parse().map(Self::Ip),
            Type::Bool => match text {
                "true" => Ok(Self::Bool(true)),
                "false" => Ok(Self::Bool(false)),
                _ => Err(format!("'{text}' is neither true nor false")),
            },
        }
    }

    /// Reads a JSON scalar; `None` for what is no value (`null`, `""`) and for what does not parse
    /// as its type. Strings are read as literals are, for annotations have no other type; text is
    /// cut at [`crate::object::MAX_INDEXED_TEXT_BYTES`].
    #[must_use]
    pub fn from_json(ty: Type, raw: &[u8]) -> Option<Self> {
        match Self::take(ty, raw) {
            Taken::Value(value) => Some(value),
            Taken::Missing | Taken::Invalid => None,
        }
    }

    pub(crate) fn take(ty: Type, raw: &[u8]) -> Taken {
        let value = match raw.first() {
            None | Some(b'n') => return Taken::Missing,
            Some(b'"') => match Cursor::new(raw).string() {
                Ok(text) if text.raw.is_empty() => return Taken::Missing,
                Ok(text) => Self::from_string(ty, text),
                Err(_) => None,
            },
            Some(b't' | b'f') => match ty {
                Type::Bool => Some(Self::Bool(raw == b"true")),
                Type::Text => std::str::from_utf8(raw).ok().map(Self::text),
                _ => None,
            },
            Some(b'-' | b'0'..=b'9') => Self::from_number(ty, raw),
            Some(_) => None,
        };
        value.map_or(Taken::Invalid, Taken::Value)
    }

    fn from_string(ty: Type, text: Text<'_>) -> Option<Self> {
        match ty {
            Type::Text => Some(Self::Text(capped(text).into_boxed_str())),
            // `Quantity.UnmarshalJSON` trims, `ParseQuantity` does not.
            Type::Quantity => Self::parse(ty, text.decode().trim()).ok(),
            _ => Self::parse(ty, &text.decode()).ok(),
        }
    }

    fn from_number(ty: Type, digits: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(digits).ok()?;
        match ty {
            // Integers are what a field selector compares them as; others stay as written.
            Type::Text => Some(text.parse::<i64>().map_or_else(
                |_| Self::text(&text[..text.floor_char_boundary(MAX_INDEXED_TEXT_BYTES)]),
                |number| Self::Text(number.to_string().into_boxed_str()),
            )),
            Type::Int | Type::Number | Type::Quantity => Self::parse(ty, text).ok(),
            Type::Time | Type::Duration | Type::Ip | Type::Bool => None,
        }
    }

    /// As it is stored: the order of `SQLite` is that of the values.
    #[must_use]
    pub fn to_sql(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(match self {
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Int(number) | Self::Time(number) | Self::Duration(number) => {
                ValueRef::Integer(*number)
            }
            Self::Bool(truth) => ValueRef::Integer(i64::from(*truth)),
            Self::Decimal(number) => ValueRef::Blob(number.as_bytes()),
            Self::Ip(ip) => return ToSqlOutput::Owned(ip.to_bytes().into()),
        })
    }

    /// Reads what [`Value::to_sql`] gave.
    pub fn from_sql(ty: Type, stored: ValueRef<'_>) -> Result<Self> {
        let value = match (ty, stored) {
            (Type::Text, ValueRef::Text(text)) => std::str::from_utf8(text).ok().map(Self::text),
            (Type::Int, ValueRef::Integer(number)) => Some(Self::Int(number)),
            (Type::Time, ValueRef::Integer(number)) => Some(Self::Time(number)),
            (Type::Duration, ValueRef::Integer(number)) => Some(Self::Duration(number)),
            (Type::Bool, ValueRef::Integer(number @ (0 | 1))) => Some(Self::Bool(number == 1)),
            (Type::Number | Type::Quantity, ValueRef::Blob(bytes)) => {
                Decimal::from_bytes(bytes).map(Self::Decimal)
            }
            (Type::Ip, ValueRef::Blob(bytes)) => Ip::from_bytes(bytes).map(Self::Ip),
            _ => None,
        };
        value.ok_or_else(|| Error::Corrupt(format!("{stored:?} is no stored {ty}")))
    }

    /// For answers: integers and booleans as such, numbers as such where JSON's readers keep them
    /// exact and as text otherwise, quantities as their shortest canonical text, the rest as text.
    #[must_use]
    pub fn to_json(&self, ty: Type) -> serde_json::Value {
        match self {
            Self::Int(number) => (*number).into(),
            Self::Bool(truth) => (*truth).into(),
            Self::Decimal(number) if ty == Type::Quantity => quantity::canonical(number).into(),
            Self::Decimal(number) => number.to_json(),
            _ => self.to_string().into(),
        }
    }

    /// The string that a field selector compares with.
    #[must_use]
    pub fn selector_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            _ => Cow::Owned(self.to_string()),
        }
    }

    /// About what it takes in memory beyond itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Decimal(number) => number.as_bytes().len(),
            _ => 0,
        }
    }
}

/// A literal that [`Value::parse`] reads as the same value (quantities as plain numbers).
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Int(number) => write!(f, "{number}"),
            Self::Decimal(number) => write!(f, "{number}"),
            Self::Time(micros) => time::format(*micros, f),
            Self::Duration(nanos) => duration::format(*nanos, f),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Bool(truth) => write!(f, "{truth}"),
        }
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(Self::to_sql(self))
    }
}

/// An integer, also where it is written with a fraction of zeros or an exponent.
fn parse_int(text: &str) -> std::result::Result<i64, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let number: Decimal = text.parse()?;
    match number.whole() {
        Whole::Exactly(number) => Ok(number),
        Whole::After(_) => Err(format!("'{text}' is not an integer")),
        Whole::Below | Whole::Above => Err(format!("'{text}' does not fit 64 bits")),
    }
}

#[cfg(test)]
mod tests;
