use bigdecimal::BigDecimal;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn quantity(text: &str) -> Decimal {
    match Value::parse(Type::Quantity, text) {
        Ok(Value::Decimal(number)) => number,
        other => panic!("{text}: {other:?}"),
    }
}

fn duration(text: &str) -> std::result::Result<i64, String> {
    Value::parse(Type::Duration, text).map(|value| match value {
        Value::Duration(nanos) => nanos,
        other => panic!("{other:?}"),
    })
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
fn decimals_are_exact_and_have_one_form() {
    for (text, shown) in [
        ("0", "0"),
        ("-0", "0"),
        ("0e999999999999999999999", "0"),
        ("00.00", "0"),
        ("1", "1"),
        ("1.0", "1"),
        ("+01.50", "1.5"),
        ("-1.5e1", "-15"),
        ("100e-3", "0.1"),
        ("0.00001", "0.00001"),
        ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
        ("1e40", "1e40"),
        ("1e39", "1000000000000000000000000000000000000000"),
        ("1e400", "1e400"),
        ("-12.5e400", "-1.25e401"),
        ("1e-400", "1e-400"),
        (".5", "0.5"),
        ("5.", "5"),
        ("9007199254740993", "9007199254740993"),
    ] {
        let number = decimal(text);
        assert_eq!(number.to_string(), shown, "{text}");
        assert_eq!(decimal(shown), number);
        assert_eq!(Decimal::from_bytes(number.as_bytes()), Some(number.clone()));
        assert_eq!(Decimal::from_bigdecimal(&number.to_bigdecimal()), Some(number));
    }
    for text in ["", "-", ".", "e5", "1e", "1e+", "1e5.0", "0x1", "1 ", " 1", "1e--1", "NaN", "0e"]
    {
        assert!(text.parse::<Decimal>().is_err(), "{text:?}");
    }
    for text in ["1e10000", "1e-10001", "1e99999999999999999999", &"9".repeat(1_025)] {
        assert!(text.parse::<Decimal>().unwrap_err().contains("too many digits"), "{text}");
    }
}

#[test]
fn bytes_that_are_no_decimal_are_refused() {
    let bytes: [&[u8]; 9] = [
        &[],
        &[0x80, 1],
        &[0x7f, 0xff],
        &[0xff],
        &[0xaa],
        // A leading zero, a trailing pair of zeros, a pair above 99.
        &[0xaa, 2],
        &[0xaa, 12, 1],
        &[0xaa, 102],
        // A negative one without its end.
        &[0x55, 0xf0],
    ];
    for bytes in bytes {
        assert_eq!(Decimal::from_bytes(bytes), None, "{bytes:x?}");
    }
}

#[test]
fn a_decimals_place_among_the_integers_is_known() {
    for (text, whole) in [
        ("0", Whole::Exactly(0)),
        ("-3", Whole::Exactly(-3)),
        ("2.5", Whole::After(2)),
        ("-2.5", Whole::After(-3)),
        ("0.001", Whole::After(0)),
        ("-0.001", Whole::After(-1)),
        ("1e-400", Whole::After(0)),
        ("9223372036854775807", Whole::Exactly(i64::MAX)),
        ("9223372036854775807.5", Whole::Above),
        ("9223372036854775808", Whole::Above),
        ("-9223372036854775808", Whole::Exactly(i64::MIN)),
        ("-9223372036854775807.5", Whole::After(i64::MIN)),
        ("-9223372036854775808.5", Whole::Below),
        ("1e400", Whole::Above),
        ("-1e400", Whole::Below),
    ] {
        assert_eq!(decimal(text).whole(), whole, "{text}");
    }
}

// TestQuantityParse of k8s.io/apimachinery/pkg/api/resource/quantity_test.go, each also with a sign.
#[test]
#[expect(clippy::too_many_lines, reason = "the whole table")]
fn quantities_are_what_apimachinery_reads() {
    for (text, mantissa, exponent) in [
        ("0", 0_i128, 0),
        ("0n", 0, 0),
        ("0u", 0, 0),
        ("0m", 0, 0),
        ("0Ki", 0, 0),
        ("0k", 0, 0),
        ("0Mi", 0, 0),
        ("0M", 0, 0),
        ("0Gi", 0, 0),
        ("0G", 0, 0),
        ("0Ti", 0, 0),
        ("0T", 0, 0),
        ("1", 1, 0),
        ("1Ki", 1 << 10, 0),
        ("8Ki", 8 << 10, 0),
        ("7Mi", 7 << 20, 0),
        ("6Gi", 6 << 30, 0),
        ("5Ti", 5 << 40, 0),
        ("4Pi", 4 << 50, 0),
        ("3Ei", 3 << 60, 0),
        ("10Ti", 10 << 40, 0),
        ("100Ti", 100 << 40, 0),
        ("5n", 5, -9),
        ("4u", 4, -6),
        ("3m", 3, -3),
        ("9", 9, 0),
        ("8k", 8, 3),
        ("50k", 5, 4),
        ("7M", 7, 6),
        ("6G", 6, 9),
        ("5T", 5, 12),
        ("40T", 4, 13),
        ("300T", 3, 14),
        ("2P", 2, 15),
        ("1E", 1, 18),
        ("1E-3", 1, -3),
        ("1e3", 1, 3),
        ("1E6", 1, 6),
        ("1e9", 1, 9),
        ("1E12", 1, 12),
        ("1e15", 1, 15),
        ("1E18", 1, 18),
        ("1e14", 1, 14),
        ("1e13", 1, 13),
        ("100.035k", 100_035, 0),
        ("0.001", 1, -3),
        ("0.0005k", 5, -1),
        ("0.005", 5, -3),
        ("0.05", 5, -2),
        ("0.5", 5, -1),
        ("0.00050k", 5, -1),
        ("0.00500", 5, -3),
        ("0.05000", 5, -2),
        ("0.50000", 5, -1),
        ("0.5e0", 5, -1),
        ("0.5e-1", 5, -2),
        ("0.5e-2", 5, -3),
        ("10.035M", 10_035, 3),
        ("1.2e3", 12, 2),
        ("1.3E+6", 13, 5),
        ("1.40e9", 14, 8),
        ("1.53E12", 153, 10),
        ("1.6e15", 16, 14),
        ("1.7E18", 17, 17),
        ("9.01", 901, -2),
        ("8.1k", 81, 2),
        ("7.123456M", 7_123_456, 0),
        ("6.987654321G", 6_987_654_321, 0),
        ("5.444T", 5_444, 9),
        ("40.1T", 401, 11),
        ("300.2T", 3_002, 11),
        ("2.5P", 25, 14),
        ("1.01E", 101, 16),
        // "Things that saturate/round"
        ("3.001n", 4, -9),
        ("1.1E-9", 2, -9),
        ("0.0000000001", 1, -9),
        ("0.0000000005", 1, -9),
        ("0.00000000050", 1, -9),
        ("0.5e-9", 1, -9),
        ("0.9n", 1, -9),
        ("0.00000012345", 124, -9),
        ("0.00000012354", 124, -9),
        ("9Ei", (1 << 63) - 1, 0),
        ("9223372036854775807Ki", (1 << 63) - 1, 0),
        ("12E", 12, 18),
        ("100.035Ki", 10_243_584, -2),
        ("0.5Mi", 1 << 19, 0),
        ("0.05Gi", 536_870_912, -1),
        ("0.025Ti", 274_877_906_944, -1),
        // "Things written by trolls"
        ("0.000000000001Ki", 2, -9),
        (".001", 1, -3),
        (".0001k", 100, -3),
        ("1.", 1, 0),
        ("1.G", 1, 9),
        // Ours: rounding that carries, more digits than 128 bits hold.
        ("0.9999999999", 1, 0),
        ("1e-400", 1, -9),
        ("123456789012345678901234567890.5k", 1_234_567_890_123_456_789_012_345_678_905, 2),
    ] {
        let want = |sign: i128| {
            Decimal::from_bigdecimal(&BigDecimal::new((sign * mantissa).into(), -exponent))
        };
        assert_eq!(Some(quantity(text)), want(1), "{text}");
        assert_eq!(Some(quantity(&format!("+{text}"))), want(1), "+{text}");
        assert_eq!(Some(quantity(&format!("-{text}"))), want(-1), "-{text}");
    }
    for text in [
        "1.1.M",
        "1+1.0M",
        "0.1mi",
        "0.1am",
        "aoeu",
        ".5i",
        "1i",
        "-3.01i",
        "-3.01e-",
        " 1",
        "1 ",
        "",
        "1.5Qx",
        "1e",
        "1e999999999999",
        "Ki",
        "-",
        ".",
    ] {
        assert!(Value::parse(Type::Quantity, text).is_err(), "{text:?}");
    }
}

// TestQuantityCmp, and the examples of the issue's text.
#[test]
fn quantities_compare_as_quantities() {
    assert_eq!(quantity("0.5"), quantity("500m"));
    assert!(quantity("2Gi") > quantity("1500M"));
    assert!(quantity("100m") > quantity("50m"));
    assert!(quantity("10000T") > quantity("100Gi"));
    assert!(quantity("-1") < quantity("-1m"));
}

// From TestQuantityString and TestQuantityParseEmit, where the shortest form is the expected one.
#[test]
fn quantities_print_in_their_shortest_canonical_form() {
    for (text, shown) in [
        ("1024Mi", "1Gi"),
        ("307200Ki", "300Mi"),
        ("6Ki", "6Ki"),
        ("1025024Mi", "1001Gi"),
        ("1024Gi", "1Ti"),
        ("5000m", "5"),
        ("0.5", "500m"),
        ("1000M", "1G"),
        ("0.001T", "1G"),
        ("1000u", "1m"),
        ("1.08", "1080m"),
        ("300M", "300M"),
        ("128000000", "128M"),
        ("1000E", "1e21"),
        ("1000000E", "1e24"),
        ("1234567M", "1234567M"),
        ("1025", "1025"),
        ("0", "0"),
        (".001Ki", "1024m"),
        (".000000000001Ki", "2n"),
        ("1080n", "1080n"),
        ("80u", "80u"),
        ("-128Mi", "-128Mi"),
        ("-250m", "-250m"),
        ("10k", "10k"),
    ] {
        let number = quantity(text);
        let json = Value::Decimal(number.clone()).to_json(Type::Quantity);
        assert_eq!(json, shown, "{text}");
        assert_eq!(quantity(shown), number, "{text}");
    }
}

// parseDurationTests and parseDurationErrorTests of Go's src/time/time_test.go.
#[test]
fn durations_are_what_go_reads() {
    const US: i64 = 1_000;
    const MS: i64 = 1_000 * US;
    const S: i64 = 1_000 * MS;
    const M: i64 = 60 * S;
    const H: i64 = 60 * M;
    for (text, want) in [
        ("0", 0),
        ("5s", 5 * S),
        ("30s", 30 * S),
        ("1478s", 1478 * S),
        ("-5s", -5 * S),
        ("+5s", 5 * S),
        ("-0", 0),
        ("+0", 0),
        ("5.0s", 5 * S),
        ("5.6s", 5 * S + 600 * MS),
        ("5.s", 5 * S),
        (".5s", 500 * MS),
        ("1.0s", S),
        ("1.00s", S),
        ("1.004s", S + 4 * MS),
        ("1.0040s", S + 4 * MS),
        ("100.00100s", 100 * S + MS),
        ("10ns", 10),
        ("11us", 11 * US),
        ("12µs", 12 * US),
        ("12μs", 12 * US),
        ("13ms", 13 * MS),
        ("14s", 14 * S),
        ("15m", 15 * M),
        ("16h", 16 * H),
        ("3h30m", 3 * H + 30 * M),
        ("10.5s4m", 4 * M + 10 * S + 500 * MS),
        ("-2m3.4s", -(2 * M + 3 * S + 400 * MS)),
        ("1h2m3s4ms5us6ns", H + 2 * M + 3 * S + 4 * MS + 5 * US + 6),
        ("39h9m14.425s", 39 * H + 9 * M + 14 * S + 425 * MS),
        ("52763797000ns", 52_763_797_000),
        ("0.3333333333333333333h", 20 * M),
        ("9007199254740993ns", (1 << 53) + 1),
        ("9223372036854775807ns", i64::MAX),
        ("9223372036854775.807us", i64::MAX),
        ("9223372036s854ms775us807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
        ("-9223372036854775.808us", i64::MIN),
        ("-9223372036s854ms775us808ns", i64::MIN),
        ("-2562047h47m16.854775808s", i64::MIN),
        ("0.100000000000000000000h", 6 * M),
        ("0.830103483285477580700h", 49 * M + 48 * S + 372_539_827),
        // Ours.
        ("2d", 48 * H),
        ("1w2d", 9 * 24 * H),
        ("1.5d", 36 * H),
    ] {
        assert_eq!(duration(text), Ok(want), "{text}");
        assert_eq!(duration(&Value::Duration(want).to_string()), Ok(want), "{text}");
    }
    for text in [
        "",
        "3",
        "-",
        "s",
        ".",
        "-.",
        ".s",
        "+.s",
        "\u{fffd}",
        "\u{fffd} hello \u{fffd} world",
        "9223372036854775810ns",
        "9223372036854775808ns",
        "-9223372036854775809ns",
        "9223372036854776us",
        "3000000h",
        "9223372036854775.808us",
        "9223372036854ms775us808ns",
        "1y",
        "1 s",
        "1h ",
        "--1s",
        "99999999999999999999999h",
        "106752d",
    ] {
        assert!(duration(text).is_err(), "{text:?}: {:?}", duration(text));
    }
}

// durationTests of Go's src/time/time_test.go.
#[test]
fn durations_print_as_in_go() {
    for (nanos, text) in [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (245_000_000_000, "4m5s"),
        (245_001_000_000, "4m5.001s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (480_000_000_001, "8m0.000000001s"),
        (i64::MAX, "2562047h47m16.854775807s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ] {
        assert_eq!(Value::Duration(nanos).to_string(), text);
    }
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

#[test]
fn sums_are_exact() {
    let sum = |ty: Type, texts: &[&str]| {
        let mut sum = Sum::default();
        for text in texts {
            assert!(sum.add(&Value::parse(ty, text).unwrap()));
        }
        sum.total().map(|total| total.to_string())
    };
    assert_eq!(sum(Type::Quantity, &[]).as_deref(), Some("0"));
    assert_eq!(sum(Type::Quantity, &["100m", "0.25", "1"]).as_deref(), Some("1.35"));
    assert_eq!(sum(Type::Quantity, &["1Ei", "1n", "-1n"]).as_deref(), Some("1152921504606846976"));
    assert_eq!(sum(Type::Number, &["1e30", "1e-30", "-1e30"]).as_deref(), Some("1e-30"));
    assert_eq!(sum(Type::Number, &["1e400", "1"]).map(|text| text.len()), Some(406));
    assert_eq!(sum(Type::Number, &["1e9000", "1e-9000"]), None);
    let max = i64::MAX.to_string();
    assert_eq!(sum(Type::Int, &[&max, &max]).as_deref(), Some("18446744073709551614"));
    assert!(!Sum::default().add(&Value::text("1")));
}

/// A number as text, of all sizes.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (-999_i32..999).prop_map(|number| number.to_string()),
        "-?[0-9]{1,4}(\\.[0-9]{1,4})?(e-?[0-9]{1,2})?",
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?(e[+-]?[0-9]{1,3})?",
    ]
}

fn big(text: &str) -> BigDecimal {
    text.parse().unwrap()
}

/// What a quantity means, without any of the code above: 10^9 times the value, rounded away from
/// zero, as an integer.
fn naive_nanos(whole: &str, fraction: &str, suffix: &str) -> bigdecimal::num_bigint::BigInt {
    use bigdecimal::num_bigint::BigInt;
    let digits: BigInt = format!("0{whole}{fraction}").parse().unwrap();
    let ten = BigInt::from(10);
    let (mut numerator, mut denominator) =
        (digits, ten.pow(u32::try_from(fraction.len()).unwrap()));
    let place = |names: &[&str]| names.iter().position(|name| *name == suffix);
    if let Some(power) = place(&["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]) {
        numerator *= BigInt::from(1024).pow(u32::try_from(power).unwrap() + 1);
    } else if let Some(power) = place(&["n", "u", "m", "", "k", "M", "G", "T", "P", "E"]) {
        numerator *= BigInt::from(1000).pow(u32::try_from(power).unwrap());
        denominator *= ten.pow(9);
    } else {
        let exponent: i32 = suffix[1..].parse().unwrap();
        if exponent < 0 {
            denominator *= ten.pow(exponent.unsigned_abs());
        } else {
            numerator *= ten.pow(exponent.unsigned_abs());
        }
    }
    numerator *= ten.pow(9);
    let nanos = (numerator + &denominator - BigInt::from(1)) / denominator;
    if suffix.ends_with('i') { nanos.min(BigInt::from(i64::MAX) * ten.pow(9)) } else { nanos }
}

proptest! {
    #[test]
    fn decimals_sort_by_their_bytes(a in number(), b in number()) {
        let (x, y) = (decimal(&a), decimal(&b));
        prop_assert_eq!(x.cmp(&y), big(&a).cmp(&big(&b)));
        prop_assert_eq!(x.as_bytes().cmp(y.as_bytes()), big(&a).cmp(&big(&b)));
        prop_assert_eq!(x.to_bigdecimal(), big(&a));
        prop_assert_eq!(decimal(&x.to_string()), x.clone());
        prop_assert_eq!(Decimal::from_bytes(x.as_bytes()), Some(x));
    }

    #[test]
    fn close_decimals_sort_by_their_bytes(
        digits in "[0-9]{1,8}", more in "[0-9]{0,3}", exponent in -60_i64..100, negative: bool,
    ) {
        let sign = if negative { "-" } else { "" };
        let a = format!("{sign}0.{digits}e{exponent}");
        let b = format!("{sign}0.{digits}{more}e{exponent}");
        prop_assert_eq!(decimal(&a).as_bytes().cmp(decimal(&b).as_bytes()), big(&a).cmp(&big(&b)));
    }

    #[test]
    fn any_bytes_are_a_decimal_or_refused(bytes in vec(any::<u8>(), 0..8)) {
        if let Some(number) = Decimal::from_bytes(&bytes) {
            prop_assert_eq!(number.as_bytes(), &bytes[..]);
            prop_assert_eq!(decimal(&number.to_string()), number);
        }
    }

    #[test]
    fn sums_are_those_of_bigdecimal(numbers in vec(number(), 0..6)) {
        let mut sum = Sum::default();
        for text in &numbers {
            sum.add(&Value::Decimal(decimal(text)));
        }
        let want = numbers.iter().map(|text| big(text)).sum::<BigDecimal>();
        prop_assert_eq!(sum.total(), Decimal::from_bigdecimal(&want));
    }

    #[test]
    fn quantities_are_those_of_a_naive_reader(
        whole in "[0-9]{0,22}", fraction in "[0-9]{0,14}",
        suffix in prop_oneof![
            "(|n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)",
            "[eE][+-]?[0-9]{1,2}",
        ],
    ) {
        prop_assume!(!whole.is_empty() || !fraction.is_empty());
        let text = format!("{whole}.{fraction}{suffix}");
        let nanos = naive_nanos(&whole, &fraction, &suffix);
        let want = Decimal::from_bigdecimal(&BigDecimal::new(nanos, 9)).unwrap();
        let found = quantity(&text);
        prop_assert_eq!(&found, &want, "{}", text);
        // What is shown means the same.
        let shown = Value::Decimal(found.clone()).to_json(Type::Quantity);
        prop_assert_eq!(quantity(shown.as_str().unwrap()), found);
    }

    #[test]
    fn durations_read_back_as_they_print(nanos: i64) {
        prop_assert_eq!(duration(&Value::Duration(nanos).to_string()), Ok(nanos));
    }

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
