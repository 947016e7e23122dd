//! The scan of one object: identity, labels, owners and fields, without a tree of it.

/// Indexed text is cut here; a longer value is compared again on the body.
pub const MAX_INDEXED_TEXT_BYTES: usize = 1024;

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `uid` of the owner.
    pub uid: String,
    /// `kind` of the owner.
    pub kind: String,
    /// `name` of the owner.
    pub name: String,
    /// Whether it is the managing controller; at most one entry says so.
    pub controller: bool,
}
