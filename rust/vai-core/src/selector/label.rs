//! Label selectors: a port of `k8s.io/apimachinery/pkg/labels/selector.go` (read at v0.36).

mod parse;

use std::fmt;

use self::parse::Parser;
use super::SelectorError;

/// The relation between a label's value and a requirement's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// `key=value`, `key==value`
    Equals,
    /// `key!=value`; true when the label is absent.
    NotEquals,
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`; true when the label is absent.
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    NotExists,
    /// `key>5`, by value as `i64`; false when the label is absent or no integer.
    GreaterThan,
    /// `key<5`, by value as `i64`; false when the label is absent or no integer.
    LessThan,
}

/// One term of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// The relation.
    pub op: Op,
    /// The values, sorted and distinct; empty for `Exists` and `NotExists`.
    pub values: Vec<String>,
}

impl Requirement {
    /// Whether a label with this value, or its absence, meets the requirement.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|listed| listed == value);
        match self.op {
            Op::Equals | Op::In => value.is_some_and(listed),
            Op::NotEquals | Op::NotIn => !value.is_some_and(listed),
            Op::Exists => value.is_some(),
            Op::NotExists => value.is_none(),
            Op::GreaterThan => self.compares(value, |have, want| have > want),
            Op::LessThan => self.compares(value, |have, want| have < want),
        }
    }

    fn compares(&self, value: Option<&str>, relation: fn(i64, i64) -> bool) -> bool {
        let integer = |text: &str| text.parse::<i64>().ok();
        match (value.and_then(integer), self.values.first().and_then(|want| integer(want))) {
            (Some(have), Some(want)) => relation(have, want),
            _ => false,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, op, values } = self;
        let first = values.first().map_or("", String::as_str);
        match op {
            Op::Equals => write!(f, "{key}={first}"),
            Op::NotEquals => write!(f, "{key}!={first}"),
            Op::In => write!(f, "{key} in ({})", values.join(",")),
            Op::NotIn => write!(f, "{key} notin ({})", values.join(",")),
            Op::Exists => f.write_str(key),
            Op::NotExists => write!(f, "!{key}"),
            Op::GreaterThan => write!(f, "{key}>{first}"),
            Op::LessThan => write!(f, "{key}<{first}"),
        }
    }
}

/// All requirements must hold; none at all selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    /// Sorted by key, relation and values, without repetitions: one form for one meaning.
    pub requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// Parses as `labels.Parse` does: the same strings are accepted, to the same meaning.
    ///
    /// One difference: a NUL byte is refused, where apimachinery's lexer takes it for the end.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let parsed = Parser::new(text).and_then(|mut parser| parser.requirements());
        let mut requirements = parsed.map_err(|error| error.in_characters(text))?;
        requirements.sort();
        requirements.dedup();
        Ok(Self { requirements })
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }
}

/// The canonical form: two selectors with the same requirements print the same. It can be parsed
/// again and sent to a server.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let find =
            |key: &str| labels.iter().find(|(have, _)| *have == key).map(|(_, value)| *value);
        LabelSelector::parse(selector).unwrap().matches(find)
    }

    // The cases below follow apimachinery's pkg/labels/selector_test.go (v0.36): TestSelectorParse,
    // TestSetSelectorParser, TestSelectorMatches, TestRequirementSelectorMatching, TestToString.

    #[test]
    fn valid_selectors_have_one_canonical_form() {
        for (text, canonical) in [
            ("", ""),
            (" ", ""),
            ("x=a,y=b,z=c", "x=a,y=b,z=c"),
            ("x=a,a=x", "a=x,x=a"),
            ("x!=a,y=b", "x!=a,y=b"),
            ("x==a", "x=a"),
            ("x=", "x="),
            ("x= ,z= ", "x=,z="),
            ("!x", "!x"),
            ("! x", "!x"),
            ("x>1,z<5", "x>1,z<5"),
            ("\rx", "x"),
            ("a ", "a"),
            ("this-is-a-dns.domain.com/key-with-dash", "this-is-a-dns.domain.com/key-with-dash"),
            (
                "0.1.2.domain/99 notin (10.10.100.1, tick.tack.clock)",
                "0.1.2.domain/99 notin (10.10.100.1,tick.tack.clock)",
            ),
            ("foo  in\t (abc)", "foo in (abc)"),
            ("x notin\n (abc)", "x notin (abc)"),
            ("x in (def,abc,abc)", "x in (abc,def)"),
            ("x in (abc,)", "x in (,abc)"),
            ("x in ()", "x in ()"),
            ("x notin ( )", "x notin ()"),
            ("x notin (, a)", "x notin (,a)"),
            ("x in (a,,a,,a,,a,,)", "x in (,a)"),
            ("x notin (abc,,def),bar,z in (),w", "bar,w,x notin (,abc,def),z in ()"),
            ("x,y in (a)", "x,y in (a)"),
            ("a in (x,y,notin, z,in)", "a in (in,notin,x,y,z)"),
            ("notin=in", "notin=in"),
            ("in in (in)", "in in (in)"),
            ("in", "in"),
            ("a!=3,a=2,a==1,a=2", "a=1,a=2,a!=3"),
        ] {
            let selector =
                LabelSelector::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(selector.to_string(), canonical, "{text:?}");
            assert_eq!(LabelSelector::parse(canonical).unwrap(), selector, "{canonical:?}");
        }
    }

    #[test]
    fn invalid_selectors_say_where() {
        let long = "a".repeat(64);
        for (text, position) in [
            ("x=a||y=b", 2),
            ("x==a==b", 4),
            ("!x=a", 2),
            ("!x in (a)", 3),
            ("x<a", 2),
            ("x>", 2),
            ("x>9223372036854775808", 2),
            ("x>-1", 2),
            ("x,,y", 2),
            (",x,y", 0),
            ("x nott in (y)", 2),
            ("a in (xyz),", 11),
            ("a in (xyz)b notin ()", 10),
            ("a in (xyz abc)", 10),
            ("a notin(", 8),
            ("a (", 2),
            ("(", 0),
            ("a in", 4),
            ("a in b", 5),
            ("a in (b", 7),
            ("a in (b,", 8),
            ("a in (b=", 7),
            ("a=(b)", 2),
            ("!", 1),
            ("!!a", 1),
            ("a!", 1),
            ("=a", 0),
            ("/x", 0),
            ("a/b/c", 2),
            ("UPPER.com/x", 0),
            ("a./x", 0),
            ("-a", 0),
            ("a-", 0),
            ("p/", 2),
            ("a=-", 2),
            ("a in (ok,no!)", 11),
            ("a b", 2),
            ("é", 0),
            ("a=é", 2),
            ("a=é,b=c", 2),
            ("a notin (x,é,-)", 11),
            ("é=a", 0),
            ("a in (x,\u{3000}b", 10),
            ("a\0", 1),
            (&format!("x,{long}"), 2),
            (&format!("x={long}"), 2),
            (&format!("{}.b/x", "a".repeat(252)), 0),
        ] {
            let error = LabelSelector::parse(text).expect_err(text);
            assert_eq!(error.position, position, "{text:?}: {error}");
        }
    }

    #[test]
    fn matching_follows_apimachinery() {
        let labels = [("foo", "bar"), ("baz", "blah"), ("n", "2"), ("v", "v2"), ("empty", "")];
        for selector in [
            "",
            "foo=bar",
            "foo==bar,baz=blah",
            "foo!=x",
            "absent!=x",
            "absent notin (a,b)",
            "foo notin (a,b)",
            "foo in (a,bar)",
            "foo",
            "!absent",
            "n>1",
            "n<3",
            "empty=",
            "empty in ()",
            "empty",
            "empty!=x",
            "absent notin ()",
            "n in (1,2)",
        ] {
            assert!(matches(selector, &labels), "{selector}");
        }
        for selector in [
            "foo=x",
            "foo=bar,baz=x",
            "foo!=bar",
            "absent",
            "!foo",
            "absent=",
            "absent in ()",
            "absent=x",
            "foo notin (bar)",
            "n>2",
            "n<2",
            "absent>1",
            "absent<1",
            "v>1",
            "v<9",
            "empty>0",
            "empty notin ()",
            "!empty",
        ] {
            assert!(!matches(selector, &labels), "{selector}");
        }
    }

    #[test]
    fn integers_are_compared_over_the_whole_of_i64() {
        let big = [("x", "9223372036854775807"), ("y", "9223372036854775808")];
        assert!(matches("x>9223372036854775806", &big));
        assert!(!matches("x>9223372036854775807", &big));
        assert!(!matches("y>1", &big), "out of range is no integer");
        assert!(matches("x>007", &[("x", "08")]));
    }
}
