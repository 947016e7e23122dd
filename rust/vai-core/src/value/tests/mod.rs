//! Values of all types; numbers, quantities and durations have files of their own.

mod decimals;
mod durations;
mod quantities;

use proptest::prelude::*;

use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn types_have_names() {
    for ty in Type::ALL {
        assert_eq!(ty.name().parse(), Ok(ty));
        assert_eq!(serde_json::to_value(ty).unwrap(), ty.name());
    }
    assert!("string".parse::<Type>().unwrap_err().contains("duration"));
}

#[test]
fn moments_are_rfc_3339_or_dates() {
    let time = |text: &str| match Value::parse(Type::Time, text) {
        Ok(Value::Time(micros)) => Some(micros),
        _ => None,
    };
    for (text, want) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2025-03-01T10:00:00Z", 1_740_823_200_000_000),
        ("2025-03-01T10:00:00.000001Z", 1_740_823_200_000_001),
        ("2025-03-01T12:00:00+02:00", 1_740_823_200_000_000),
        ("2025-03-01", 1_740_787_200_000_000),
        ("1969-12-31T23:59:59.5Z", -500_000),
    ] {
        assert_eq!(time(text), Some(want), "{text}");
        assert_eq!(time(&Value::Time(want).to_string()), Some(want), "{text}");
    }
    for text in ["", "yesterday", "2025-03-01T10:00:00", "2025-13-01", "1740823200", "2025-3-1"] {
        assert_eq!(time(text), None, "{text}");
    }
}

#[test]
fn addresses_are_ordered_and_lie_in_networks() {
    let ip = |text: &str| text.parse::<Ip>().unwrap();
    assert!(ip("10.0.0.9") < ip("10.0.0.10"));
    assert!(ip("255.255.255.255") < ip("::"));
    assert!(ip("fd00::2") < ip("fd00::10"));
    assert_eq!(ip("::ffff:10.0.0.1"), ip("10.0.0.1"));
    assert!(ip("10.1.2.3").within(&"10.0.0.0/8".parse().unwrap()));
    assert!(!ip("11.1.2.3").within(&"10.0.0.0/8".parse().unwrap()));
    assert!(!ip("fd00::1").within(&"10.0.0.0/8".parse().unwrap()));
    for text in ["", "None", "10.0.0", "10.0.0.256", "010.0.0.1", "fe80::1%eth0"] {
        assert!(text.parse::<Ip>().is_err(), "{text}");
    }
}

#[test]
fn json_scalars_are_read_as_their_type() {
    let text = Value::text;
    let number = |text: &str| Value::Decimal(decimal(text));
    for (ty, json, want) in [
        (Type::Text, r#""a""#, Some(text("a"))),
        (Type::Text, r#""\ud800 \u0000""#, Some(text("\u{fffd} \0"))),
        (Type::Text, "80", Some(text("80"))),
        (Type::Text, "-0", Some(text("0"))),
        (Type::Text, "1e400", Some(text("1e400"))),
        (Type::Text, "123456789012345678901", Some(text("123456789012345678901"))),
        (Type::Text, "true", Some(text("true"))),
        (Type::Int, "-7", Some(Value::Int(-7))),
        (Type::Int, "3.0", Some(Value::Int(3))),
        (Type::Int, "1e3", Some(Value::Int(1000))),
        (Type::Int, r#""12""#, Some(Value::Int(12))),
        (Type::Int, "9007199254740993", Some(Value::Int(9_007_199_254_740_993))),
        (Type::Int, "9223372036854775808", None),
        (Type::Int, "1.5", None),
        (Type::Int, "1e400", None),
        (Type::Int, "true", None),
        (Type::Int, r#""x""#, None),
        (Type::Number, "1e400", Some(number("1e400"))),
        (Type::Number, r#""0.5""#, Some(number("0.5"))),
        (Type::Number, "1e99999", None),
        (Type::Quantity, r#""500m""#, Some(number("0.5"))),
        (Type::Quantity, r#"" 1 ""#, Some(number("1"))),
        (Type::Quantity, "2", Some(number("2"))),
        (Type::Quantity, r#""much""#, None),
        (Type::Time, r#""2025-03-01T10:00:00Z""#, Some(Value::Time(1_740_823_200_000_000))),
        (Type::Time, "1740823200", None),
        (Type::Duration, r#""1h""#, Some(Value::Duration(3_600_000_000_000))),
        (Type::Duration, "30", None),
        (Type::Ip, r#""10.0.0.1""#, Some(Value::Ip("10.0.0.1".parse().unwrap()))),
        (Type::Ip, r#""None""#, None),
        (Type::Bool, "true", Some(Value::Bool(true))),
        (Type::Bool, r#""false""#, Some(Value::Bool(false))),
        (Type::Bool, "1", None),
    ] {
        assert_eq!(Value::from_json(ty, json.as_bytes()), want, "{ty} {json}");
    }
    for ty in Type::ALL {
        for json in ["null", r#""""#] {
            assert_eq!(Value::take(ty, json.as_bytes()), Taken::Missing, "{ty} {json}");
        }
        for json in ["{}", "[1]"] {
            assert_eq!(Value::take(ty, json.as_bytes()), Taken::Invalid, "{ty} {json}");
        }
    }
    let long = format!("\"{}\"", "é".repeat(800));
    let Some(Value::Text(cut)) = Value::from_json(Type::Text, long.as_bytes()) else { panic!() };
    assert_eq!(cut.len(), crate::object::MAX_INDEXED_TEXT_BYTES);
}

#[test]
fn answers_carry_values_that_json_readers_keep() {
    for (ty, text, want) in [
        (Type::Text, "a", serde_json::json!("a")),
        (Type::Int, "9007199254740993", serde_json::json!(9_007_199_254_740_993_i64)),
        (Type::Number, "0.5", serde_json::json!(0.5)),
        (Type::Number, "3", serde_json::json!(3)),
        (Type::Number, "1e400", serde_json::json!("1e400")),
        (Type::Number, "0.1000000000000000000001", serde_json::json!("0.1000000000000000000001")),
        (Type::Quantity, "0.5", serde_json::json!("500m")),
        (Type::Time, "2025-03-01", serde_json::json!("2025-03-01T00:00:00Z")),
        (Type::Duration, "90s", serde_json::json!("1m30s")),
        (Type::Ip, "fd00::1", serde_json::json!("fd00::1")),
        (Type::Bool, "true", serde_json::json!(true)),
    ] {
        assert_eq!(Value::parse(ty, text).unwrap().to_json(ty), want, "{ty} {text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_value_or_an_error(text in prop_oneof![any::<String>(), "[-+0-9.eEinumkKs:/]{0,12}"]) {
        for ty in Type::ALL {
            let Ok(value) = Value::parse(ty, &text) else { continue };
            prop_assert_eq!(Value::parse(ty, &value.to_string()), Ok(value.clone()));
            let stored: rusqlite::types::Value = match value.to_sql() {
                ToSqlOutput::Borrowed(stored) => stored.try_into().unwrap(),
                ToSqlOutput::Owned(stored) => stored,
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(Value::from_sql(ty, (&stored).into()).unwrap(), value.clone());
            let json = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        }
    }

    #[test]
    fn any_json_scalar_is_a_value_or_none(text in any::<String>()) {
        let json = serde_json::to_string(&text).unwrap();
        for ty in Type::ALL {
            let value = Value::from_json(ty, json.as_bytes());
            if ty == Type::Text && !text.is_empty() && text.len() <= 1024 {
                prop_assert_eq!(value, Some(Value::text(&text)));
            }
        }
    }
}

#[test]
fn what_is_no_json_is_cut_between_characters() {
    let odd = "1\u{10ffff}".repeat(500);
    let Some(Value::Text(text)) = Value::from_json(Type::Text, odd.as_bytes()) else {
        panic!("a text")
    };
    assert!(odd.starts_with(&*text) && text.len() <= 1_024);
}

#[test]
fn exponents_at_the_ends_of_64_bits_are_out_of_range() {
    for text in ["0.11E-9223372036854775808", ".11E9223372036854775807", "1e-9223372036854775808"] {
        assert!(Value::parse(Type::Number, text).is_err(), "{text}");
        // What is less than a nano is rounded up to one.
        let tiny = Value::parse(Type::Quantity, "1n")
            .ok()
            .filter(|_| text.contains("E-") || text.contains("e-"));
        assert_eq!(Value::parse(Type::Quantity, text).ok(), tiny, "{text}");
    }
}
