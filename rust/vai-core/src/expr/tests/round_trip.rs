//! Whatever an expression holds, its text means the same; whatever is read, nothing panics.

use std::collections::BTreeSet;
use std::ops::Bound;

use proptest::prelude::*;

use super::{FIELDS, NOW_US, Pods};
use crate::expr::{Ast, Expr, Field, Fold, Op, Pattern, SortKey, Test};
use crate::path::{Path, Step};
use crate::value::{Type, Value};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z0-9./:_-]{1,8}",
        1 => "[ -~]{1,6}",
        1 => "\\PC{1,4}",
        1 => any::<String>().prop_map(|text| format!("x{}", text.chars().take(4).collect::<String>())),
        1 => prop_oneof![Just("and"), Just("or"), Just("true"), Just("1"), Just("2Gi"), Just("in")].prop_map(str::to_owned),
    ]
}

fn value(ty: Type) -> BoxedStrategy<Value> {
    let literal = |ty, text: String| Value::parse(ty, &text).unwrap();
    match ty {
        Type::Text => text().prop_map(|text| Value::text(&text)).boxed(),
        Type::Int => any::<i64>().prop_map(Value::Int).boxed(),
        Type::Number | Type::Quantity => (any::<i64>(), 0_u8..20)
            .prop_map(move |(digits, scale)| literal(ty, format!("{digits}e-{scale}")))
            .boxed(),
        Type::Time => (-62_000_000_000_i64..253_000_000_000, 0_i64..1_000_000)
            .prop_map(|(seconds, micros)| Value::Time(seconds * 1_000_000 + micros))
            .boxed(),
        Type::Duration => any::<i64>().prop_map(Value::Duration).boxed(),
        Type::Ip => prop_oneof![
            any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
            any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
        ]
        .prop_map(move |text| literal(ty, text))
        .boxed(),
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
    }
}

fn field() -> impl Strategy<Value = Field> {
    let key = prop_oneof![2 => "[a-z]{1,5}(/[a-z]{1,4})?", 1 => text()];
    let ty = proptest::sample::select(Type::ALL.to_vec());
    let step = prop_oneof![
        4 => text().prop_map(|key| Step::Key(key.into())),
        1 => Just(Step::Each),
        1 => any::<u32>().prop_map(Step::Index),
        1 => (text(), text())
            .prop_map(|(key, value)| Step::Where { key: key.into(), value: value.into() }),
    ];
    prop_oneof![
        Just(Field::Name),
        Just(Field::Namespace),
        Just(Field::Uid),
        key.prop_map(Field::Label),
        (0..FIELDS.len()).prop_map(|index| Pods::info(FIELDS[index].0).unwrap().into()),
        (proptest::collection::vec(step, 1..4), "spec|x y", ty).prop_map(
            |(mut steps, first, ty)| {
                // A path of its own, not one that is a field already.
                steps.insert(0, Step::Key(first.into()));
                Field::Path { path: Path::new(steps).unwrap(), ty }
            }
        ),
    ]
}

fn op(field: &Field) -> BoxedStrategy<Op> {
    let ty = field.ty();
    let fold = prop_oneof![Just(Fold::Ascii), Just(Fold::Unicode)];
    let folded = (text(), fold)
        .prop_map(|(text, fold)| Op::Equals { text: fold.fold(&text).into_owned(), fold });
    let contains = (text(), prop_oneof![Just(Fold::Exact), Just(Fold::Ascii), Just(Fold::Unicode)])
        .prop_map(|(text, fold)| Op::Contains { text: fold.fold(&text).into_owned(), fold });
    let values = proptest::collection::btree_set(value(ty), 1..4).prop_map(Op::In);
    let range = (value(ty), any::<bool>(), any::<bool>()).prop_map(|(value, lower, included)| {
        let bound = if included { Bound::Included(value) } else { Bound::Excluded(value) };
        if lower {
            Op::Range { lower: bound, upper: Bound::Unbounded }
        } else {
            Op::Range { lower: Bound::Unbounded, upper: bound }
        }
    });
    let is_label = matches!(field, Field::Label(_));
    match ty {
        Type::Text => {
            let plain = prop_oneof![
                2 => values,
                1 => range,
                1 => contains,
                1 => folded,
                1 => text().prop_map(Op::StartsWith),
                1 => text().prop_filter_map("no pattern", |text| {
                    Pattern::new(&text).ok().map(Op::Matches)
                }),
                1 => Just(Op::Exists),
            ];
            if is_label {
                let int = (any::<bool>(), any::<i64>())
                    .prop_map(|(greater, than)| Op::LabelInt { greater, than });
                return prop_oneof![3 => plain, 1 => int].boxed();
            }
            plain.boxed()
        }
        Type::Bool => prop_oneof![values, Just(Op::Exists)].boxed(),
        Type::Ip => {
            let networks = proptest::collection::btree_set((any::<u32>(), 0_u8..=32), 1..3)
                .prop_map(|networks| {
                    let networks: BTreeSet<ipnet::IpNet> = networks
                        .into_iter()
                        .map(|(bits, length)| {
                            let net = ipnet::Ipv4Net::new(bits.into(), length).unwrap();
                            ipnet::IpNet::V4(net.trunc())
                        })
                        .collect();
                    Op::Within(networks.into_iter().collect())
                });
            prop_oneof![values, range, networks, Just(Op::Exists)].boxed()
        }
        _ => prop_oneof![2 => values, 2 => range, 1 => Just(Op::Exists)].boxed(),
    }
}

fn test() -> impl Strategy<Value = Test> {
    (field(), any::<bool>()).prop_flat_map(|(field, all)| {
        let all = all && field.many();
        op(&field).prop_map(move |op| Test { field: field.clone(), op, all })
    })
}

pub(in crate::expr) fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        8 => test().prop_map(Expr::Test),
        2 => test().prop_map(|test| Expr::and([
            Expr::any(test.field.clone(), Op::Exists),
            Expr::Test(test).negated(),
        ])),
        1 => Just(Expr::True),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Expr::and),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Expr::or),
            inner.prop_map(Expr::negated),
        ]
    })
}

/// Bits of the language, so that random texts come far into the parser.
fn soup() -> impl Strategy<Value = String> {
    let bit = proptest::sample::select(vec![
        "phase",
        "restarts",
        ".spec.x",
        "labels[a]",
        "age",
        "ip",
        "=",
        "!=",
        "<",
        ">=",
        "in",
        "notin",
        "contains",
        "matches",
        "exists",
        "not",
        "!",
        "(",
        ")",
        ",",
        "and",
        "or",
        "&&",
        "||",
        "'a'",
        "\"b\\",
        "\"",
        "1",
        "2.5",
        "1e400",
        "15m",
        "2Gi",
        "10.0.0.0/8",
        "all(",
        "any(",
        "int(",
        "age(",
        "[",
        "]",
        "{",
        "}",
        "true",
        "é",
        "\\u{",
        "-",
        "iequals",
        "within",
        ".",
        "$",
        "@",
    ]);
    proptest::collection::vec((bit, prop_oneof![Just(""), Just(" ")]), 0..24)
        .prop_map(|bits| bits.into_iter().flat_map(|(bit, space)| [bit, space]).collect())
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(expr in expr()) {
        let printed = expr.to_string();
        let back = Expr::parse(&printed, &Pods, NOW_US);
        prop_assert_eq!(back.as_ref().ok(), Some(&expr), "{}: {:?}", printed, back);
    }

    #[test]
    fn random_text_never_panics_and_errors_lie_within_it(
        text in prop_oneof![soup(), any::<String>()]
    ) {
        match Ast::parse(&text) {
            Err(error) => prop_assert!(error.position <= text.len(), "{error}"),
            Ok(ast) => match ast.bind(&Pods, NOW_US) {
                Err(crate::Error::Expression { position, message, .. }) => {
                    prop_assert!(position <= text.len(), "{message}");
                }
                Err(_) => {}
                Ok(expr) => {
                    let printed = expr.to_string();
                    let back = Expr::parse(&printed, &Pods, NOW_US);
                    prop_assert_eq!(back.as_ref().ok(), Some(&expr), "{}: {:?}", printed, back);
                }
            },
        }
        if let Err(crate::Error::Expression { position, message, .. }) =
            SortKey::parse_all(&[&text], &Pods)
        {
            prop_assert!(position <= text.len(), "{message}");
        }
    }
}
