//! Quantities, as apimachinery has them.

use bigdecimal::BigDecimal;
use proptest::prelude::*;

use super::super::*;

fn quantity(text: &str) -> Decimal {
    match Value::parse(Type::Quantity, text) {
        Ok(Value::Decimal(number)) => number,
        other => panic!("{text}: {other:?}"),
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

// TestQuantityCmp, and the examples of the text.
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
}
