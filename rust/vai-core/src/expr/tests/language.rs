//! Tables of expressions: their canonical form, or what is wrong and where.

use super::{NOW_US, Pods};
use crate::error::Error;
use crate::expr::{Expr, SortKey};
use crate::selector::{FieldSelector, LabelSelector};

fn bound(text: &str) -> Expr {
    Expr::parse(text, &Pods, NOW_US).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The second of each pair is how the first prints, and means the same.
fn assert_canonical(pairs: &[(&str, &str)]) {
    for &(text, canonical) in pairs {
        let expr = bound(text);
        assert_eq!(expr.to_string(), canonical, "{text}");
        assert_eq!(bound(canonical), expr, "{text} printed");
    }
}

#[test]
fn expressions_have_one_canonical_form() {
    assert_canonical(&[
        ("", "true"),
        ("  ", "true"),
        ("true and true", "true"),
        ("false or phase = a", "status.phase = a"),
        ("status.phase = Running", "status.phase = Running"),
        (".status.phase == 'Running'", "status.phase = Running"),
        ("{.status.phase}=Running", "status.phase = Running"),
        (
            "status.phase = Running and (restarts > 3 or age < 15m) and not name icontains \"X\"",
            "status.phase = Running and (restarts > 3 or metadata.creationTimestamp > \
             2025-12-31T23:45:00Z) and not metadata.name icontains \"x\"",
        ),
        (
            "phase=a&&phase=b||!phase=c",
            "status.phase = a and status.phase = b or not status.phase = c",
        ),
        (
            "(phase=a or phase=b) and phase=c",
            "(status.phase = a or status.phase = b) and status.phase = c",
        ),
        (
            "((phase=a)) and (phase=b and phase=c)",
            "status.phase = a and status.phase = b and status.phase = c",
        ),
        ("not (phase=a or phase=b)", "not (status.phase = a or status.phase = b)"),
        ("not not phase=a", "status.phase = a"),
        ("phase in (B, A, 'A')", "status.phase in (A, B)"),
        ("phase in (A)", "status.phase = A"),
        ("phase notin (A, B)", "status.phase !in (A, B)"),
        ("phase not in (A)", "status.phase != A"),
        ("phase != A", "status.phase != A"),
        ("not phase = A", "not status.phase = A"),
        ("node exists", "exists spec.nodeName"),
        ("exists(node)", "exists spec.nodeName"),
        ("node !exists", "not exists spec.nodeName"),
        ("not exists node", "not exists spec.nodeName"),
        ("all(images) startswith 'x'", "all(containers.image) startswith \"x\""),
        ("any(images) = x", "containers.image = x"),
        ("images != x", "containers.image != x"),
        ("all(images) != x", "containers.image != x"),
        ("any(images) != x", "any(containers.image) != x"),
        ("all(phase) = x", "status.phase = x"),
        ("images !contains \"x y\"", "containers.image !contains \"x y\""),
    ]);
}

#[test]
fn names_and_literals_have_one_canonical_form() {
    assert_canonical(&[
        ("labels[app.kubernetes.io/name] = web", "labels[app.kubernetes.io/name] = web"),
        (".metadata.labels.app != web", "labels[app] != web"),
        ("labels['-1'] = a and labels['7'] = b", "labels['-1'] = a and labels['7'] = b"),
        ("['a b'].c = 'x'", "['a b'].c = \"x\""),
        ("labels['app'] = ''", "labels[app] = \"\""),
        ("labels[n] > 5", "labels[n] > 5"),
        ("labels[n] >= 5", "labels[n] > 4"),
        ("labels[n] <= 5.5", "labels[n] < 6"),
        ("labels[n] > '5'", "labels[n] > \"5\""),
        ("int(labels[n]) = 5", "int(.metadata.labels.n) = 5"),
        ("annotations[a.io/b] = true", ".metadata.annotations[a.io/b] = \"true\""),
        (".spec.foo[type=Ready].x != \"y\"", ".spec.foo[type=Ready].x != \"y\""),
        (".spec.n > 3", "number(.spec.n) > 3"),
        (".spec.n > 2Gi", "quantity(.spec.n) > 2147483648"),
        (".spec.n in (1, 2)", "number(.spec.n) in (1, 2)"),
        (".spec.n in (1, x)", ".spec.n in (\"1\", \"x\")"),
        (".spec.n = '3'", ".spec.n = \"3\""),
        (".spec.on = true", "bool(.spec.on) = true"),
        ("duration(.spec.t) > 15m", "duration(.spec.t) > 15m0s"),
        ("all(int(.a[*])) > 2", "all(int(.a[*])) > 2"),
        ("age(.spec.t) >= 1h", "time(.spec.t) <= 2025-12-31T23:00:00Z"),
        ("requests.memory > 1500M", "requests.memory > 1500000000"),
        ("requests.memory = 0.5", "requests.memory = 0.5"),
        ("ip in 10.0.0.0/8", "status.podIPs[*].ip within (10.0.0.0/8)"),
        (
            "ip notin (10.1.2.3/8, fd00::/8, 1.1.1.1)",
            "status.podIPs[*].ip !within (1.1.1.1/32, 10.0.0.0/8, fd00::/8)",
        ),
        (".a in (10.0.0.0/8, ::1)", "ip(.a) within (10.0.0.0/8, ::1/128)"),
        (".a in ('10.0.0.0/8')", ".a = \"10.0.0.0/8\""),
        (".a in (10.0.0.0/8, b)", ".a in (\"10.0.0.0/8\", \"b\")"),
        ("ip = 10.0.0.1", "status.podIPs[*].ip = 10.0.0.1"),
        ("restarts > 2.5", "restarts > 2"),
        ("restarts < 2.5", "restarts <= 2"),
        ("restarts >= 3.0", "restarts >= 3"),
        ("restarts = 2.5", "false"),
        ("restarts != 2.5", "exists restarts"),
        ("restarts in (1, 2.5)", "restarts = 1"),
        ("restarts > 1e30", "false"),
        ("restarts < 1e30", "exists restarts"),
        ("restarts > 9007199254740993", "restarts > 9007199254740993"),
        ("spec.hostNetwork = true", "spec.hostNetwork = true"),
        ("name matches '^web-\\d+$'", "metadata.name matches \"^web-\\\\d+$\""),
        ("namespace in (a, b)", "metadata.namespace in (a, b)"),
        ("uid = x", "metadata.uid = x"),
        ("NOT name CONTAINS a", "not metadata.name contains \"a\""),
        ("node iequals N1", "spec.nodeName iequals \"n1\""),
        ("node iequals_ascii N1", "spec.nodeName iequals_ascii \"n1\""),
        ("node !icontains_ascii N1", "spec.nodeName !icontains_ascii \"n1\""),
        ("phase = and", "status.phase = and"),
        ("node > m", "spec.nodeName > \"m\""),
    ]);
}

#[test]
fn errors_say_what_where_and_what_to_do() {
    let deep = "(".repeat(65) + "phase=a" + &")".repeat(65);
    let long = "a".repeat(70_000);
    for (text, position, says) in [
        ("phase", 5, "expected an operator"),
        ("phase =", 7, "expected a value"),
        ("phase = a b", 10, "expected 'and', 'or' or the end"),
        ("phase = a and", 13, "expected a field"),
        ("phase = a,phase = b", 9, "expected 'and'"),
        ("(phase = a", 10, "expected ')'"),
        ("phase = a)", 9, "expected 'and'"),
        ("phase in (a", 11, "expected ',' or ')'"),
        ("phase in ()", 10, "expected a value"),
        ("phase in a", 9, "in parentheses"),
        ("phase ~ a", 6, "expected an operator"),
        ("phase !notin (a)", 7, "negated twice"),
        ("exists and phase=a", 7, "a field of that name is written .and"),
        ("phase > 3", 8, "put the value in quotes"),
        ("phase = ''", 8, "not exists phase"),
        ("phase matches '('", 14, "unclosed group"),
        ("restarts > abc", 11, "restarts takes a number"),
        ("restarts contains 1", 9, "asked of text"),
        ("restarts within 10.0.0.0/8", 9, "networks hold addresses"),
        ("requests.memory > 1.5Qx", 18, "a quantity such as"),
        ("requests.memory = 2026-01-01", 18, "a quantity such as"),
        ("ttl < 5", 6, "a duration such as"),
        ("created > yesterday", 10, "a time such as"),
        ("ip in 10.0.0.0/99", 6, "a network"),
        ("ip = 10.0.0.0/8", 5, "in 10.0.0.0/8"),
        ("spec.hostNetwork > true", 17, "with = or !="),
        ("spec.hostNetwork = yes", 19, "true or false"),
        ("age = 5m", 4, "age < 15m"),
        ("age < 5", 6, "a duration"),
        ("age(phase) < 5m", 4, "not a time"),
        ("int(phase) > 5", 4, "is indexed as text"),
        ("all(all(phase)) = a", 0, "one of all() or any()"),
        ("int(int(.x)) = 1", 0, "one of all() or any()"),
        ("labels[x] >= 1e30", 13, "beyond"),
        (".a..b = 1", 3, "no path"),
        ("phase = \"a", 8, "never closed"),
        (&deep, 64, "nested deeper"),
        (&long, 65_536, "65536"),
    ] {
        let what = Expr::parse(text, &Pods, NOW_US);
        let Err(Error::Expression { message, position: at, .. }) = what else {
            panic!("{text}: {what:?}")
        };
        assert!(message.contains(says), "{text}: {message}");
        assert_eq!(at, position, "{text}: {message}");
    }
}

#[test]
fn an_unknown_field_is_told_its_nearest_names() {
    let whole = "phase=1 or a = x";
    let Err(Error::UnknownField { message, nearest, position, text }) =
        Expr::parse(whole, &Pods, 0)
    else {
        panic!("known")
    };
    assert!(message.contains("no field 'a'"), "{message}");
    assert_eq!((position, text.as_str()), (Some(11), whole));
    let keys = SortKey::parse_all(&["name,-phas"], &Pods);
    assert!(
        matches!(&keys, Err(Error::UnknownField { position: Some(6), text, .. }) if text == "name,-phas"),
        "{keys:?}"
    );
    assert!(nearest.len() <= 3);
    let Err(Error::UnknownField { message, nearest, .. }) = Expr::parse("phas = x", &Pods, 0)
    else {
        panic!("known")
    };
    assert_eq!(nearest.first().map(String::as_str), Some("phase"), "{message}");
    assert!(message.contains(".phas"), "how to read it anyway: {message}");
}

#[test]
fn label_selectors_keep_apimachinerys_missing_keys() {
    for (selector, canonical) in [
        ("", "true"),
        ("a=b", "labels[a] = b"),
        ("a!=b", "not labels[a] = b"),
        ("a notin (b,c),d", "not labels[a] in (b, c) and exists labels[d]"),
        ("!a", "not exists labels[a]"),
        ("a>5,a<9", "labels[a] > 5 and labels[a] < 9"),
        ("a=", "labels[a] = \"\""),
        ("a in ()", "labels[a] = \"\""),
        ("x.io/a", "exists labels[x.io/a]"),
    ] {
        let expr = Expr::from_labels(&LabelSelector::parse(selector).unwrap());
        assert_eq!(expr.to_string(), canonical, "{selector}");
        assert_eq!(bound(canonical), expr, "{selector} printed");
    }
}

#[test]
fn field_selectors_compare_text_and_the_empty_one_is_no_value() {
    for (selector, canonical) in [
        ("status.phase=Running", "status.phase = Running"),
        ("status.phase!=Running", "not status.phase = Running"),
        ("status.phase=", "not exists status.phase"),
        ("status.phase!=", "exists status.phase"),
        ("metadata.name=a", "metadata.name = a"),
        ("metadata.namespace!=a", "not metadata.namespace = a"),
        ("metadata.namespace=", "not exists metadata.namespace"),
        ("spec.hostNetwork=true", "spec.hostNetwork = true"),
        ("spec.hostNetwork=True", "false"),
        ("spec.hostNetwork!=yes", "true"),
    ] {
        let expr = Expr::from_fields(&FieldSelector::parse(selector).unwrap(), &Pods).unwrap();
        assert_eq!(expr.to_string(), canonical, "{selector}");
    }
    for refused in ["restarts=1", "phase=a", "nothing=1"] {
        let selector = FieldSelector::parse(refused).unwrap();
        let Err(Error::UnknownField { message, .. }) = Expr::from_fields(&selector, &Pods) else {
            panic!("{refused}")
        };
        assert!(message.contains("field label not supported"), "{message}");
    }
}

#[test]
fn sort_keys_are_fields_with_a_direction() {
    for (text, canonical) in [
        ("name", "metadata.name"),
        ("-phase", "-status.phase"),
        ("+phase", "status.phase"),
        ("age", "-metadata.creationTimestamp"),
        ("-age", "metadata.creationTimestamp"),
        ("labels[a.io/b]", "labels[a.io/b]"),
        ("-quantity(.spec.size)", "-quantity(.spec.size)"),
        (".spec.x", ".spec.x"),
        ("-text(.spec.x)", "-text(.spec.x)"),
        ("ip(node)", "ip(spec.nodeName)"),
        ("ip", "status.podIPs[*].ip"),
        ("node,-restarts,node", "spec.nodeName|-restarts"),
    ] {
        let keys =
            SortKey::parse_all(&[text], &Pods).unwrap_or_else(|error| panic!("{text}: {error}"));
        let printed: Vec<_> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(printed.join("|"), canonical, "{text}");
        assert_eq!(SortKey::parse_all(&printed, &Pods).unwrap(), keys);
    }
    for (text, position) in
        [("name,", 5), ("", 0), ("-", 1), ("name asc", 5), ("all(ip)", 4), ("int(phase)", 4)]
    {
        let Err(Error::Expression { position: at, message, .. }) =
            SortKey::parse_all(&[text], &Pods)
        else {
            panic!("{text}")
        };
        assert_eq!(at, position, "{text}: {message}");
    }
    assert!(SortKey::parse_all(&["phas"], &Pods).is_err());
}

#[test]
fn the_documentation_s_examples_are_understood() {
    let page = include_str!("../../../../../docs/expressions.md");
    let mut block = "";
    let mut lines = 0;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(kind) => block = kind,
            None if block == "expression" => {
                bound(line);
                lines += 1;
            }
            None if block == "sort" => {
                SortKey::parse_all(&[line], &Pods).unwrap();
                lines += 1;
            }
            None => {}
        }
    }
    assert_eq!(lines, 17, "blocks are found");
}
