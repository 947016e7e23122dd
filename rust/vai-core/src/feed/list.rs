//! Lists and Tables.
use super::{FeedError, FeedOptions, Item};

/// What a page says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageMeta {
    /// `metadata.resourceVersion` of the list.
    pub resource_version: String,
    /// `metadata.continue`; `None` on the last page.
    pub continue_token: Option<String>,
    /// `metadata.remainingItemCount`
    pub remaining: Option<u64>,
    /// Objects in this page.
    pub items: u64,
    /// `columnDefinitions` of a Table, JSON as sent.
    pub columns: Option<Vec<u8>>,
    /// `kind` of the list, for example `PodList` or `Table`.
    pub kind: String,
}

/// Reads one page of a list.
#[derive(Debug)]
pub struct ListFeed {}

impl ListFeed {
    /// A feed for one response.
    #[must_use]
    pub fn new(_options: &FeedOptions) -> Self {
        Self {}
    }

    /// Takes the next bytes of the response and gives the objects that became complete.
    pub fn push<E: From<FeedError>>(
        &mut self,
        _chunk: &[u8],
        _sink: &mut dyn FnMut(Item) -> Result<(), E>,
    ) -> Result<(), E> {
        todo!()
    }

    /// Says that the response has ended.
    pub fn finish(self) -> Result<PageMeta, FeedError> {
        todo!()
    }
}
