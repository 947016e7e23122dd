//! Pages of users who may see thousands of namespaces, as they come: the same list again and again,
//! or another one with every question.

use std::time::Instant;

use criterion::Criterion;
use serde_json::{Value, json};
use vai_core::query::Request;
use vai_core::store::Store;

use crate::data::Data;
use crate::{Failure, since, timed};

/// Lists that differ, more of them than are kept.
const USERS: usize = 100;

pub(crate) fn pages(
    criterion: &mut Criterion,
    name: &str,
    data: &Data,
    reader: &Store,
) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group(format!("access, {name}"));
    group.sample_size(20);
    let question = data.question("5,000 namespaces allowed")?;
    let namespaces = question.namespaces.as_deref().ok_or("it names no namespaces")?;
    let whole: Vec<Value> = namespaces.iter().map(|name| json!({"namespace": name})).collect();
    let twice = |name: &String| {
        [json!({"namespace": name, "names": ["web-0", "api-1"]}), json!({"namespace": name})]
    };
    let named: Vec<Value> = namespaces.iter().flat_map(twice).collect();
    for (count, partitions) in [("5,000", whole), ("10,000, half with names", named)] {
        let users: Vec<Vec<u8>> = (0..USERS).map(|user| document(&partitions, user)).collect();
        for (what, users) in [("one list", &users[..1]), ("another each time", &users[..])] {
            let mut number = 0;
            group.bench_function(format!("{count}, {what}"), |bencher| {
                bencher.iter_custom(|times| {
                    timed(times, || {
                        number += 1;
                        let started = Instant::now();
                        let request = Request::parse(&users[number % users.len()])?;
                        let rows = reader.query(&request)?;
                        std::hint::black_box(rows.list_json("PodList", "v1", "")?.to_vec()?);
                        Ok(since(started))
                    })
                });
            });
        }
    }
    group.finish();
    Ok(())
}

/// A page of one user: nobody else has the same list.
fn document(partitions: &[Value], user: usize) -> Vec<u8> {
    let own = json!({"namespace": format!("home-{user}")});
    let access: Vec<&Value> = partitions.iter().chain([&own]).collect();
    json!({"resources": ["pods"], "limit": 100, "access": access}).to_string().into_bytes()
}
