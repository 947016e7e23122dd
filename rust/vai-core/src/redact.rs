//! What of an object is allowed to reach the file.

/// The redaction of a scope. It is part of the scope's identity: changing it is a new copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Redaction {
    /// Objects are kept exactly as the server sent them.
    #[default]
    None,
    /// Only `metadata` is kept, as a `PartialObjectMetadata` of `meta.k8s.io/v1`, and without the
    /// annotations that repeat the object's content (`is_copy_of_content`).
    Metadata,
}
