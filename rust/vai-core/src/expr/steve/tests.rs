//! Steve's parameters in tables. The filters follow `TestParseQuery` in
//! `pkg/stores/sqlpartition/listprocessor/processor_test.go` and `selector_test.go` of
//! rancher/steve v0.10.2; fields are those of the fixture.

use proptest::prelude::*;

use super::SteveQuery;
use crate::Error;
use crate::expr::sort::Missing;
use crate::expr::tests::{NOW_US, Pods};
use crate::expr::{Expr, SortOrder};

fn query(text: &str) -> SteveQuery {
    SteveQuery::parse(text, &Pods).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn filters_become_expressions() {
    for (text, canonical) in [
        ("", "true"),
        ("filter=", "true"),
        ("limit=5&continue=x", "true"),
        ("filter=metadata.name=a", "metadata.name = a"),
        ("filter=metadata.name~a", "metadata.name icontains_ascii \"a\""),
        ("filter=metadata.name ~ 'A B'", "metadata.name icontains_ascii \"a b\""),
        ("filter=metadata.name%21~a", "not metadata.name icontains_ascii \"a\""),
        ("filter=metadata.name!=a", "not metadata.name = a"),
        (
            "filter=metadata.name%3da,metadata.namespace%3db",
            "metadata.name = a or metadata.namespace = b",
        ),
        ("filter=status.phase=a&filter=spec.nodeName=b", "status.phase = a and spec.nodeName = b"),
        (
            "filter=status.phase=a,status.phase=b&filter=spec.nodeName=c",
            "(status.phase = a or status.phase = b) and spec.nodeName = c",
        ),
        ("filter=metadata.labels[a.io/b]=x", "labels[a.io/b] = x"),
        ("filter=metadata.labels.a=x_%25y", "labels[a] = \"x_%y\""),
        ("filter=metadata.labels[a]", "exists labels[a]"),
        ("filter=!metadata.labels[a]", "not exists labels[a]"),
        ("filter=metadata.labels[a]!=x", "not labels[a] = x"),
        ("filter=metadata.labels[a] in (x,y)", "labels[a] in (x, y)"),
        ("filter=metadata.labels[a] NotIn (x,,y)", "not labels[a] in (\"\", x, y)"),
        ("filter=metadata.labels[a] in ()", "labels[a] = \"\""),
        ("filter=metadata.labels[n]>5,metadata.labels[n] lt 2", "labels[n] > 5 or labels[n] < 2"),
        ("filter=restarts>3", "restarts > 3"),
        ("filter=restarts gt 3", "restarts > 3"),
        ("filter=restarts=3", "restarts = 3"),
        ("filter=restarts=x", "false"),
        ("filter=restarts!=x", "true"),
        ("filter=status.phase=''", "not exists status.phase"),
        ("filter=status.phase in (a,)", "status.phase = a or not exists status.phase"),
        ("filter=containers.image contains nginx:1", "containers.image = nginx:1"),
        ("filter=containers.image notcontains nginx", "not containers.image = nginx"),
        ("filter=metadata.annotations[a]=x", ".metadata.annotations.a = \"x\""),
        ("filter=spec.other.thing=x", ".spec.other.thing = \"x\""),
        ("filter=spec.other.size>5", "number(.spec.other.size) > 5"),
        ("filter=id=a/b", "metadata.namespace = a and metadata.name = b"),
        (
            "filter=id~b",
            "metadata.name icontains_ascii \"b\" or metadata.namespace icontains_ascii \"b\"",
        ),
        (
            "filter=id~a/b",
            "metadata.namespace matches \"(?i)a$\" and metadata.name matches \"(?i)^b\"",
        ),
        (r"filter=status.phase='it\'s'", "status.phase = \"it's\""),
        ("filter=status.phase+=+a", "status.phase = a"),
        ("filter=status.phase=in", "status.phase = in"),
    ] {
        let filter = query(text).filter;
        assert_eq!(filter.to_string(), canonical, "{text}");
        if !canonical.contains("= in") {
            assert_eq!(Expr::parse(canonical, &Pods, NOW_US).unwrap(), filter, "{text} printed");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (text, position, says) in [
        ("filter=metadata.name=", 14, "expected a value"),
        ("filter=metadata.name=a,", 16, "expected a field"),
        ("filter=metadata.name a", 14, "expected an operator"),
        ("filter=metadata.name=a b", 16, "expected ','"),
        ("filter=metadata.name='a", 14, "never closed"),
        ("filter=status.phase in a", 16, "expected '('"),
        ("filter=status.phase in (a", 18, "expected ',' or ')'"),
        ("filter=(a)", 0, "expected a field"),
        ("filter=metadata.labels[n]>a", 19, "integer"),
        ("filter=status.phase>3", 12, "is text"),
        ("filter=restarts~3", 8, "asked of text"),
        ("filter=restarts>x", 9, "of type int"),
        ("filter=%zz", 7, "hexadecimal"),
        ("page=x", 0, "page"),
        ("pagesize=1e3", 0, "pagesize"),
        ("revision=x", 0, "revision"),
        ("summary=", 0, "summarize"),
        ("summary=status.phase,", 13, "summarize"),
        ("summary=status.phase&summary=spec.nodeName", 0, "more than one"),
        ("summaryonly=true", 0, "needs a summary"),
        ("summary=status.phase&summaryonly=maybe", 0, "true or false"),
    ] {
        let what = SteveQuery::parse(text, &Pods);
        let Err(Error::Expression { message, position: at, .. }) = what else {
            panic!("{text}: {what:?}")
        };
        assert!(message.contains(says), "{text}: {message}");
        assert_eq!(at, position, "{text}: {message}");
    }
    for unknown in ["filter=phas=x", "sort=phas", "summary=phas", "filter=metadata.fields[0]=x"] {
        let what = SteveQuery::parse(unknown, &Pods);
        assert!(matches!(what, Err(Error::UnknownField { .. })), "{unknown}: {what:?}");
    }
}

#[test]
fn sorting_keeps_steves_case_and_its_place_for_missing_values() {
    use Missing::{First, Last};
    use SortOrder::{AsIp, AsciiFolded, Natural};
    let sort = "sort=-metadata.name,status.phase,-spec.nodeName,restarts,-requests.memory,\
                metadata.labels[a.io/b],-metadata.labels.c,ip(spec.other),-ip(spec.more),ip(-spec.third),";
    let keys: Vec<_> = query(sort)
        .sort
        .iter()
        .map(|key| (key.field.to_string(), key.descending, key.missing, key.order))
        .collect();
    let want = [
        ("metadata.name", true, Last, AsciiFolded),
        ("status.phase", false, First, AsciiFolded),
        ("spec.nodeName", true, Last, AsciiFolded),
        ("restarts", false, Last, Natural),
        ("requests.memory", true, First, Natural),
        ("labels[a.io/b]", false, Last, AsciiFolded),
        ("labels[c]", true, First, AsciiFolded),
        (".spec.other", false, First, AsIp),
        (".spec.more", true, Last, AsIp),
        (".spec.third", true, Last, AsIp),
    ];
    assert_eq!(
        keys,
        want.map(|(name, down, missing, order)| (name.to_owned(), down, missing, order))
    );
}

#[test]
fn pages_begin_with_one_and_mean_nothing_without_a_size() {
    for (text, page_size, offset) in [
        ("", None, 0),
        ("page=3", None, 0),
        ("pagesize=10", Some(10), 0),
        ("pagesize=10&page=3", Some(10), 20),
        ("pagesize=10&page=0", Some(10), 0),
        ("pagesize=0&page=3", None, 0),
        ("pagesize=-1", None, 0),
        ("pagesize=99999999", Some(100_000), 0),
        ("pagesize=100000&page=18446744073709551615", Some(100_000), u64::MAX),
    ] {
        let query = query(text);
        assert_eq!((query.frame.page_size, query.frame.offset()), (page_size, offset), "{text}");
    }
    assert_eq!(query("revision=107440").frame.revision, Some(107_440));
}

#[test]
fn projects_and_namespaces_choose_namespaces() {
    for (text, canonical) in [
        (
            "projectsornamespaces=p1,n1",
            "metadata.name in (n1, p1) or labels[field.cattle.io/projectId] in (n1, p1)",
        ),
        (
            "projectsornamespaces!=p1",
            "not (metadata.name = p1 or labels[field.cattle.io/projectId] = p1)",
        ),
    ] {
        let chosen = query(text).frame.projects_or_namespaces.unwrap();
        assert_eq!(chosen.condition().to_string(), canonical);
    }
    assert_eq!(query("projectsornamespaces=").frame.projects_or_namespaces, None);
}

#[test]
fn summaries_name_fields() {
    let query =
        query("summary=status.phase,metadata.labels[b.io/c]&summaryonly&summarynamespaced=true");
    let fields: Vec<_> = query.summary.iter().map(|(_, field)| field.to_string()).collect();
    assert_eq!(fields, ["status.phase", "labels[b.io/c]"]);
    assert!(query.frame.summary_only && query.frame.summary_namespaced);
}

fn soup() -> impl Strategy<Value = String> {
    let bit = proptest::sample::select(vec![
        "filter=",
        "&",
        "sort=",
        "summary=",
        "metadata.name",
        "status.phase",
        "restarts",
        "id",
        "metadata.labels[a]",
        "spec.x.y",
        "=",
        "!=",
        "~",
        "!~",
        " in ",
        "(",
        ")",
        ",",
        "a",
        "'b",
        "\\",
        "%41",
        "%",
        "+",
        "1",
        "-",
        "ip(",
        " contains ",
        "<",
        " gt ",
        "!",
        "é",
        "[",
        "]",
        "page=",
        "pagesize=2",
    ]);
    proptest::collection::vec(bit, 0..20).prop_map(|bits| bits.concat())
}

proptest! {
    #[test]
    fn random_queries_never_panic_and_what_they_mean_can_be_printed(
        text in prop_oneof![soup(), any::<String>()]
    ) {
        if let Ok(query) = SteveQuery::parse(&text, &Pods) {
            let printed = query.filter.to_string();
            let back = Expr::parse(&printed, &Pods, NOW_US);
            prop_assert_eq!(back.as_ref().ok(), Some(&query.filter), "{}: {:?}", printed, back);
        }
    }
}
