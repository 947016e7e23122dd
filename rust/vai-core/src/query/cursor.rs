//! Cursors: a page's place in a list of one moment, and the lists that are still at hand.
//!
//! The token says which file, which moment and which question; whoever has it goes on, also in
//! another process or after a restart, as long as the history reaches back to its moment.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::request::Request;
use crate::error::{Error, Result};

/// Lists at hand, all together: 10 of 100,000 rows.
const HELD_BYTES: usize = 4 * 1024 * 1024;
/// Raised when a list of the same question could be in another order.
const RELEASE: u32 = 2;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    #[serde(rename = "r")]
    release: u32,
    #[serde(rename = "f")]
    pub(super) file: String,
    #[serde(rename = "e")]
    pub(super) epoch: i64,
    #[serde(rename = "s")]
    pub(super) seq: i64,
    /// What ages count from, on every page alike.
    #[serde(rename = "t")]
    pub(super) clock_ms: i64,
    #[serde(rename = "q")]
    pub(super) question: String,
    /// How its sort keys were understood, as a [`digest`].
    #[serde(rename = "o", default)]
    pub(super) order: String,
    /// Of each resource the scopes that its first page was read from.
    #[serde(rename = "c", default)]
    pub(super) scopes: Vec<Vec<i64>>,
    #[serde(rename = "p")]
    pub(super) place: usize,
}

impl Cursor {
    pub(super) fn new(
        file: &str,
        (epoch, seq): (i64, i64),
        clock_ms: i64,
        question: &str,
        place: usize,
    ) -> Self {
        let (file, question) = (file.to_owned(), question.to_owned());
        let (order, scopes) = (String::new(), Vec::new());
        Self { release: RELEASE, file, epoch, seq, clock_ms, question, order, scopes, place }
    }

    /// # Errors
    /// [`Error::Cursor`] for one whose rows were in another order: a field was indexed since, or as
    /// another type.
    pub(super) fn check_order(&self, order: &str) -> Result<()> {
        if self.order == order {
            return Ok(());
        }
        Err(Error::Cursor(
            "a field of this cursor's order has another type by now; begin again without a cursor"
                .into(),
        ))
    }

    /// URL-safe text.
    pub(super) fn encode(&self) -> Result<String> {
        let json = serde_json::to_vec(self).map_err(Error::internal)?;
        Ok(hex(&json))
    }

    /// # Errors
    /// [`Error::Cursor`] for a token that is none, or of another file, question or release.
    pub(super) fn decode(token: &str, file: &str, question: &str) -> Result<Self> {
        let invalid = |why: &str| Error::Cursor(format!("{why}; begin again without a cursor"));
        let cursor: Self = unhex(token)
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or_else(|| invalid("this is no cursor"))?;
        if cursor.release != RELEASE {
            return Err(invalid("this cursor is of another release of vai"));
        }
        if cursor.file != file {
            return Err(invalid("this cursor is of another file"));
        }
        if cursor.question != question {
            return Err(invalid("this cursor is of another query"));
        }
        Ok(cursor)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    /// Longer than any token that was ever given out: one of 5,000 scopes takes 60 KB.
    const LONGEST: usize = 64 * 1024;
    if text.len() > LONGEST || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// What of a request decides which rows there are and in which order.
#[derive(Serialize)]
struct Question<'a> {
    resources: &'a [String],
    namespaces: Option<&'a [String]>,
    labels: &'a str,
    fields: &'a str,
    condition: &'a str,
    access: Option<String>,
    sort: &'a [String],
    steve: &'a str,
}

/// Tells questions apart.
pub(super) fn question(request: &Request) -> Result<String> {
    // Every field is named, so that a new one is not forgotten here.
    let Request {
        resources,
        namespaces,
        label_selector: labels,
        field_selector: fields,
        condition,
        access,
        sort,
        steve,
        limit: _,
        offset: _,
        cursor: _,
        at: _,
        facets: _,
        facet_limit: _,
        distinct: _,
        group: _,
        project: _,
        cells: _,
        explain: _,
    } = request;
    // An access list of thousands of namespaces is most of a request.
    let access = access.as_ref().map(|access| hex(&access.digest()));
    let namespaces = namespaces.as_deref();
    let asked = Question { resources, namespaces, labels, fields, condition, access, sort, steve };
    let json = serde_json::to_vec(&asked).map_err(Error::internal)?;
    Ok(digest(&json))
}

/// Tells texts of any length apart; tokens have to stay short.
pub(super) fn digest(text: &[u8]) -> String {
    hex(&Sha256::digest(text)[..16])
}

/// A whole list of one moment: the objects' ids in order.
pub(super) type List = Arc<[u32]>;

/// Epoch, seq, clock, question, scopes: ages are counted from the clock, which two walks at one seq
/// need not share, nor the scopes that answered.
type Name = (i64, i64, i64, String, Vec<Vec<i64>>);

/// The lists at hand, those used last kept longest.
#[derive(Default)]
pub(crate) struct Lists {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    lists: HashMap<Name, (List, u64)>,
    clock: u64,
    bytes: usize,
}

impl Lists {
    pub(super) fn get(&self, cursor: &Cursor) -> Option<List> {
        let mut held = self.held.lock();
        held.clock += 1;
        let now = held.clock;
        let (list, used) = held.lists.get_mut(&name(cursor))?;
        *used = now;
        Some(Arc::clone(list))
    }

    pub(super) fn put(&self, cursor: &Cursor, list: List) {
        let mut held = self.held.lock();
        held.clock += 1;
        let now = held.clock;
        held.bytes += size_of_val(&*list);
        if let Some((old, _)) = held.lists.insert(name(cursor), (list, now)) {
            held.bytes -= size_of_val(&*old);
        }
        // The last one stays, whatever it takes: its next page is asked for in a moment.
        while held.bytes > HELD_BYTES && held.lists.len() > 1 {
            let oldest = held.lists.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
            if let Some((list, _)) = held.lists.remove(&oldest) {
                held.bytes -= size_of_val(&*list);
            }
        }
    }
}

fn name(cursor: &Cursor) -> Name {
    let Cursor { epoch, seq, clock_ms, question, scopes, .. } = cursor;
    (*epoch, *seq, *clock_ms, question.clone(), scopes.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_counts_for_its_file_and_its_question_alone() {
        let cursor = Cursor::new("f", (1, 2), 3, "q", 100);
        let token = cursor.encode().unwrap();
        assert_eq!(Cursor::decode(&token, "f", "q").unwrap(), cursor);
        for (file, question) in [("g", "q"), ("f", "r")] {
            let error = Cursor::decode(&token, file, question).unwrap_err();
            assert!(matches!(error, Error::Cursor(_)), "{error}");
        }
        for bad in ["", "zz", "7b7", "é", &"00".repeat(40_000), &token[2..]] {
            assert!(matches!(Cursor::decode(bad, "f", "q"), Err(Error::Cursor(_))), "{bad}");
        }
    }

    #[test]
    fn a_question_is_the_same_whatever_page_of_it_is_asked_for() {
        let first = Request { resources: vec!["pods".into()], limit: 5, ..Request::default() };
        let next = Request { cursor: "x".into(), limit: 9, explain: true, ..first.clone() };
        assert_eq!(question(&first).unwrap(), question(&next).unwrap());
        let other = Request { sort: vec!["-age".into()], ..first.clone() };
        assert_ne!(question(&first).unwrap(), question(&other).unwrap());
    }

    #[test]
    fn walks_that_began_at_other_times_have_lists_of_their_own() {
        let lists = Lists::default();
        let (early, late) =
            (Cursor::new("f", (1, 2), 3, "q", 0), Cursor::new("f", (1, 2), 4, "q", 0));
        lists.put(&early, vec![1].into());
        assert!(lists.get(&late).is_none());
        assert!(lists.get(&early).is_some());
    }

    #[test]
    fn the_lists_at_hand_stay_within_their_bytes() {
        let lists = Lists::default();
        let cursors: Vec<_> = (0..6).map(|seq| Cursor::new("f", (1, seq), 0, "q", 0)).collect();
        for cursor in &cursors {
            lists.put(cursor, vec![0; HELD_BYTES / 16].into());
        }
        let there: Vec<bool> = cursors.iter().map(|cursor| lists.get(cursor).is_some()).collect();
        assert_eq!(there, [false, false, true, true, true, true]);
        lists.put(&cursors[0], vec![0; HELD_BYTES].into());
        assert!(lists.get(&cursors[0]).is_some());
        assert!(lists.get(&cursors[5]).is_none());
    }
}
