//! One visit of a JSON body finds the values of all wanted paths.
//!
//! The paths are a tree: what no path leads to is skipped without being looked at. `[type=Ready]`
//! and `[0]` are visited as `[*]` is, and what the element turned out not to be is dropped behind
//! it, so that no element is read twice. Duplicate keys: the last one counts, as in `serde_json`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::feed::json::{Cursor, Read, Text};
use crate::path::{Path, Step};

/// Paths to be found together.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    root: Node,
}

/// A value that a path led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'b> {
    /// The path's position among the paths.
    pub path: u16,
    /// The value's JSON.
    pub raw: &'b [u8],
}

impl Paths {
    /// Prepares the visit. Positions beyond 65,535 are left out.
    pub fn new<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Self {
        let mut root = Node::default();
        for (position, path) in (0..=u16::MAX).zip(paths) {
            root.insert(path.steps(), position);
        }
        Self { root }
    }

    /// The values in a body, by path and then in the body's order.
    pub fn find<'b>(&self, body: &'b [u8]) -> Result<Vec<Found<'b>>> {
        let mut visit = Visit::default();
        visit
            .value(&mut Cursor::new(body), &self.root, Tests::NONE)
            .map_err(|stop| Error::Corrupt(format!("a body is not JSON: {stop:?}")))?;
        Ok(visit.into_found())
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}

/// A place in an object that paths lead to or through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    keys: Vec<(Box<str>, Node)>,
    /// A bit for each length (modulo 64) of a key: most keys of an object differ by it alone.
    lengths: u64,
    element: Option<Box<Element>>,
    /// Paths that end here.
    ends: Vec<u16>,
    /// Paths that end here or below.
    all: Vec<u16>,
}

/// Any element of an array or member of an object.
#[derive(Clone, Debug, Default)]
struct Element {
    node: Node,
    tests: Vec<Test>,
    /// Index, and the paths that want no other.
    indexes: Vec<(u32, Vec<u16>)>,
}

/// `[key=value]`, and the paths that demand it.
#[derive(Clone, Debug)]
struct Test {
    key: Box<str>,
    value: Box<str>,
    paths: Vec<u16>,
}

impl Node {
    fn insert(&mut self, steps: &[Step], path: u16) {
        self.all.push(path);
        let Some((step, rest)) = steps.split_first() else {
            self.ends.push(path);
            return;
        };
        match step {
            Step::Key(key) => self.key(key).insert(rest, path),
            Step::Each => self.element().node.insert(rest, path),
            Step::Index(index) => {
                let element = self.element();
                match element.indexes.iter_mut().find(|(known, _)| known == index) {
                    Some((_, paths)) => paths.push(path),
                    None => element.indexes.push((*index, vec![path])),
                }
                element.node.insert(rest, path);
            }
            Step::Where { key, value } => {
                let element = self.element();
                let same = |test: &&mut Test| test.key == *key && test.value == *value;
                match element.tests.iter_mut().find(same) {
                    Some(test) => test.paths.push(path),
                    None => element.tests.push(Test {
                        key: key.clone(),
                        value: value.clone(),
                        paths: vec![path],
                    }),
                }
                element.node.insert(rest, path);
            }
        }
    }

    fn key(&mut self, key: &str) -> &mut Self {
        let index = self.keys.iter().position(|(name, _)| **name == *key).unwrap_or_else(|| {
            self.lengths |= length_bit(key.len());
            self.keys.push((key.into(), Self::default()));
            self.keys.len() - 1
        });
        &mut self.keys[index].1
    }

    fn element(&mut self) -> &mut Element {
        self.element.get_or_insert_default()
    }

    #[inline]
    fn child(&self, key: Text<'_>) -> Option<(usize, &Self)> {
        if !key.escaped && self.lengths & length_bit(key.raw.len()) == 0 {
            return None;
        }
        let found = self.keys.iter().position(|(name, _)| key.is(name.as_bytes()))?;
        Some((found, &self.keys[found].1))
    }

    /// Whether paths go through keys alone from here.
    pub(crate) fn has_only_keys(&self) -> bool {
        self.ends.is_empty() && self.element.is_none()
    }
}

#[inline]
fn length_bit(length: usize) -> u64 {
    1 << (length & 63)
}

/// The members of one object on their way through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members<'p> {
    node: &'p Node,
    /// What was found before this object.
    mark: usize,
    /// A bit for each key (modulo 64) that was there already.
    seen: u64,
}

impl<'p> Members<'p> {
    /// The node of a key that a path leads through. A key that is there again begins anew.
    #[inline]
    pub(crate) fn next(&mut self, visit: &mut Visit<'_>, key: Text<'_>) -> Option<&'p Node> {
        let (index, child) = self.node.child(key)?;
        let bit = 1 << (index & 63);
        if self.seen & bit != 0 {
            visit.forget(self.mark, &child.all);
        }
        self.seen |= bit;
        Some(child)
    }
}

/// The tests of the element at hand, and where their verdicts begin.
#[derive(Clone, Copy)]
pub(crate) struct Tests<'p> {
    tests: &'p [Test],
    first: usize,
}

impl Tests<'_> {
    pub(crate) const NONE: Self = Self { tests: &[], first: 0 };
}

/// What one visit has found so far.
#[derive(Debug, Default)]
pub(crate) struct Visit<'b> {
    found: Vec<Found<'b>>,
    /// Of the elements that the visit is within.
    verdicts: Vec<bool>,
}

impl<'b> Visit<'b> {
    pub(crate) fn with_capacity(values: usize) -> Self {
        Self { found: Vec::with_capacity(values), verdicts: Vec::new() }
    }

    /// By path and then in the body's order.
    pub(crate) fn into_found(mut self) -> Vec<Found<'b>> {
        self.found.sort_by_key(|found| found.path);
        self.found
    }

    /// Begins an object whose members are then visited one by one.
    pub(crate) fn members<'p>(&self, node: &'p Node) -> Members<'p> {
        Members { node, mark: self.found.len(), seen: 0 }
    }

    /// Visits the value at the cursor.
    pub(crate) fn value(
        &mut self,
        cursor: &mut Cursor<'b>,
        node: &Node,
        tests: Tests<'_>,
    ) -> Read<()> {
        let first = cursor.peek()?;
        let start = cursor.pos;
        match (first, &node.element) {
            (b'{', None) if !node.keys.is_empty() || !tests.tests.is_empty() => {
                self.object(cursor, node, tests)?;
            }
            (b'{', Some(element)) => {
                self.object(cursor, node, tests)?;
                cursor.pos = start;
                self.each_member(cursor, element)?;
            }
            (b'[', Some(element)) => {
                let mut index = 0;
                cursor.array(|cursor| {
                    self.element(cursor, element, Some(index))?;
                    index += 1;
                    Ok(())
                })?;
            }
            _ => {
                cursor.value()?;
            }
        }
        let raw = &cursor.bytes[start..cursor.pos];
        self.found.extend(node.ends.iter().map(|&path| Found { path, raw }));
        Ok(())
    }

    fn object(&mut self, cursor: &mut Cursor<'b>, node: &Node, tests: Tests<'_>) -> Read<()> {
        let mut members = self.members(node);
        cursor.object(|cursor, key| {
            if !tests.tests.is_empty() {
                self.test(cursor, key, tests)?;
            }
            match members.next(self, key) {
                Some(child) => self.value(cursor, child, Tests::NONE),
                None => cursor.value().map(drop),
            }
        })
    }

    /// Takes the verdicts that a member decides; its value is not read.
    fn test(&mut self, cursor: &mut Cursor<'b>, key: Text<'_>, tests: Tests<'_>) -> Read<()> {
        let mut value: Option<&[u8]> = None;
        for (verdict, test) in (tests.first..).zip(tests.tests) {
            if !key.is(test.key.as_bytes()) {
                continue;
            }
            if value.is_none() {
                let before = cursor.pos;
                value = Some(cursor.value()?);
                cursor.pos = before;
            }
            self.verdicts[verdict] = value.is_some_and(|raw| is_scalar(raw, &test.value));
        }
        Ok(())
    }

    fn element(
        &mut self,
        cursor: &mut Cursor<'b>,
        element: &Element,
        index: Option<u32>,
    ) -> Read<()> {
        let mark = self.found.len();
        let first = self.verdicts.len();
        self.verdicts.resize(first + element.tests.len(), false);
        self.value(cursor, &element.node, Tests { tests: &element.tests, first })?;
        for (verdict, test) in (first..).zip(&element.tests) {
            if !self.verdicts[verdict] {
                self.forget(mark, &test.paths);
            }
        }
        self.verdicts.truncate(first);
        for (wanted, paths) in &element.indexes {
            if Some(*wanted) != index {
                self.forget(mark, paths);
            }
        }
        Ok(())
    }

    /// Visits the members of an object as elements.
    fn each_member(&mut self, cursor: &mut Cursor<'b>, element: &Element) -> Read<()> {
        let mark = self.found.len();
        let mut ranges: HashMap<Cow<'b, str>, Range<usize>> = HashMap::new();
        let mut repeated = Vec::new();
        cursor.object(|cursor, key| {
            let before = self.found.len();
            self.element(cursor, element, None)?;
            repeated.extend(ranges.insert(key.decode(), before..self.found.len()));
            Ok(())
        })?;
        if !repeated.is_empty() {
            let mut position = mark;
            let kept = self.found.split_off(mark);
            self.found.extend(kept.into_iter().filter(|_| {
                let gone = repeated.iter().any(|range| range.contains(&position));
                position += 1;
                !gone
            }));
        }
        Ok(())
    }

    /// Drops what was found of these paths since.
    fn forget(&mut self, mark: usize, paths: &[u16]) {
        if self.found.len() == mark {
            return;
        }
        let mut kept = mark;
        for at in mark..self.found.len() {
            let found = self.found[at];
            if !paths.contains(&found.path) {
                self.found[kept] = found;
                kept += 1;
            }
        }
        self.found.truncate(kept);
    }
}

/// Whether a scalar is this text, or written so.
fn is_scalar(raw: &[u8], text: &str) -> bool {
    match raw.first() {
        Some(b'"') => Cursor::new(raw).string().is_ok_and(|string| string.is(text.as_bytes())),
        Some(b'{' | b'[') => false,
        _ => raw == text.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    fn find(paths: &[&str], body: &str) -> Vec<(u16, String)> {
        let paths: Vec<Path> = paths.iter().map(|path| path.parse().unwrap()).collect();
        let found = Paths::new(&paths).find(body.as_bytes()).unwrap();
        found
            .into_iter()
            .map(|found| (found.path, String::from_utf8(found.raw.to_vec()).unwrap()))
            .collect()
    }

    fn found(values: &[(u16, &str)]) -> Vec<(u16, String)> {
        values.iter().map(|(path, raw)| (*path, (*raw).to_owned())).collect()
    }

    const POD: &str = r#"{"metadata":{"labels":{"a.b/c":"x","é":"y"},"finalizers":["f"]},
        "spec":{"containers":[{"name":"a","image":"i1","on":true},{"image":"i2","name":"b","n":3}]},
        "status":{"conditions":[{"status":"False","type":"Ready"},{"type":"Other","status":"x"},
            {"type":"Ready","status":"True"}],"phase":"Running","nested":[[1,2],[3]]}}"#;

    #[test]
    fn one_visit_finds_all_paths() {
        assert_eq!(
            find(
                &[
                    ".status.phase",
                    ".spec.containers[*].image",
                    ".spec.containers[1].image",
                    ".spec.containers[name=a].image",
                    ".status.conditions[type=Ready].status",
                    ".metadata.labels[a.b/c]",
                    ".spec.containers[on=true].name",
                    ".spec.containers[n=3].name",
                    ".metadata.labels[*]",
                    ".status.nested[*][0]",
                    ".metadata.finalizers",
                    ".spec.containers[name=a]",
                    ".nothing.here",
                    ".status.phase.below",
                    ".status.conditions[type=Ready]['type']",
                    ".metadata.labels['é']",
                ],
                POD
            ),
            found(&[
                (0, r#""Running""#),
                (1, r#""i1""#),
                (1, r#""i2""#),
                (2, r#""i2""#),
                (3, r#""i1""#),
                (4, r#""False""#),
                (4, r#""True""#),
                (5, r#""x""#),
                (6, r#""a""#),
                (7, r#""b""#),
                (8, r#""x""#),
                (8, r#""y""#),
                (9, "1"),
                (9, "3"),
                (10, r#"["f"]"#),
                (11, r#"{"name":"a","image":"i1","on":true}"#),
                (14, r#""Ready""#),
                (14, r#""Ready""#),
                (15, r#""y""#),
            ])
        );
    }

    #[test]
    fn the_last_of_duplicate_keys_counts() {
        for (path, body, want) in [
            (".a", r#"{"a":1,"a":2}"#, &["2"][..]),
            (".a.b", r#"{"a":{"b":1},"a":{}}"#, &[]),
            (".a.b", r#"{"a":{"b":1},"a":null}"#, &[]),
            (".a.b", r#"{"a":{"b":1},"a":{"b":2}}"#, &["2"]),
            (".a[*]", r#"{"a":{"x":1,"y":2,"x":3}}"#, &["2", "3"]),
            (".a[*]", r#"{"a":[1,2],"a":[3]}"#, &["3"]),
            (".a[k=x].v", r#"{"a":[{"k":"x","v":1,"k":"y"}]}"#, &[]),
            (".a[k=x].v", r#"{"a":[{"k":"y","v":1,"v":2,"k":"x"}]}"#, &["2"]),
            (r".a", r#"{"\u0061":1}"#, &["1"]),
        ] {
            let want: Vec<_> = want.iter().map(|raw| (0, (*raw).to_owned())).collect();
            assert_eq!(find(&[path], body), want, "{path} in {body}");
        }
    }

    #[test]
    fn what_is_deep_or_wide_is_read_without_harm() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(9_000), "]".repeat(9_000));
        assert_eq!(find(&[".a[*][*][0].x"], &deep), []);
        let steps = ".a".repeat(64);
        let nested = format!("{}1{}", "{\"a\":".repeat(64), "}".repeat(64));
        assert_eq!(find(&[&steps], &nested), found(&[(0, "1")]));
        let many: Vec<_> = (0..10_000).map(|at| format!("\"l{at}\":\"v{at}\"")).collect();
        let wide = format!("{{\"metadata\":{{\"labels\":{{{}}}}}}}", many.join(","));
        assert_eq!(find(&[".metadata.labels.l9999"], &wide), found(&[(0, "\"v9999\"")]));
        assert_eq!(find(&[".metadata.labels[*]"], &wide).len(), 10_000);
        assert!(Paths::default().find(b"{\"a\":").is_err());
    }

    /// The values that a path leads to, walked over a tree.
    fn walk<'j>(json: &'j Json, steps: &[Step], out: &mut Vec<&'j Json>) {
        let Some((step, rest)) = steps.split_first() else {
            out.push(json);
            return;
        };
        let all: Vec<&Json> = match json {
            Json::Array(elements) => elements.iter().collect(),
            Json::Object(members) => members.values().collect(),
            _ => Vec::new(),
        };
        let next: Vec<&Json> = match step {
            Step::Key(key) => json.as_object().and_then(|o| o.get(&**key)).into_iter().collect(),
            Step::Each => all,
            Step::Index(at) => {
                json.as_array().and_then(|a| a.get(*at as usize)).into_iter().collect()
            }
            Step::Where { key, value } => all
                .into_iter()
                .filter(|json| match json.as_object().and_then(|o| o.get(&**key)) {
                    Some(Json::String(text)) => **text == **value,
                    Some(Json::Object(_) | Json::Array(_)) | None => false,
                    Some(scalar) => format!("{scalar}") == **value,
                })
                .collect(),
        };
        for json in next {
            walk(json, rest, out);
        }
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof![3 => "[abc]", 1 => Just("é\"\\".to_owned())]
    }

    /// JSON text, with duplicate keys and escapes.
    fn json() -> impl Strategy<Value = String> {
        let quoted = |text: String| serde_json::to_string(&text).unwrap();
        let leaf = prop_oneof![
            key().prop_map(quoted),
            Just("null".to_owned()),
            Just("true".to_owned()),
            (0_i64..4).prop_map(|number| number.to_string()),
        ];
        leaf.prop_recursive(5, 48, 5, move |inner| {
            let escaped = key().prop_map(|key| match key.as_str() {
                "a" => r#""\u0061""#.to_owned(),
                _ => serde_json::to_string(&key).unwrap(),
            });
            let name = prop_oneof![key().prop_map(quoted), escaped];
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(|all| format!("[{}]", all.join(" , "))),
                vec((name, inner), 0..5).prop_map(|all| {
                    let all: Vec<_> =
                        all.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                    format!("{{{}}}", all.join(","))
                }),
            ]
        })
    }

    fn path() -> impl Strategy<Value = Path> {
        let step = prop_oneof![
            4 => key().prop_map(|key| Step::Key(key.into())),
            2 => Just(Step::Each),
            1 => (0_u32..3).prop_map(Step::Index),
            1 => (key(), prop_oneof![key(), Just("true".to_owned()), Just("1".to_owned())])
                .prop_map(|(key, value)| Step::Where { key: key.into(), value: value.into() }),
        ];
        vec(step, 1..5).prop_map(|steps| Path::new(steps).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_is_found_is_what_serde_json_walks(body in json(), paths in vec(path(), 1..6)) {
            // A number ends where something follows it.
            let body = format!("{body}\n");
            let tree: Json = serde_json::from_str(&body).unwrap();
            let found = Paths::new(&paths).find(body.as_bytes()).unwrap();
            prop_assert!(found.is_sorted_by_key(|found| found.path));
            for (at, path) in (0..).zip(&paths) {
                let mut want = Vec::new();
                walk(&tree, path.steps(), &mut want);
                let mut want: Vec<_> = want.into_iter().map(Json::to_string).collect();
                let mut got: Vec<_> = found
                    .iter()
                    .filter(|found| found.path == at)
                    .map(|found| serde_json::from_slice::<Json>(found.raw).unwrap().to_string())
                    .collect();
                // The tree has its members sorted.
                want.sort();
                got.sort();
                prop_assert_eq!(got, want, "{} in {}", path, body);
            }
        }
    }
}
