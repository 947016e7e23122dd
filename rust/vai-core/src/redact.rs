//! What of an object is allowed to reach the file.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::feed::json::{Cursor, Read};
use crate::path::{Path, Step};

/// The redaction of a scope. It is part of the scope's identity: changing it is a new copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Redaction {
    /// Objects are kept exactly as the server sent them.
    #[default]
    None,
    /// Only `metadata` is kept, as a `PartialObjectMetadata` of `meta.k8s.io/v1`, and without the
    /// annotations that repeat the object's content ([`is_copy_of_content`]).
    Metadata,
}

/// Annotations in which tools keep the object they applied, values and all.
///
/// `kubectl apply` (`k8s.io/api/core/v1.LastAppliedConfigAnnotation`), Rancher's wrangler
/// (`pkg/apply/desiredset.go`, compressed), kapp (`pkg/kapp/resources/…/original`), Banzai Cloud's
/// objectmatcher, and whatever else follows kubectl's name.
#[must_use]
pub fn is_copy_of_content(annotation: &str) -> bool {
    let name = annotation.rsplit_once('/').map_or(annotation, |(_, name)| name);
    matches!(name, "last-applied-configuration" | "last-applied")
        || matches!(annotation, "objectset.rio.cattle.io/applied" | "kapp.k14s.io/original")
}

/// What vai itself reads of an object's metadata, which no scope can do without.
const NEEDED: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "ownerReferences",
];

/// Paths to leave out of every object: sorted, each once, none inside another.
///
/// # Errors
/// [`Error::Invalid`] for what is no path, names elements of arrays, or what vai itself needs.
pub fn paths(texts: &[String]) -> Result<Vec<Path>> {
    let mut found = texts.iter().map(|text| path(text)).collect::<Result<Vec<_>>>()?;
    found.sort();
    // Sorted, a path comes right before those inside it.
    found.dedup_by(|later, kept| later.steps().starts_with(kept.steps()));
    Ok(found)
}

fn path(text: &str) -> Result<Path> {
    let invalid = |why: &str| Error::Invalid(format!("drop {text:?}: {why}"));
    let path = Path::parse(text).map_err(|error| invalid(&error.to_string()))?;
    if !path.is_dotted() {
        return Err(invalid("only members of objects can be left out, not elements of arrays"));
    }
    let is =
        |step: Option<&Step>, name: &str| matches!(step, Some(Step::Key(key)) if **key == *name);
    let (first, second) = (path.steps().first(), path.steps().get(1));
    let needed = match second {
        _ if is(first, "kind") || is(first, "apiVersion") => true,
        None => is(first, "metadata"),
        second => is(first, "metadata") && NEEDED.iter().any(|name| is(second, name)),
    };
    if needed { Err(invalid("nothing can be kept without it")) } else { Ok(path) }
}

/// The object without what these paths name; `None` if it has nothing of it.
pub(crate) fn without(object: &[u8], drop: &[Path]) -> Option<Vec<u8>> {
    if drop.is_empty() {
        return None;
    }
    let mut cuts = Vec::new();
    let steps: Vec<&[Step]> = drop.iter().map(Path::steps).collect();
    // The scan of the object has shown that it is whole.
    cut(&mut Cursor::new(object), &steps, &mut cuts).ok()?;
    if cuts.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(object.len());
    let mut copied = 0;
    for cut in cuts {
        out.extend_from_slice(&object[copied..cut.start]);
        copied = cut.end;
    }
    out.extend_from_slice(&object[copied..]);
    Some(out)
}

/// Finds, in order, the bytes that go: members with the comma that they leave behind.
fn cut(cursor: &mut Cursor<'_>, drop: &[&[Step]], cuts: &mut Vec<Range<usize>>) -> Read<()> {
    /// Where the member before ended, and whether it stays.
    enum Before {
        Nothing,
        Cut { from: usize, to: usize },
        Kept { to: usize },
    }
    let mut before = Before::Nothing;
    cursor.object(|cursor, key| {
        let start = key.start - 1;
        let mut inner = Vec::new();
        let mut goes = false;
        for steps in drop {
            if let [Step::Key(name), rest @ ..] = steps
                && key.is(name.as_bytes())
            {
                goes |= rest.is_empty();
                inner.push(rest);
            }
        }
        if goes {
            cursor.value()?;
            let to = cursor.pos;
            before = match before {
                Before::Nothing => Before::Cut { from: start, to },
                Before::Cut { from, .. } => Before::Cut { from, to },
                Before::Kept { to: kept } => {
                    match cuts.last_mut() {
                        Some(last) if last.start == kept => last.end = to,
                        _ => cuts.push(kept..to),
                    }
                    Before::Kept { to: kept }
                }
            };
            return Ok(());
        }
        if let Before::Cut { from, .. } = before {
            cuts.push(from..start);
        }
        if !inner.is_empty() && cursor.peek()? == b'{' {
            cut(cursor, &inner, cuts)?;
        } else {
            cursor.value()?;
        }
        before = Before::Kept { to: cursor.pos };
        Ok(())
    })?;
    if let Before::Cut { from, to } = before {
        cuts.push(from..to);
    }
    Ok(())
}

/// A `metadata` value inside an object's bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetadataSpan {
    /// The value, braces included.
    pub(crate) span: Range<usize>,
    /// `annotations` objects that must be rewritten: where they are and the entries that stay.
    pub(crate) annotations: Vec<(Range<usize>, Vec<Range<usize>>)>,
}

/// Writes the `PartialObjectMetadata` of an object. Every byte of it is ours or lies inside
/// `metadata`; what stays is verbatim. The spans count from `origin` bytes before `object`.
pub(crate) fn partial_object_metadata(
    object: &[u8],
    origin: usize,
    metadata: &[MetadataSpan],
) -> Vec<u8> {
    let at = |span: Range<usize>| &object[span.start - origin..span.end - origin];
    let kept: usize = metadata.iter().map(|metadata| metadata.span.len() + 16).sum();
    let mut out = Vec::with_capacity(kept + 80);
    out.extend_from_slice(br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1""#);
    for MetadataSpan { span, annotations } in metadata {
        out.extend_from_slice(br#","metadata":"#);
        let mut copied = span.start;
        for (rewritten, entries) in annotations {
            out.extend_from_slice(at(copied..rewritten.start));
            out.push(b'{');
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(at(entry.clone()));
            }
            out.push(b'}');
            copied = rewritten.end;
        }
        out.extend_from_slice(at(copied..span.end));
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_paths(object: &str, drop: &[&str]) -> Option<String> {
        let texts: Vec<String> = drop.iter().map(|&text| text.to_owned()).collect();
        let found = without(object.as_bytes(), &paths(&texts).unwrap())?;
        Some(String::from_utf8(found).unwrap())
    }

    #[test]
    fn what_is_dropped_leaves_no_comma_behind_wherever_it_stands() {
        for (object, wanted) in [
            (r#"{"d":1}"#, "{}"),
            (r#"{ "d" : {"x":[1]} , "a":1}"#, r#"{ "a":1}"#),
            (r#"{"a":1 , "d":1 }"#, r#"{"a":1 }"#),
            (r#"{"a":1,"d":1,"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"d":1,"d":2,"b":2,"d":3}"#, r#"{"a":1,"b":2}"#),
            (r#"{"d":1,"\u0064":2,"b":2}"#, r#"{"b":2}"#),
            (r#"{"d":1,"m":{"x":1,"y":2},"d":1}"#, r#"{"m":{"y":2}}"#),
            (r#"{"m":{"x":{"d":1}},"a":1,"d":2}"#, r#"{"m":{},"a":1}"#),
        ] {
            assert_eq!(without_paths(object, &["d", "m.x"]).as_deref(), Some(wanted), "{object}");
        }
        for untouched in [r#"{"a":{"d":1},"m":1}"#, r#"{"m":[{"x":1}],"e":"d"}"#, "{}"] {
            assert_eq!(without_paths(untouched, &["d", "m.x"]), None, "{untouched}");
        }
        assert_eq!(without_paths(r#"{"d":1}"#, &[]), None);
    }

    #[test]
    fn one_way_to_write_paths_is_one_set_of_paths() {
        let written = [".status.images", "metadata.managedFields", "status", "{.status}"];
        let texts: Vec<String> = written.iter().map(|&text| text.to_owned()).collect();
        let names: Vec<String> = paths(&texts).unwrap().iter().map(Path::name).collect();
        assert_eq!(names, ["metadata.managedFields", "status"]);
    }

    #[test]
    fn what_nothing_can_be_kept_without_is_refused() {
        for text in [
            "metadata",
            "kind",
            "apiVersion",
            "metadata.uid",
            "metadata.labels.app",
            "spec.containers[*].env",
            "spec.containers[0]",
            "",
            "a..b",
        ] {
            let error = paths(&[text.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(&format!("drop {text:?}")), "{error}");
        }
    }

    #[test]
    fn annotations_that_hold_the_applied_object_are_known() {
        for name in [
            "kubectl.kubernetes.io/last-applied-configuration",
            "objectset.rio.cattle.io/applied",
            "kapp.k14s.io/original",
            "banzaicloud.com/last-applied",
            "last-applied-configuration",
        ] {
            assert!(is_copy_of_content(name), "{name}");
        }
        for name in ["example.com/applied", "original", "deployment.kubernetes.io/revision", ""] {
            assert!(!is_copy_of_content(name), "{name}");
        }
    }
}
