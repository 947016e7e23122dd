//! Comparing resourceVersions, the only place where their order is decided.
//!
//! Kubernetes promises since 1.35 that resourceVersions of one resource are integers that may be
//! compared (KEP-5504); the rules are those of `CompareResourceVersion` in
//! `k8s.io/apimachinery/pkg/util/resourceversion`: decimal digits, no leading zero, any length,
//! shorter is older, equal lengths compare lexically. Whatever does not look so is incomparable:
//! the order of an aggregated API's opaque version is never guessed.

use std::cmp::Ordering;

/// Whether `rv` is a live object's resourceVersion as kube-apiserver writes it.
///
/// `"0"` and `""` are requests ("any version", "the newest"), not versions, and give `false`.
#[must_use]
pub fn is_canonical(rv: &str) -> bool {
    let digits = rv.as_bytes();
    matches!(digits.first(), Some(b'1'..=b'9')) && digits.iter().all(u8::is_ascii_digit)
}

/// The order of two resourceVersions of one resource, or `None` when either is not canonical.
///
/// Two equal strings that are not canonical are `None` as well: equality of opaque versions is
/// for the caller to test with `==`, it says nothing of order.
#[must_use]
pub fn compare(a: &str, b: &str) -> Option<Ordering> {
    if !is_canonical(a) || !is_canonical(b) {
        return None;
    }
    Some(a.len().cmp(&b.len()).then_with(|| a.cmp(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_canonical_versions_of_any_length() {
        let long = "9".repeat(40);
        let longer = format!("1{}", "0".repeat(40));
        for (a, b, want) in [
            ("1", "1", Ordering::Equal),
            ("100", "200", Ordering::Less),
            ("9", "10", Ordering::Less),
            ("18446744073709551616", "18446744073709551615", Ordering::Greater),
            (&long, &longer, Ordering::Less),
        ] {
            assert_eq!(compare(a, b), Some(want), "{a} against {b}");
            assert_eq!(compare(b, a), Some(want.reverse()), "{b} against {a}");
        }
    }

    #[test]
    fn never_guesses_the_order_of_other_strings() {
        for odd in ["", "0", "01", "-1", "+1", "1.0", "1e3", " 1", "1 ", "abc", "0x10", "１"] {
            assert!(!is_canonical(odd), "{odd:?}");
            assert_eq!(compare(odd, "5"), None, "{odd:?}");
            assert_eq!(compare("5", odd), None, "{odd:?}");
            assert_eq!(compare(odd, odd), None, "{odd:?}");
        }
    }
}
