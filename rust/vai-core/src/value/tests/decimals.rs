//! Exact numbers, and their sums.

use bigdecimal::BigDecimal;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::*;
use super::decimal;

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
}
