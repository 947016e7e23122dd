//! How fresh a scope is right now, told from what was recorded: the table of states in
//! `docs/architecture.md`.

use crate::db::live::{Live, Reported, ScopeLive};
use crate::db::lock::Holder;
use serde::Serialize;

/// As `vai.types.State`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The stream is open and proven within the liveness limit.
    Live,
    /// Complete as of its age, not yet proven past the present.
    CatchingUp,
    /// The proof is older than the limit, or the writer is gone or hangs.
    Stale,
    /// The server is not heard.
    Offline,
    /// 401 or 403 after credentials were refreshed.
    Forbidden,
    /// The server serves the resource no longer; the rows are deleted.
    Gone,
    /// The first list is under way: what is there is not complete.
    Listing,
    /// Nothing was synced yet.
    Never,
}

/// As `vai.types.Freshness`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Freshness {
    /// In one word.
    pub state: State,
    /// Whether every object of the scope is there, as of the age.
    pub complete: bool,
    /// Seconds since the scope was last proven complete; `None` where it never was.
    pub age_s: Option<f64>,
    /// Seconds since the server last answered about it; `None` in another boot.
    pub contact_age_s: Option<f64>,
    /// Seconds since the reported state was entered.
    pub since_s: f64,
    /// Why it is not live, or how else it is kept current than by a watch; in words for a person.
    pub reason: String,
}

/// What the file says of a scope.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    pub(super) published: bool,
    pub(super) void_reason: Option<String>,
    pub(super) proven_ms: Option<i64>,
}

/// The moment of the question.
#[derive(Clone, Debug)]
pub(super) struct Now<'a> {
    pub(super) boottime_s: f64,
    pub(super) unix_ms: i64,
    pub(super) boot: &'a str,
    pub(super) holder: Holder,
    pub(super) limit_s: f64,
}

/// A reflector that waits out a backoff tells so more often than this; see `Settings` in Python.
const SILENCE_FACTOR: f64 = 2.0;

pub(super) fn judge(
    scope: i64,
    recorded: &Recorded,
    live: Option<&Live>,
    now: &Now<'_>,
) -> Freshness {
    let same_boot = live.filter(|live| live.boot == now.boot);
    let entry = same_boot.and_then(|live| live.scopes.get(&scope));
    let since = |moment: f64| (now.boottime_s - moment).max(0.0);
    let age_s = recorded
        .published
        .then(|| entry.and_then(|entry| entry.proof).map(since).or_else(|| wall_age(recorded, now)))
        .flatten();
    let (state, reason) = state(recorded, entry, live, now, age_s);
    Freshness {
        state,
        complete: recorded.published,
        age_s,
        contact_age_s: entry.and_then(|entry| entry.contact).map(since),
        since_s: entry.map_or(0.0, |entry| since(entry.since)),
        reason,
    }
}

/// Across a reboot only the wall clock remains; one that was set back gives no negative age.
fn wall_age(recorded: &Recorded, now: &Now<'_>) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of an age are far below 2^52")]
    recorded.proven_ms.map(|at| ((now.unix_ms - at).max(0) as f64) / 1e3)
}

fn state(
    recorded: &Recorded,
    entry: Option<&ScopeLive>,
    live: Option<&Live>,
    now: &Now<'_>,
    age_s: Option<f64>,
) -> (State, String) {
    if now.holder == Holder::Nobody {
        let why = live.map_or_else(
            || "no process writes this file".to_owned(),
            |live| format!("process {} no longer writes this file", live.pid),
        );
        return absent_writer(recorded, entry, &why);
    }
    if matches!(now.holder, Holder::Starting(_)) {
        return absent_writer(recorded, entry, "the writer has just started");
    }
    let Some(entry) = entry else {
        return absent_writer(recorded, None, "the running writer does not keep this scope");
    };
    let silence = (now.boottime_s - entry.touched).max(0.0);
    if silence > now.limit_s * SILENCE_FACTOR {
        return absent_writer(
            recorded,
            Some(entry),
            &format!("the writer has told nothing for {silence:.0}s"),
        );
    }
    if !recorded.published {
        return match entry.state {
            Reported::Listing => (State::Listing, entry.reason.clone()),
            Reported::Forbidden => (State::Forbidden, entry.reason.clone()),
            Reported::Gone => (State::Gone, entry.reason.clone()),
            _ => (State::Never, entry.reason.clone()),
        };
    }
    match entry.state {
        Reported::Live => match age_s {
            Some(age) if age <= now.limit_s => (State::Live, entry.reason.clone()),
            Some(age) if entry.reason.is_empty() => {
                (State::Stale, format!("not proven for {age:.0}s"))
            }
            Some(age) => (State::Stale, format!("not proven for {age:.0}s, {}", entry.reason)),
            None => (State::CatchingUp, entry.reason.clone()),
        },
        // The first list was published this moment and its proof follows.
        Reported::Listing if age_s.is_none() => (State::CatchingUp, String::new()),
        // A relist under way: what is there is the last good state.
        Reported::Listing => (State::Stale, or(&entry.reason, "listing again")),
        Reported::CatchingUp => (State::CatchingUp, entry.reason.clone()),
        Reported::Stale => {
            (State::Stale, or(&entry.reason, recorded.void_reason.as_deref().unwrap_or_default()))
        }
        Reported::Offline => (State::Offline, entry.reason.clone()),
        Reported::Forbidden => (State::Forbidden, entry.reason.clone()),
        Reported::Gone => (State::Gone, entry.reason.clone()),
    }
}

fn absent_writer(recorded: &Recorded, entry: Option<&ScopeLive>, why: &str) -> (State, String) {
    match entry {
        // Gone for good: rows were deleted, no writer is needed for that to stay true.
        Some(entry) if entry.state == Reported::Gone => (State::Gone, entry.reason.clone()),
        Some(entry) if !recorded.published => {
            let reason = if entry.reason.is_empty() { why } else { &entry.reason };
            (State::Never, reason.to_owned())
        }
        _ if !recorded.published => (State::Never, why.to_owned()),
        _ => (State::Stale, why.to_owned()),
    }
}

fn or(text: &str, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn now(holder: Holder) -> Now<'static> {
        Now { boottime_s: 100.0, unix_ms: 1_000_000, boot: "b", holder, limit_s: 30.0 }
    }

    fn live(state: Reported, touched: f64, proof: f64) -> Live {
        let entry = ScopeLive {
            state,
            reason: "refused".into(),
            since: 90.0,
            touched,
            contact: Some(proof),
            proof: Some(proof),
            checked: None,
            check_note: String::new(),
            quiet: None,
        };
        let scopes = BTreeMap::from([(1, entry)]);
        Live { pid: 5, boot: "b".into(), scopes, ..Live::default() }
    }

    fn judged(live: &Live, holder: Holder) -> (State, Option<f64>) {
        let recorded = Recorded { published: true, ..Recorded::default() };
        let found = judge(1, &recorded, Some(live), &now(holder));
        (found.state, found.age_s)
    }

    #[test]
    fn live_needs_a_recent_proof_and_a_living_writer() {
        let fresh = live(Reported::Live, 99.0, 95.0);
        assert_eq!(judged(&fresh, Holder::Other(Some(5))), (State::Live, Some(5.0)));
        assert_eq!(judged(&fresh, Holder::Nobody), (State::Stale, Some(5.0)));
        assert_eq!(judged(&fresh, Holder::Starting(Some(6))), (State::Stale, Some(5.0)));
        let old = live(Reported::Live, 99.0, 60.0);
        assert_eq!(judged(&old, Holder::ThisProcess), (State::Stale, Some(40.0)));
        let hung = live(Reported::Live, 30.0, 95.0);
        assert_eq!(judged(&hung, Holder::Other(None)).0, State::Stale);
    }

    #[test]
    fn how_a_scope_is_kept_current_is_said_as_long_as_it_is_live() {
        let mut polled = live(Reported::Live, 99.0, 95.0);
        let recorded = Recorded { published: true, ..Recorded::default() };
        polled.scopes.get_mut(&1).unwrap().reason = "polled every 24s".into();
        let found = judge(1, &recorded, Some(&polled), &now(Holder::ThisProcess));
        assert_eq!((found.state, found.reason.as_str()), (State::Live, "polled every 24s"));
        polled.scopes.get_mut(&1).unwrap().proof = Some(60.0);
        let found = judge(1, &recorded, Some(&polled), &now(Holder::ThisProcess));
        assert_eq!(found.reason, "not proven for 40s, polled every 24s");
    }

    #[test]
    fn offline_and_relisting_keep_their_age() {
        let offline = live(Reported::Offline, 99.0, 40.0);
        assert_eq!(judged(&offline, Holder::ThisProcess), (State::Offline, Some(60.0)));
        let listing = live(Reported::Listing, 99.0, 40.0);
        assert_eq!(judged(&listing, Holder::ThisProcess), (State::Stale, Some(60.0)));
    }

    #[test]
    fn a_scope_never_published_is_never_complete() {
        let recorded = Recorded::default();
        let listing = live(Reported::Listing, 99.0, 40.0);
        let found = judge(1, &recorded, Some(&listing), &now(Holder::ThisProcess));
        assert_eq!((found.state, found.complete, found.age_s), (State::Listing, false, None));
        let found = judge(1, &recorded, None, &now(Holder::Nobody));
        assert_eq!(found.state, State::Never);
    }

    #[test]
    fn after_a_reboot_the_wall_clock_tells_the_age() {
        let recorded =
            Recorded { published: true, proven_ms: Some(940_000), ..Recorded::default() };
        let mut other = live(Reported::Live, 99.0, 95.0);
        other.boot = "another".into();
        let found = judge(1, &recorded, Some(&other), &now(Holder::Nobody));
        assert_eq!((found.state, found.age_s), (State::Stale, Some(60.0)));
    }
}
