//! Durations, as Go has them.

use proptest::prelude::*;

use super::super::*;

fn duration(text: &str) -> std::result::Result<i64, String> {
    Value::parse(Type::Duration, text).map(|value| match value {
        Value::Duration(nanos) => nanos,
        other => panic!("{other:?}"),
    })
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

proptest! {
    #[test]
    fn durations_read_back_as_they_print(nanos: i64) {
        prop_assert_eq!(duration(&Value::Duration(nanos).to_string()), Ok(nanos));
    }
}
