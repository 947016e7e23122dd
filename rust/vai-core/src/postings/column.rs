//! A column over row ids: pages of numbers, made where there are any.
//!
//! Row ids are the file's, so those of one resource lie together in a few runs; a page that has
//! none costs a pointer.

const PAGE: usize = 1024;
/// No value.
pub(crate) const NONE: u32 = u32::MAX;

/// id → number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pages: Vec<Option<Box<[u32; PAGE]>>>,
}

fn place(id: u32) -> (usize, usize) {
    // u32 to usize is lossless on every platform that the crate supports.
    let id = id as usize;
    (id / PAGE, id % PAGE)
}

impl Column {
    /// [`NONE`] where there is no value.
    pub(crate) fn get(&self, id: u32) -> u32 {
        let (page, slot) = place(id);
        self.pages.get(page).and_then(Option::as_ref).map_or(NONE, |page| page[slot])
    }

    /// Returns what was there before.
    pub(crate) fn set(&mut self, id: u32, value: u32) -> u32 {
        let (page, slot) = place(id);
        if page >= self.pages.len() {
            if value == NONE {
                return NONE;
            }
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| Box::new([NONE; PAGE]));
        std::mem::replace(&mut page[slot], value)
    }

    /// (id, value) in the order of ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.pages.iter().zip(0_u32..).filter_map(|(page, at)| Some((page.as_ref()?, at))).flat_map(
            |(page, at)| {
                let first = at * 1024;
                page.iter()
                    .zip(first..)
                    .filter(|(value, _)| **value != NONE)
                    .map(|(v, id)| (id, *v))
            },
        )
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let pages = self.pages.iter().flatten().count();
        pages * PAGE * size_of::<u32>() + self.pages.len() * size_of::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_has_nothing_costs_nothing() {
        let mut column = Column::default();
        assert_eq!(column.set(5_000_000, NONE), NONE);
        assert_eq!(column.bytes(), 0);
        assert_eq!(column.set(2_049, 7), NONE);
        assert_eq!(column.set(3, 1), NONE);
        assert_eq!(column.set(3, 2), 1);
        assert_eq!((column.get(3), column.get(4), column.get(9_999_999)), (2, NONE, NONE));
        assert_eq!(column.iter().collect::<Vec<_>>(), [(3, 2), (2_049, 7)]);
    }
}
