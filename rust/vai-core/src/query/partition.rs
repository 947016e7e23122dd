//! What an asking user may see, as a question carries it.
//!
//! It comes anew with every page and may name thousands of namespaces, so it is read without an
//! allocation for each of them, and told from others by a digest.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Objects that a user may see: of one namespace or all, of some names or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Partition {
    /// `None`: every namespace, and what is in none.
    pub namespace: Option<String>,
    /// `None`: every name.
    pub names: Option<Vec<String>>,
}

/// What is in one of several [`Partition`]s may be seen.
#[derive(Clone, Debug, Default)]
pub struct Access(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// One after the other, without anything between them.
    texts: String,
    /// Of each partition the length of its namespace, the number of its names, and their lengths;
    /// [`ALL`] for what is not given.
    shape: Vec<usize>,
    /// Whether one of the partitions has no limit.
    everything: bool,
    digest: OnceLock<[u8; 32]>,
}

/// Instead of a length or number; nothing is that large.
const ALL: usize = usize::MAX;

/// A partition as it is read.
#[derive(Deserialize)]
#[serde(rename = "Partition", default, deny_unknown_fields)]
#[derive(Default)]
struct Read<'a> {
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    names: Option<Vec<Text<'a>>>,
}

/// Borrowed, but for what has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// One of an [`Access`].
pub(super) struct Part<'a> {
    pub(super) namespace: Option<&'a str>,
    pub(super) names: Option<Names<'a>>,
}

/// The names of one partition.
pub(super) struct Names<'a> {
    texts: &'a str,
    lengths: std::slice::Iter<'a, usize>,
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        Some(take(&mut self.texts, *self.lengths.next()?))
    }
}

fn take<'a>(texts: &mut &'a str, length: usize) -> &'a str {
    let (text, rest) = texts.split_at(length);
    *texts = rest;
    text
}

/// A number of any size that says where it ends: the last byte alone is below 128.
fn put(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

impl Inner {
    fn push<'n, N: ExactSizeIterator<Item = &'n str>>(
        &mut self,
        namespace: Option<&str>,
        names: Option<N>,
    ) {
        self.everything |= namespace.is_none() && names.is_none();
        self.shape.push(namespace.map_or(ALL, str::len));
        self.texts.push_str(namespace.unwrap_or_default());
        self.shape.push(names.as_ref().map_or(ALL, N::len));
        for name in names.into_iter().flatten() {
            self.shape.push(name.len());
            self.texts.push_str(name);
        }
    }
}

impl Access {
    /// Whether nothing is kept from the user.
    pub(super) fn is_everything(&self) -> bool {
        self.0.everything
    }

    /// Tells it from every other one: what it allows is kept under this name, so that nobody may
    /// find two with the same. The shape, which says where each text ends, has its length before it.
    pub(super) fn digest(&self) -> [u8; 32] {
        *self.0.digest.get_or_init(|| {
            let mut shape = Vec::with_capacity(self.0.shape.len() * 2);
            put(&mut shape, self.0.shape.len());
            for number in &self.0.shape {
                // [`ALL`] is 0: most numbers are a byte then.
                put(&mut shape, number.wrapping_add(1));
            }
            Sha256::new().chain_update(shape).chain_update(&self.0.texts).finalize().into()
        })
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = Part<'_>> {
        let (mut texts, mut shape) = (self.0.texts.as_str(), self.0.shape.as_slice());
        std::iter::from_fn(move || {
            let [namespace, names, rest @ ..] = shape else { return None };
            let namespace = (*namespace != ALL).then(|| take(&mut texts, *namespace));
            if *names == ALL {
                shape = rest;
                return Some(Part { namespace, names: None });
            }
            let (lengths, rest) = rest.split_at(*names);
            shape = rest;
            let all = take(&mut texts, lengths.iter().sum());
            Some(Part { namespace, names: Some(Names { texts: all, lengths: lengths.iter() }) })
        })
    }

    /// Whether the object with this key may be seen.
    pub(super) fn allows(&self, key: &[u8]) -> bool {
        let (namespace, name) = match memchr::memchr(b'/', key) {
            Some(slash) => (Some(&key[..slash]), &key[slash + 1..]),
            None => (None, key),
        };
        self.partitions().any(|part| {
            part.namespace.is_none_or(|wanted| namespace == Some(wanted.as_bytes()))
                && part.names.is_none_or(|mut names| names.any(|one| one.as_bytes() == name))
        })
    }
}

impl FromIterator<Partition> for Access {
    fn from_iter<I: IntoIterator<Item = Partition>>(partitions: I) -> Self {
        let mut inner = Inner::default();
        for Partition { namespace, names } in partitions {
            let names = names.as_ref().map(|names| names.iter().map(String::as_str));
            inner.push(namespace.as_deref(), names);
        }
        Self(Arc::new(inner))
    }
}

impl From<Vec<Partition>> for Access {
    fn from(partitions: Vec<Partition>) -> Self {
        partitions.into_iter().collect()
    }
}

impl Serialize for Access {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.partitions().map(|part| Partition {
            namespace: part.namespace.map(str::to_owned),
            names: part.names.map(|names| names.map(str::to_owned).collect()),
        }))
    }
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Partitions;

        impl<'de> Visitor<'de> for Partitions {
            type Value = Inner;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of partitions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Inner, A::Error> {
                let mut inner = Inner::default();
                while let Some(Read { namespace, names }) = seq.next_element()? {
                    let names = names.as_ref().map(|names| names.iter().map(|text| &*text.0));
                    inner.push(namespace.as_ref().map(|text| &*text.0), names);
                }
                Ok(inner)
            }
        }

        let inner = deserializer.deserialize_seq(Partitions)?;
        Ok(Self(Arc::new(inner)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Access {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_was_read_is_what_was_written() {
        let json = r#"[{"namespace":"a","names":null},{"namespace":"b","names":["x","é\n",""]},{"namespace":null,"names":[]}]"#;
        let access = read(json);
        assert_eq!(serde_json::to_string(&access).unwrap(), json);
        assert!(!access.is_everything());
        assert!(read("[{}]").is_everything() && !read("[]").is_everything());
        assert!(serde_json::from_str::<Access>(r#"[{"name":"x"}]"#).is_err());
    }

    #[test]
    fn a_digest_tells_apart_what_allows_something_else() {
        let all = [
            "[]",
            "[{}]",
            r#"[{"names":[]}]"#,
            r#"[{"namespace":""}]"#,
            r#"[{"namespace":"ab"}]"#,
            r#"[{"namespace":"ba"}]"#,
            r#"[{"namespace":"a"},{"namespace":"b"}]"#,
            r#"[{"namespace":"a","names":["b"]}]"#,
            r#"[{"names":["a","b"]}]"#,
            r#"[{"names":["ab"]}]"#,
            r#"[{"names":["a"]},{"names":["b"]}]"#,
        ];
        for (at, one) in all.iter().enumerate() {
            let same: Vec<usize> = (0..all.len())
                .filter(|other| read(all[*other]).digest() == read(one).digest())
                .collect();
            assert_eq!(same, [at], "{one}");
        }
        // The same texts, cut at other places, whose lengths take one byte and two.
        for (one, other) in [(126, 127), (127, 128), (128, 16_384)] {
            let named = |length: usize| format!(r#"{{"namespace":"{}"}}"#, "a".repeat(length));
            let both = |first, second| read(&format!("[{},{}]", named(first), named(second)));
            assert_ne!(both(one, other).digest(), both(other, one).digest());
        }
        let spaced = read(r#"[ {"names": ["\u0061", "b"], "namespace": null} ]"#);
        assert_eq!(spaced.digest(), read(all[8]).digest());
    }

    #[test]
    fn a_key_is_allowed_by_any_partition_that_has_it() {
        let access =
            read(r#"[{"namespace":"a"},{"namespace":"b","names":["x","y"]},{"names":["z"]}]"#);
        let allowed: Vec<&str> = ["a/p", "b/x", "b/z", "b/p", "c/z", "c/x", "a", "x", "z"]
            .into_iter()
            .filter(|key| access.allows(key.as_bytes()))
            .collect();
        assert_eq!(allowed, ["a/p", "b/x", "b/z", "c/z", "z"]);
    }
}
