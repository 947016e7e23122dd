//! What of an object is allowed to reach the file.

use std::ops::Range;

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
