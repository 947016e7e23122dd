//! The fields of a resource as expressions see them.

use super::{Catalogue, FieldInfo};
use crate::field::{FieldDef, FieldSet};

/// A resource's definitions, and which of them have no whole index yet.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'f> {
    /// The definitions.
    pub set: &'f FieldSet,
    /// Whether objects have a namespace.
    pub namespaced: bool,
    /// Positions of fields whose index is still built.
    pub building: &'f [u16],
}

impl Fields<'_> {
    fn info(&self, index: Option<u16>) -> Option<FieldInfo> {
        let index = index?;
        let FieldDef { name, ty, many, .. } = self.set.def(index)?;
        let ready = !self.building.contains(&index);
        Some(FieldInfo { name: name.clone(), ty: *ty, many: *many, ready })
    }
}

impl Catalogue for Fields<'_> {
    fn field(&self, name: &str) -> Option<FieldInfo> {
        self.info(self.set.index_of(name))
    }

    fn names(&self) -> Vec<String> {
        let names = |def: &FieldDef| [vec![def.name.clone()], def.aliases.clone()].concat();
        self.set.defs().iter().flat_map(names).collect()
    }

    fn selectable(&self, label: &str) -> Option<FieldInfo> {
        self.info(self.set.selectable(label))
    }

    fn selectable_names(&self) -> Vec<String> {
        self.set.selector_labels().map(str::to_owned).collect()
    }

    fn namespaced(&self) -> bool {
        self.namespaced
    }
}
