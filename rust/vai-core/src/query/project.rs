//! What of an object is wanted: a part of its JSON, in the places where it was.

use serde_json::{Map, Value as Json};

use super::request::Project;
use crate::error::{Error, Result};
use crate::path::{Path, Step};

impl Project {
    /// Refuses paths that are none.
    pub(super) fn check(&self) -> Result<()> {
        self.paths().map(drop)
    }

    fn paths(&self) -> Result<Vec<Path>> {
        let Self::Paths(paths) = self else { return Ok(Vec::new()) };
        let parse = |text: &String| {
            Path::parse(text).map_err(|error| Error::Invalid(format!("project {text:?}: {error}")))
        };
        paths.iter().map(parse).collect()
    }

    /// The wanted part of a body.
    pub(super) fn of(&self, body: Vec<u8>) -> Result<Vec<u8>> {
        let part = match self {
            Self::Body => return Ok(body),
            Self::Keys => Json::Object(Map::new()),
            Self::Metadata => {
                let mut whole = parse(&body)?;
                let kept = ["apiVersion", "kind", "metadata"];
                whole.retain(|key, _| kept.contains(&key.as_str()));
                Json::Object(whole)
            }
            Self::Paths(_) => {
                let whole = Json::Object(parse(&body)?);
                let mut part = Json::Object(Map::new());
                for path in self.paths()? {
                    if let Some(found) = pruned(&whole, path.steps()) {
                        merge(&mut part, found);
                    }
                }
                part
            }
        };
        serde_json::to_vec(&part).map_err(Error::internal)
    }
}

fn parse(body: &[u8]) -> Result<Map<String, Json>> {
    serde_json::from_slice(body).map_err(|error| Error::Corrupt(format!("a stored body: {error}")))
}

/// What the steps lead to, with the way to it and nothing else.
fn pruned(value: &Json, steps: &[Step]) -> Option<Json> {
    let Some((step, rest)) = steps.split_first() else { return Some(value.clone()) };
    let of = |value: &Json| pruned(value, rest);
    match (step, value) {
        (Step::Key(key), Json::Object(members)) => {
            let found = of(members.get(&**key)?)?;
            Some(Json::Object(Map::from_iter([(key.to_string(), found)])))
        }
        (Step::Each, Json::Array(elements)) => some(elements.iter().filter_map(of).collect()),
        (Step::Each, Json::Object(members)) => {
            let found: Map<_, _> =
                members.iter().filter_map(|(key, value)| Some((key.clone(), of(value)?))).collect();
            (!found.is_empty()).then_some(Json::Object(found))
        }
        (Step::Index(index), Json::Array(elements)) => {
            some(elements.get(*index as usize).and_then(of).into_iter().collect())
        }
        (Step::Where { key, value }, Json::Array(elements)) => {
            let is = |element: &&Json| match element.get(&**key) {
                Some(Json::String(text)) => text.as_str() == &**value,
                Some(Json::Number(number)) => {
                    let text = number.to_string();
                    text.as_str() == &**value
                }
                Some(Json::Bool(truth)) => (if *truth { "true" } else { "false" }) == &**value,
                _ => false,
            };
            some(elements.iter().filter(is).filter_map(of).collect())
        }
        _ => None,
    }
}

fn some(found: Vec<Json>) -> Option<Json> {
    (!found.is_empty()).then_some(Json::Array(found))
}

/// Puts what another path found beside what is there.
fn merge(into: &mut Json, more: Json) {
    match (into, more) {
        (Json::Object(into), Json::Object(more)) => {
            for (key, value) in more {
                match into.get_mut(&key) {
                    Some(held) => merge(held, value),
                    None => {
                        into.insert(key, value);
                    }
                }
            }
        }
        (Json::Array(into), Json::Array(more)) if into.len() == more.len() => {
            into.iter_mut().zip(more).for_each(|(held, value)| merge(held, value));
        }
        (Json::Array(into), Json::Array(more)) => into.extend(more),
        (into, more) => *into = more,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(project: &Project) -> String {
        let body = br#"{"kind":"Pod","metadata":{"name":"a"},"spec":{"nodeName":"n","containers":[
            {"name":"c","image":"i"},{"name":"d","image":"j"}]},"status":{"conditions":[
            {"type":"Ready","status":"True"},{"type":"Other","status":"False"}]}}"#;
        String::from_utf8(project.of(body.to_vec()).unwrap()).unwrap()
    }

    #[test]
    fn paths_keep_their_places() {
        let paths =
            |paths: &[&str]| of(&Project::Paths(paths.iter().map(|p| (*p).into()).collect()));
        assert_eq!(paths(&[".spec.nodeName"]), r#"{"spec":{"nodeName":"n"}}"#);
        assert_eq!(
            paths(&["spec.containers[*].image", "spec.containers[*].name", "metadata.name"]),
            r#"{"metadata":{"name":"a"},"spec":{"containers":[{"image":"i","name":"c"},{"image":"j","name":"d"}]}}"#
        );
        assert_eq!(
            paths(&[".status.conditions[type=Ready].status", ".nothing[0].x"]),
            r#"{"status":{"conditions":[{"status":"True"}]}}"#
        );
        assert_eq!(of(&Project::Metadata), r#"{"kind":"Pod","metadata":{"name":"a"}}"#);
        assert_eq!(of(&Project::Keys), "{}");
        assert!(Project::Paths(vec!["a[".into()]).check().is_err());
    }
}
