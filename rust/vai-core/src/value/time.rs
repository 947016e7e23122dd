//! Moments: RFC 3339, or a date, which means its first moment in UTC.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::decimal::shown;

/// Microseconds since 1970.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment.as_microsecond());
    }
    // A date alone: 2025-03-01.
    if text.len() == 10
        && let Ok(date) = text.parse::<Date>()
        && let Ok(moment) = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0))
    {
        return Ok(moment.as_microsecond());
    }
    Err(format!("'{}' is not a time such as 2025-03-01T10:00:00Z or 2025-03-01", shown(text)))
}

pub(super) fn format(micros: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match Timestamp::from_microsecond(micros) {
        Ok(moment) => write!(f, "{moment}"),
        // No field has it: moments are parsed.
        Err(_) => write!(f, "{micros}us"),
    }
}
