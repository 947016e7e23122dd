//! What `python -m bench.peers.data` wrote: list pages, watch events, questions with their answers.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Failure;

/// Where the resourceVersion of an event stands; its value has as many digits as
/// [`Events::FIRST_VERSION`].
const VERSION: &[u8] = br#""resourceVersion":""#;

#[derive(Deserialize)]
pub(crate) struct About {
    pub(crate) pods: u64,
    pub(crate) labels: String,
    pub(crate) json_bytes: u64,
}

#[derive(Deserialize)]
pub(crate) struct LabelTest {
    pub(crate) key: String,
    /// `= != in notin exists !`
    pub(crate) op: String,
    #[serde(default)]
    pub(crate) values: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct PathTest {
    pub(crate) path: String,
    pub(crate) value: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SortKey {
    pub(crate) path: String,
    /// Instead of a path.
    pub(crate) label: String,
    pub(crate) descending: bool,
}

#[derive(Deserialize)]
pub(crate) struct Expected {
    pub(crate) total: usize,
}

/// Everything that is given must hold; `bench/peers/questions.py` has the words.
#[derive(Deserialize)]
pub(crate) struct Question {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) labels: Vec<LabelTest>,
    #[serde(default)]
    pub(crate) fields: Vec<PathTest>,
    pub(crate) namespaces: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) name_contains: String,
    pub(crate) unindexed: Option<PathTest>,
    pub(crate) sort: Option<SortKey>,
    #[serde(default = "hundred")]
    pub(crate) limit: usize,
    #[serde(default)]
    pub(crate) offsets: Vec<usize>,
    #[serde(default)]
    pub(crate) facets: Vec<String>,
    #[serde(default)]
    pub(crate) walk: usize,
    #[serde(default)]
    pub(crate) gets: Vec<String>,
    pub(crate) expected: Expected,
}

fn hundred() -> usize {
    100
}

/// The folder.
pub(crate) struct Data {
    folder: PathBuf,
    pub(crate) about: About,
    pub(crate) questions: Vec<Question>,
}

impl Data {
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let json = |name: &str| fs::read(folder.join(name));
        Ok(Self {
            about: serde_json::from_slice(&json("about.json")?)?,
            questions: serde_json::from_slice(&json("questions.json")?)?,
            folder: folder.to_owned(),
        })
    }

    /// The question of whoever wants a page and nothing else.
    pub(crate) fn page(&self) -> Result<&Question, Failure> {
        self.question("no filter")
    }

    /// The question with this name.
    pub(crate) fn question(&self, name: &str) -> Result<&Question, Failure> {
        let found = self.questions.iter().find(|question| question.name == name);
        found.ok_or_else(|| format!("no question is called {name}").into())
    }

    /// Page by page; only one of them is in memory.
    pub(crate) fn pages(&self) -> Result<impl Iterator<Item = std::io::Result<Vec<u8>>>, Failure> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("page-")) {
                names.push(path);
            }
        }
        names.sort();
        Ok(names.into_iter().map(fs::read))
    }

    /// The events that the questions' answers take for granted.
    pub(crate) fn burst(&self) -> Result<Vec<u8>, Failure> {
        Ok(fs::read(self.folder.join("burst.jsonl"))?)
    }

    /// Changes of pods that are there, as many as one likes.
    pub(crate) fn events(&self) -> Result<Events, Failure> {
        let lines: Vec<Vec<u8>> = fs::read(self.folder.join("lone.jsonl"))?
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        Ok(Events { lines, next: 0 })
    }
}

/// The same events again and again, each time newer.
pub(crate) struct Events {
    lines: Vec<Vec<u8>>,
    next: usize,
}

impl Events {
    /// Above all versions in the folder.
    const FIRST_VERSION: usize = 95_000_000;

    /// The bytes of the next one.
    pub(crate) fn one(&mut self) -> Vec<u8> {
        let mut line = self.lines[self.next % self.lines.len()].clone();
        let version = (Self::FIRST_VERSION + self.next).to_string();
        self.next += 1;
        if let Some(found) = memchr::memmem::find(&line, VERSION) {
            let start = found + VERSION.len();
            line[start..start + version.len()].copy_from_slice(version.as_bytes());
        }
        line
    }
}
