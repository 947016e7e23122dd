//! The fields of a kind: what of an object is indexed, under which names, as which type.
//!
//! The catalogue has the fields of well-known kinds; CRDs and users add theirs. A field that a real
//! kube-apiserver accepts in `fieldSelector` says so ([`FieldDef::selector_names`]) and keeps what
//! the server compares with.

pub mod catalogue;

use serde::{Deserialize, Serialize};

use crate::extract::{Found, Paths};
use crate::path::{Path, Step};
use crate::value::{Sum, Taken, Type, Value, Whole};

/// Who defined a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// [`catalogue`]
    #[default]
    #[serde(rename = "built-in")]
    BuiltIn,
    /// The custom resource's definition.
    Crd,
    /// Whoever uses this file.
    User,
}

/// Several values made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduce {
    /// Their exact sum.
    Sum,
    /// The greatest.
    Max,
    /// How many there are, whatever they are but `null`; 0 for none.
    Count,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDef {
    /// How it is called and recorded: `status.phase`.
    pub name: String,
    /// Other names in queries: `phase`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Where its values are. Of a single-valued field, a later path stands in for earlier ones
    /// without a value; a many-valued or reduced one takes the values of all. None at all: the
    /// field is known and never has a value.
    pub paths: Vec<Path>,
    /// What its values are.
    #[serde(rename = "type")]
    pub ty: Type,
    /// Whether an object may have several values, which are a set then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub many: bool,
    /// The labels under which a server accepts it in `fieldSelector`; none for a field of ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selector_names: Vec<String>,
    /// What a missing value counts as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Who defined it.
    pub source: Source,
    /// How several values become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<Reduce>,
}

impl FieldDef {
    /// A field named like its path.
    #[must_use]
    pub fn new(path: Path, ty: Type, source: Source) -> Self {
        Self {
            name: path.name(),
            aliases: Vec::new(),
            paths: vec![path],
            ty,
            many: false,
            selector_names: Vec::new(),
            default: None,
            source,
            reduce: None,
        }
    }

    /// A CRD's `spec.versions[].selectableFields[].jsonPath`; `None` for what is no path.
    ///
    /// The server has validated it: dots between names, nothing else
    /// (`ValidateCustomResourceSelectableFields` in apiextensions-apiserver, which forbids array
    /// notation), the value a string, a boolean or an integer, compared as text. The label is the
    /// path without its leading dot (`prepareSelectableFields` in
    /// `registry/customresource/strategy.go`).
    #[must_use]
    pub fn selectable(path: &str) -> Option<Self> {
        let label = path.trim_start_matches('.');
        let path = Path::parse(label).ok()?;
        let mut field = Self::new(path, Type::Text, Source::Crd);
        label.clone_into(&mut field.name);
        field.selector_names = vec![label.to_owned()];
        Some(field)
    }

    /// Whether a server accepts it in `fieldSelector`.
    #[must_use]
    pub fn is_selectable(&self) -> bool {
        !self.selector_names.is_empty()
    }

    /// The value that a field selector's text means; `None` for a text that no object's value is
    /// written as. (`03` is not 3: servers compare text.)
    #[must_use]
    pub fn selector_value(&self, text: &str) -> Option<Value> {
        let value = Value::parse(self.ty, text).ok()?;
        (value.selector_text() == text).then_some(value)
    }

    /// Whether what stands in its place and is no value is there all the same: an object or a list
    /// where texts are, for which nobody has to say a type.
    pub(crate) fn counts_others(&self) -> bool {
        self.ty == Type::Text && self.reduce.is_none()
    }

    /// Whether an object of which only `metadata` is known has this field. Annotations are not
    /// whole then: those that repeat the object's content are left out.
    fn is_of_metadata(&self) -> bool {
        !self.paths.is_empty()
            && self.paths.iter().all(|path| match path.steps() {
                [Step::Key(first), Step::Key(second), ..] => {
                    &**first == "metadata" && &**second != "annotations"
                }
                _ => false,
            })
    }

    /// Makes the values of one object from what its paths led to.
    fn take(&self, found: &[Found<'_>], index: u16, values: &mut Values) {
        let before = values.fields.len();
        let mut invalid = 0;
        let mut each = found.iter().filter_map(|found| match Value::take(self.ty, found.raw) {
            Taken::Value(value) => Some(value),
            Taken::Missing => None,
            Taken::Invalid => {
                invalid += 1;
                None
            }
        });
        match self.reduce {
            None if self.many => {
                let mut all: Vec<Value> = each.collect();
                all.sort_unstable();
                all.dedup();
                values.fields.extend(all.into_iter().map(|value| (index, value)));
            }
            None => values.fields.extend(each.next().map(|value| (index, value))),
            Some(Reduce::Max) => values.fields.extend(each.max().map(|value| (index, value))),
            Some(Reduce::Sum) => match sum(each, self.ty) {
                Ok(total) => values.fields.extend(total.map(|value| (index, value))),
                Err(Unsummable) => invalid += 1,
            },
            Some(Reduce::Count) => {
                let count = found.iter().filter(|found| found.raw != b"null").count();
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                values.fields.push((index, Value::Int(count)));
            }
        }
        if invalid > 0 {
            values.invalid.push((index, invalid));
        }
        if values.fields.len() == before
            && let Some(default) = &self.default
        {
            values.fields.push((index, default.clone()));
        }
    }
}

/// A sum that its type can't hold.
struct Unsummable;

/// `None` of nothing.
fn sum(mut each: impl Iterator<Item = Value>, ty: Type) -> Result<Option<Value>, Unsummable> {
    let Some(first) = each.next() else { return Ok(None) };
    let Some(second) = each.next() else { return Ok(Some(first)) };
    let mut sum = Sum::default();
    for value in [first, second].into_iter().chain(each) {
        if !sum.add(&value) {
            return Err(Unsummable);
        }
    }
    let total = sum.total().ok_or(Unsummable)?;
    match (ty, total.whole()) {
        (Type::Int, Whole::Exactly(number)) => Ok(Some(Value::Int(number))),
        (Type::Duration, Whole::Exactly(nanos)) => Ok(Some(Value::Duration(nanos))),
        (Type::Number | Type::Quantity, _) => Ok(Some(Value::Decimal(total))),
        _ => Err(Unsummable),
    }
}

/// The values of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// (position in the [`FieldSet`], value): ascending, and the several values of a field each
    /// once; fields without a value are absent.
    pub fields: Vec<(u16, Value)>,
    /// (position, how many values of it can't be read as its type).
    pub invalid: Vec<(u16, u32)>,
}

/// The fields of one kind, besides `metadata.name`, `metadata.namespace` and `metadata.uid`, which
/// are the object's row.
#[derive(Clone, Debug, Default)]
pub struct FieldSet {
    defs: Vec<FieldDef>,
    /// Those of the first field, then those of the second, and so on.
    paths: Paths,
    /// Where the paths of a field begin, for each field and at the end.
    starts: Vec<u16>,
}

impl FieldSet {
    /// The set of these fields; of several under one name the first counts.
    #[must_use]
    pub fn new(defs: impl IntoIterator<Item = FieldDef>) -> Self {
        let mut set = Self::default();
        let mut all = Vec::new();
        set.starts.push(0);
        for def in defs {
            if set.defs.iter().any(|known| known.name == def.name) {
                continue;
            }
            // 65,535 paths: beyond them fields are not indexed.
            let Ok(end) = u16::try_from(all.len() + def.paths.len()) else { break };
            all.extend(def.paths.iter().cloned());
            set.starts.push(end);
            set.defs.push(def);
        }
        set.paths = Paths::new(&all);
        set
    }

    /// The fields of a built-in kind, and of any other those that every kind has.
    #[must_use]
    pub fn for_kind(group: &str, kind: &str) -> Self {
        Self::new(catalogue::fields(group, kind))
    }

    /// The fields of a kind, and those that its definition, if it is a custom resource, makes
    /// selectable by these paths.
    #[must_use]
    pub fn for_resource<P: AsRef<str>>(group: &str, kind: &str, selectable: &[P]) -> Self {
        let mut catalogue = catalogue::fields(group, kind);
        let mut selectable: Vec<FieldDef> =
            selectable.iter().filter_map(|path| FieldDef::selectable(path.as_ref())).collect();
        for field in &mut selectable {
            // One field for both, which keeps what the server compares with, under all names.
            if let Some(at) = catalogue.iter().position(|known| known.name == field.name) {
                field.aliases = catalogue.remove(at).aliases;
            }
        }
        Self::new(selectable.into_iter().chain(catalogue))
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.defs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.defs.is_empty()
    }

    /// All definitions, by position.
    #[must_use]
    pub fn defs(&self) -> &[FieldDef] {
        &self.defs
    }

    /// The definition at a position.
    #[must_use]
    pub fn def(&self, index: u16) -> Option<&FieldDef> {
        self.defs.get(usize::from(index))
    }

    /// The name of a position, for example `spec.nodeName`.
    #[must_use]
    pub fn name(&self, index: u16) -> Option<&str> {
        self.def(index).map(|def| def.name.as_str())
    }

    /// The position of a field in queries: by its name, else by another name it has.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<u16> {
        let has = |names: &[String]| names.iter().any(|known| known == name);
        self.position(|def| def.name == name)
            .or_else(|| self.position(|def| has(&def.aliases) || has(&def.selector_names)))
    }

    /// The position of a field that a server accepts under this label in `fieldSelector`; the other
    /// names that it accepts (`spec.host` of pods) are understood.
    #[must_use]
    pub fn selectable(&self, label: &str) -> Option<u16> {
        self.position(|def| def.selector_names.iter().any(|name| name == label))
    }

    /// The labels that a server accepts in `fieldSelector`.
    pub fn selector_labels(&self) -> impl Iterator<Item = &str> {
        self.defs.iter().filter_map(|def| def.selector_names.first()).map(String::as_str)
    }

    fn position(&self, is: impl FnMut(&FieldDef) -> bool) -> Option<u16> {
        self.defs.iter().position(is).and_then(|index| u16::try_from(index).ok())
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Makes the values of one object from what a visit found. `partial`: only its metadata is
    /// known, so that other fields are unknown, not missing.
    pub(crate) fn values(&self, found: &[Found<'_>], partial: bool) -> Values {
        let mut values =
            Values { fields: Vec::with_capacity(self.defs.len()), invalid: Vec::new() };
        let mut rest = found;
        for (index, (def, end)) in (0..).zip(self.defs.iter().zip(self.starts.iter().skip(1))) {
            let count = rest.iter().take_while(|found| found.path < *end).count();
            let (own, others) = rest.split_at(count);
            rest = others;
            if !partial || def.is_of_metadata() {
                def.take(own, index, &mut values);
            }
        }
        values
    }

    /// The values in a body.
    pub fn extract(&self, body: &[u8]) -> crate::error::Result<Values> {
        self.read(body, false)
    }

    /// The values in a body; `partial`: what is missing is unknown, not a default.
    pub(crate) fn read(&self, body: &[u8], partial: bool) -> crate::error::Result<Values> {
        Ok(self.values(&self.paths.find(body)?, partial))
    }
}

#[cfg(test)]
mod tests;
