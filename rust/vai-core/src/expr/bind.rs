//! From words to meaning: names become fields, literals values of their types.

use std::collections::BTreeSet;
use std::ops::Bound;

use ipnet::IpNet;

use super::lex::shortened;
use super::parse::{Compare, Literal, Node, Operator, Quantifier, Target, View};
use super::{Ast, Expr, ExprError, Field, Fold, Op, Pattern, Test};
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::path::{Path, Step};
use crate::value::{Type, Value, Whole};

/// What is known of the fields of a resource.
pub trait Catalogue {
    /// A field by its canonical name or another of its names.
    fn field(&self, name: &str) -> Option<FieldInfo>;
    /// All names that [`Catalogue::field`] knows.
    fn names(&self) -> Vec<String>;
    /// A field by a name that a real server accepts in a field selector, besides `metadata.name`
    /// and `metadata.namespace`.
    fn selectable(&self, label: &str) -> Option<FieldInfo>;
    /// All names that [`Catalogue::selectable`] knows.
    fn selectable_names(&self) -> Vec<String>;
    /// Whether objects have a namespace.
    fn namespaced(&self) -> bool;
}

/// A field of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// Its canonical name.
    pub name: String,
    /// What its values are.
    pub ty: Type,
    /// Whether an object may have several.
    pub many: bool,
    /// Whether its index is built.
    pub ready: bool,
}

/// The field that `age` and its like are counted from.
const CREATED: &str = "metadata.creationTimestamp";

impl Ast {
    /// Gives names and literals their meaning. `now_us` (microseconds since 1970) is what ages are
    /// counted from.
    pub fn bind(&self, catalogue: &dyn Catalogue, now_us: i64) -> Result<Expr> {
        Binder { catalogue, now_us }.node(&self.root)
    }
}

impl Expr {
    /// Reads and binds an expression.
    pub fn parse(text: &str, catalogue: &dyn Catalogue, now_us: i64) -> Result<Self> {
        let parsed = Ast::parse(text).map_err(Error::from);
        parsed.and_then(|ast| ast.bind(catalogue, now_us)).map_err(|error| error.in_text(text))
    }
}

/// What a name stands for before its type is known.
pub(super) enum Resolved {
    /// A field with its type.
    Known(Field),
    /// A place in bodies, whose type is said or guessed.
    Place(Path),
}

/// The field that a name means, where it was found, or an error that helps.
pub(super) fn resolve(catalogue: &dyn Catalogue, name: &str, position: usize) -> Result<Resolved> {
    match name {
        "name" | "metadata.name" | ".metadata.name" => return Ok(Resolved::Known(Field::Name)),
        "namespace" | "metadata.namespace" | ".metadata.namespace" => {
            return Ok(Resolved::Known(Field::Namespace));
        }
        "uid" | "metadata.uid" | ".metadata.uid" => return Ok(Resolved::Known(Field::Uid)),
        _ => {}
    }
    let is_path = name.starts_with(['.', '{', '$', '[']);
    if !is_path && let Some(info) = catalogue.field(name) {
        return Ok(Resolved::Known(info.into()));
    }
    let path = Path::parse(name).map_err(|error| ExprError {
        message: format!("'{}' is no path: {}", shortened(name), error.message),
        position: position + error.position,
    })?;
    let keys: Vec<&str> = path
        .steps()
        .iter()
        .map_while(|step| match step {
            Step::Key(key) => Some(&**key),
            _ => None,
        })
        .collect();
    if keys.len() == path.steps().len() {
        match keys.as_slice() {
            ["metadata", "name"] => return Ok(Resolved::Known(Field::Name)),
            ["metadata", "namespace"] => return Ok(Resolved::Known(Field::Namespace)),
            ["metadata", "uid"] => return Ok(Resolved::Known(Field::Uid)),
            ["metadata", "labels", key] => {
                return Ok(Resolved::Known(Field::Label((*key).to_owned())));
            }
            ["labels", key] if !is_path => {
                return Ok(Resolved::Known(Field::Label((*key).to_owned())));
            }
            ["annotations", key] if !is_path => {
                if let Some(path) = of_keys(&["metadata", "annotations", key]) {
                    return Ok(Resolved::Place(path));
                }
            }
            _ => {}
        }
    }
    if let Some(info) = catalogue.field(&path.name()) {
        return Ok(Resolved::Known(info.into()));
    }
    if is_path {
        return Ok(Resolved::Place(path));
    }
    Err(unknown(catalogue, name, &path, position))
}

fn unknown(catalogue: &dyn Catalogue, name: &str, path: &Path, position: usize) -> Error {
    let mut names = catalogue.names();
    names.extend(["name", "namespace", "uid", "age"].map(str::to_owned));
    let nearest = nearest(name, &names, 3);
    let hint = if nearest.is_empty() {
        ".".to_owned()
    } else {
        format!("; did you mean {}?", nearest.join(", "))
    };
    Error::UnknownField {
        message: format!(
            "no field '{}'{hint} Any place in the objects is named by its \
             path, with a leading dot: {}",
            shortened(name),
            shortened(&path.to_string()),
        ),
        position: Some(position),
        text: String::new(),
        nearest,
    }
}

/// The path of these keys.
pub(super) fn of_keys(keys: &[&str]) -> Option<Path> {
    Path::new(keys.iter().map(|key| Step::Key((*key).into())).collect())
}

impl From<FieldInfo> for Field {
    fn from(info: FieldInfo) -> Self {
        Self::Indexed { name: info.name, ty: info.ty, many: info.many }
    }
}

struct Binder<'c> {
    catalogue: &'c dyn Catalogue,
    now_us: i64,
}

impl Binder<'_> {
    fn node(&self, node: &Node) -> Result<Expr> {
        Ok(match node {
            Node::True => Expr::True,
            Node::And(parts) => Expr::and(self.nodes(parts)?),
            Node::Or(parts) => Expr::or(self.nodes(parts)?),
            Node::Not(inner) => self.node(inner)?.negated(),
            Node::Compare(compare) => self.compare(compare)?,
        })
    }

    fn nodes(&self, nodes: &[Node]) -> Result<Vec<Expr>> {
        nodes.iter().map(|node| self.node(node)).collect()
    }

    fn compare(&self, compare: &Compare) -> Result<Expr> {
        let (field, aged) = self.field(compare)?;
        let op =
            if aged { self.age(compare)? } else { Literals { field: &field, compare }.op()? };
        let exists = || Expr::any(field.clone(), Op::Exists);
        let many = field.many();
        let test = |all| match &op {
            Some(op) => Expr::Test(Test { field: field.clone(), op: op.clone(), all: all && many }),
            // Nothing can pass.
            None => Expr::none(),
        };
        let quantifier = compare.target.quantifier;
        Ok(match (compare.negated, quantifier) {
            (false, quantifier) => test(quantifier == Some(Quantifier::All)),
            // any(x) != v: some value differs, so not all are v.
            (true, Some(Quantifier::Any)) => Expr::and([exists(), test(true).negated()]),
            (true, _) => Expr::and([exists(), test(false).negated()]),
        })
    }

    /// The field, and whether its age is meant.
    fn field(&self, compare: &Compare) -> Result<(Field, bool)> {
        let target = &compare.target;
        let at = |message: String| ExprError::new(message, target.position);
        let (name, view) = match (target.name.as_str(), target.view) {
            ("age", None) if self.catalogue.field("age").is_none() => (CREATED, Some(View::Age)),
            (name, view) => (name, view),
        };
        let ty = match view {
            None => None,
            Some(View::Age) => Some(Type::Time),
            Some(View::As(ty)) => Some(ty),
        };
        let resolved = match resolve(self.catalogue, name, target.position) {
            // Every kind has it, whatever is indexed.
            Err(_) if name == CREATED => {
                resolve(self.catalogue, &format!(".{CREATED}"), target.position)?
            }
            resolved => resolved?,
        };
        let field = match (resolved, ty) {
            (Resolved::Place(path), Some(ty)) => Field::Path { path, ty },
            (Resolved::Place(path), None) => {
                let ty = guessed(compare, &path);
                Field::Path { path, ty }
            }
            (Resolved::Known(field), None) => field,
            (Resolved::Known(field), Some(ty)) if field.ty() == ty => field,
            // Labels are read as other types where they are: in the bodies.
            (Resolved::Known(Field::Label(key)), Some(ty)) => {
                let path = of_keys(&["metadata", "labels", &key])
                    .ok_or_else(|| at(format!("no label '{key}'")))?;
                Field::Path { path, ty }
            }
            (Resolved::Known(field), Some(_)) if view == Some(View::Age) => {
                return Err(at(format!(
                    "{} is {}, not a time: it has no age",
                    target.name,
                    field.ty()
                ))
                .into());
            }
            (Resolved::Known(field), Some(ty)) => {
                return Err(at(format!(
                    "{} is indexed as {}; compare it as such, or index its path again as {ty}",
                    target.name,
                    field.ty()
                ))
                .into());
            }
        };
        Ok((field, view == Some(View::Age)))
    }

    /// An age is below 5 m where the time is above now - 5 m.
    fn age(&self, compare: &Compare) -> Result<Option<Op>> {
        if compare.operator == Operator::Exists {
            return Ok(Some(Op::Exists));
        }
        let refused = || {
            ExprError::new("an age is compared with <, <=, > or >=: age < 15m", compare.position)
        };
        let literal = compare.values.first().ok_or_else(refused)?;
        let nanos = match Value::parse(Type::Duration, &literal.text) {
            Ok(Value::Duration(nanos)) => nanos,
            Ok(_) => return Err(refused().into()),
            Err(reason) => {
                return Err(mismatch(
                    &compare.target,
                    "a duration such as 15m or 2d",
                    literal,
                    &reason,
                ));
            }
        };
        let then_ns = i128::from(self.now_us) * 1_000 - i128::from(nanos);
        let floor = then_ns.div_euclid(1_000);
        let ceiling = floor + i128::from(then_ns.rem_euclid(1_000) != 0);
        // Beyond what a time can be there is nothing.
        let time = |us: i128| {
            let clamped = us.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            Value::Time(i64::try_from(clamped).unwrap_or_default())
        };
        let (lower, upper) = match compare.operator {
            Operator::Less => (Bound::Excluded(time(floor)), Bound::Unbounded),
            Operator::LessOrEqual => (Bound::Included(time(ceiling)), Bound::Unbounded),
            Operator::Greater => (Bound::Unbounded, Bound::Excluded(time(ceiling))),
            Operator::GreaterOrEqual => (Bound::Unbounded, Bound::Included(time(floor))),
            _ => return Err(refused().into()),
        };
        Ok(Some(Op::Range { lower, upper }))
    }
}

/// The type of a path that nobody said: by how the values are written.
fn guessed(compare: &Compare, path: &Path) -> Type {
    let is_range = matches!(
        compare.operator,
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual
    );
    let all = |ty: Type| compare.values.iter().all(|value| Value::parse(ty, &value.text).is_ok());
    match compare.operator {
        Operator::Within => return Type::Ip,
        // Networks, in quotes texts like all others.
        Operator::In
            if compare.values.iter().any(|value| value.text.contains('/'))
                && compare
                    .values
                    .iter()
                    .all(|value| !value.quoted && network(&value.text).is_some()) =>
        {
            return Type::Ip;
        }
        Operator::In | Operator::Equal => {}
        _ if is_range => {}
        _ => return Type::Text,
    }
    let is_annotation = matches!(path.steps(), [Step::Key(metadata), Step::Key(inner), ..]
        if &**metadata == "metadata" && &**inner == "annotations");
    if compare.values.iter().any(|value| value.quoted) || (is_annotation && !is_range) {
        return Type::Text;
    }
    let guesses: &[Type] = if is_range {
        &[Type::Number, Type::Quantity, Type::Time]
    } else {
        &[Type::Bool, Type::Number, Type::Quantity]
    };
    guesses.iter().copied().find(|ty| all(*ty)).unwrap_or(Type::Text)
}

/// A network, or an address as the network that holds it alone.
fn network(text: &str) -> Option<IpNet> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Some(network.trunc());
    }
    match Value::parse(Type::Ip, text) {
        Ok(Value::Ip(ip)) => Some(IpNet::from(ip.address())),
        _ => None,
    }
}

fn mismatch(target: &Target, wanted: &str, literal: &Literal, reason: &str) -> Error {
    let name = shortened(&target.name);
    ExprError::new(format!("{name} takes {wanted}: {reason}"), literal.position).into()
}

/// The values of one comparison on their way to an [`Op`]; `None` where nothing can pass.
struct Literals<'c> {
    field: &'c Field,
    compare: &'c Compare,
}

impl Literals<'_> {
    fn op(&self) -> Result<Option<Op>> {
        let Some(literal) = self.compare.values.first() else { return Ok(Some(Op::Exists)) };
        let text = || literal.text.clone();
        match self.compare.operator {
            Operator::Exists => Ok(Some(Op::Exists)),
            Operator::Equal | Operator::EqualFold(Fold::Exact) => self.one_of(),
            Operator::In => {
                // A slash means a network, also one that is wrong.
                let nets = |value: &Literal| value.text.contains('/');
                if self.field.ty() == Type::Ip && self.compare.values.iter().any(nets) {
                    return self.within();
                }
                self.one_of()
            }
            Operator::Within => self.within(),
            Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual => self.range(literal),
            Operator::Contains(fold) => {
                let text = self.texts()?.map(|()| fold.fold(&literal.text).into_owned());
                Ok(text.map(|text| Op::Contains { text, fold }))
            }
            Operator::EqualFold(fold) => {
                let text = self.texts()?.map(|()| fold.fold(&literal.text).into_owned());
                Ok(text.map(|text| Op::Equals { text, fold }))
            }
            Operator::StartsWith => Ok(self.texts()?.map(|()| Op::StartsWith(text()))),
            Operator::Matches => {
                let Some(()) = self.texts()? else { return Ok(None) };
                let pattern = Pattern::new(&literal.text)
                    .map_err(|reason| ExprError::new(reason, literal.position))?;
                Ok(Some(Op::Matches(pattern)))
            }
        }
    }

    /// Refuses what is asked of texts where there are none.
    fn texts(&self) -> Result<Option<()>> {
        match self.field.ty() {
            Type::Text => Ok(Some(())),
            ty => Err(self.refused(&format!(
                "is {ty}; contains, startswith, matches and their like are asked of text"
            ))),
        }
    }

    fn refused(&self, what: &str) -> Error {
        let name = shortened(&self.compare.target.name);
        ExprError::new(format!("{name} {what}"), self.compare.position).into()
    }

    fn value(&self, literal: &Literal) -> Result<Value> {
        let ty = self.field.ty();
        Value::parse(ty, &literal.text).map_err(|reason| {
            let wanted = match ty {
                Type::Text => "a text",
                Type::Int => "an integer",
                Type::Number => "a number",
                Type::Quantity => "a quantity such as 500m or 2Gi",
                Type::Time => "a time such as 2026-01-31T12:00:00Z (or age(…) < 15m)",
                Type::Duration => "a duration such as 15m or 2d",
                Type::Ip => "an address (or in 10.0.0.0/8)",
                Type::Bool => "true or false",
            };
            mismatch(&self.compare.target, wanted, literal, &reason)
        })
    }

    fn one_of(&self) -> Result<Option<Op>> {
        let mut values = BTreeSet::new();
        for literal in &self.compare.values {
            if literal.text.is_empty()
                && self.field.ty() == Type::Text
                && matches!(self.field, Field::Indexed { .. } | Field::Path { .. })
            {
                let name = &self.compare.target.name;
                return Err(ExprError::new(
                    format!("an empty text counts as missing; write not exists {name}"),
                    literal.position,
                )
                .into());
            }
            if self.field.ty() == Type::Int {
                // 2.0 is an integer, 2.5 one that no value is.
                match self.whole(literal)? {
                    Whole::Exactly(number) => drop(values.insert(Value::Int(number))),
                    Whole::After(_) | Whole::Below | Whole::Above => {}
                }
            } else {
                values.insert(self.value(literal)?);
            }
        }
        Ok((!values.is_empty()).then_some(Op::In(values)))
    }

    fn within(&self) -> Result<Option<Op>> {
        if self.field.ty() != Type::Ip {
            return Err(self.refused(&format!("is {}; networks hold addresses", self.field.ty())));
        }
        let mut networks = BTreeSet::new();
        for literal in &self.compare.values {
            let Some(network) = network(&literal.text) else {
                let reason =
                    format!("'{}' is neither a network nor an address", shortened(&literal.text));
                return Err(mismatch(
                    &self.compare.target,
                    "a network such as 10.0.0.0/8",
                    literal,
                    &reason,
                ));
            };
            networks.insert(network);
        }
        Ok(Some(Op::Within(networks.into_iter().collect())))
    }

    /// A number among the integers.
    fn whole(&self, literal: &Literal) -> Result<Whole> {
        match Value::parse(Type::Number, &literal.text) {
            Ok(Value::Decimal(number)) => Ok(number.whole()),
            Ok(Value::Int(number)) => Ok(Whole::Exactly(number)),
            Ok(_) => Err(self.refused("is an integer")),
            Err(reason) => Err(mismatch(&self.compare.target, "a number", literal, &reason)),
        }
    }

    fn range(&self, literal: &Literal) -> Result<Option<Op>> {
        let is_number = Value::parse(Type::Number, &literal.text).is_ok();
        let ty = self.field.ty();
        if ty == Type::Int {
            return self.int_range(literal);
        }
        if matches!(self.field, Field::Label(_)) && is_number && !literal.quoted {
            return self.label_range(literal);
        }
        if ty == Type::Bool {
            return Err(self.refused("is true or false; compare it with = or !="));
        }
        if ty == Type::Text && is_number && !literal.quoted {
            return Err(ExprError::new(
                format!(
                    "{} is text and has no numeric order; put the value in quotes to compare texts",
                    shortened(&self.compare.target.name)
                ),
                literal.position,
            )
            .into());
        }
        let value = self.value(literal)?;
        let (lower, upper) = match self.compare.operator {
            Operator::Less => (Bound::Unbounded, Bound::Excluded(value)),
            Operator::LessOrEqual => (Bound::Unbounded, Bound::Included(value)),
            Operator::Greater => (Bound::Excluded(value), Bound::Unbounded),
            _ => (Bound::Included(value), Bound::Unbounded),
        };
        Ok(Some(Op::Range { lower, upper }))
    }

    fn int_range(&self, literal: &Literal) -> Result<Option<Op>> {
        let less = matches!(self.compare.operator, Operator::Less | Operator::LessOrEqual);
        let strict = matches!(self.compare.operator, Operator::Less | Operator::Greater);
        let bound = match self.whole(literal)? {
            Whole::Exactly(number) if strict => Bound::Excluded(Value::Int(number)),
            // Below 2.5 means up to 2, above 2.5 means above 2.
            Whole::After(number) if !less => Bound::Excluded(Value::Int(number)),
            Whole::Exactly(number) | Whole::After(number) => Bound::Included(Value::Int(number)),
            // All, or none.
            Whole::Above => return Ok(less.then_some(Op::Exists)),
            Whole::Below => return Ok((!less).then_some(Op::Exists)),
        };
        let (lower, upper) =
            if less { (Bound::Unbounded, bound) } else { (bound, Bound::Unbounded) };
        Ok(Some(Op::Range { lower, upper }))
    }

    /// Labels are texts; compared with a number they are the integers that some of them are.
    fn label_range(&self, literal: &Literal) -> Result<Option<Op>> {
        let greater = matches!(self.compare.operator, Operator::Greater | Operator::GreaterOrEqual);
        let strict = matches!(self.compare.operator, Operator::Less | Operator::Greater);
        let beyond =
            |number: i64| if greater { number.checked_sub(1) } else { number.checked_add(1) };
        let than = match self.whole(literal)? {
            Whole::Exactly(number) if strict => Some(number),
            Whole::Exactly(number) => beyond(number),
            Whole::After(number) if greater => Some(number),
            Whole::After(number) => number.checked_add(1),
            Whole::Below | Whole::Above => None,
        };
        let Some(than) = than else {
            return Err(ExprError::new(
                "labels are compared as integers of 64 bits; this is beyond them",
                literal.position,
            )
            .into());
        };
        Ok(Some(Op::LabelInt { greater, than }))
    }
}
