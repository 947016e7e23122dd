//! What `questions.py` writes; everything that is given must hold.

use serde::Deserialize;

#[derive(Clone, Deserialize)]
pub struct LabelTest {
    pub key: String,
    /// = != in notin exists !
    pub op: String,
    #[serde(default)]
    pub values: Vec<String>,
}

#[derive(Clone, Deserialize)]
pub struct PathTest {
    pub path: String,
    pub value: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct SortKey {
    pub path: String,
    /// Instead of a path.
    pub label: String,
    pub descending: bool,
}

#[derive(Clone, Deserialize)]
#[serde(default)]
pub struct Question {
    pub labels: Vec<LabelTest>,
    pub fields: Vec<PathTest>,
    pub namespaces: Option<Vec<String>>,
    pub name_contains: String,
    pub unindexed: Option<PathTest>,
    pub sort: Option<SortKey>,
    pub limit: usize,
    pub offsets: Vec<usize>,
    pub facets: Vec<String>,
    pub walk: usize,
    pub gets: Vec<String>,
    /// Of `offsets` and `gets` those of this call.
    #[serde(skip)]
    pub offset: usize,
    #[serde(skip)]
    pub get: String,
}

impl Question {
    /// Takes the next offset and key.
    pub fn variant(&self, number: usize) -> Self {
        let mut one = self.clone();
        if !self.offsets.is_empty() {
            one.offset = self.offsets[number % self.offsets.len()];
        }
        if !self.gets.is_empty() {
            one.get.clone_from(&self.gets[number % self.gets.len()]);
        }
        one
    }
}

impl Default for Question {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            fields: Vec::new(),
            namespaces: None,
            name_contains: String::new(),
            unindexed: None,
            sort: None,
            limit: 100,
            offsets: Vec::new(),
            facets: Vec::new(),
            walk: 0,
            gets: Vec::new(),
            offset: 0,
            get: String::new(),
        }
    }
}
