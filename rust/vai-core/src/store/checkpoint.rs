//! Up to where a scope's rows are complete, and from where to where its history has no gap.

use rusqlite::{Connection, params};

use super::apply::Writer;
use crate::db::live::Live;
use crate::error::Result;

/// Checkpoints move to the bookmarks that `FILE.live` has of them ([`crate::db::live::Quiet`]).
pub(super) fn go_further(db: &Connection, live: &Live) -> Result<()> {
    let mut statement = db.prepare(
        "UPDATE scope SET rv = ?3
         WHERE id = ?1 AND rv = ?2 AND published = 1 AND void_reason IS NULL
               AND (SELECT file_id FROM meta WHERE id = 1) = ?4",
    )?;
    for (scope, told) in &live.scopes {
        if let Some(quiet) = &told.quiet {
            statement.execute(params![scope, quiet.from, quiet.to, live.file_id])?;
        }
    }
    Ok(())
}

/// The checkpoint no longer counts; rows stay until the next list replaces them.
pub(super) fn void_checkpoint(writer: &mut Writer<'_>, scope: i64, reason: &str) -> Result<()> {
    let state = writer.state.scope(scope)?;
    state.void_reason = Some(reason.to_owned());
    state.incarnation += 1;
    state.dirty = true;
    end_segment(writer, scope)
}

/// The history of a scope has a gap from here on.
pub(super) fn end_segment(writer: &mut Writer<'_>, scope: i64) -> Result<()> {
    let seq = writer.state.seq;
    let rv = writer.state.scope(scope)?.rv.clone().unwrap_or_default();
    writer
        .db
        .prepare_cached(
            "UPDATE segment SET seq_to = ?2, rv_to = ?3 WHERE scope = ?1 AND seq_to IS NULL",
        )?
        .execute(params![scope, seq, rv])?;
    Ok(())
}

/// The history of a scope is gapless from here on.
pub(super) fn begin_segment(writer: &mut Writer<'_>, scope: i64, rv: &str) -> Result<()> {
    end_segment(writer, scope)?;
    let seq = writer.state.seq;
    writer
        .db
        .prepare_cached(
            "INSERT OR REPLACE INTO segment (scope, seq_from, rv_from) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![scope, seq, rv])?;
    Ok(())
}
