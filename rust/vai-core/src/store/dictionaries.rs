//! The dictionaries of a file: known before any body that needs one is read, trained once.

use rusqlite::{Connection, params};

use super::Inner;
use crate::codec::{self, Codec};
use crate::error::Result;
use crate::feed::Item;

impl Inner {
    /// The body of a version, whatever process trained its dictionary.
    pub(crate) fn decode(&self, frame: &[u8]) -> Result<Vec<u8>> {
        self.know_frame(frame)?;
        self.shared.codec.decode(frame)
    }

    /// So that [`Self::codec`] can read it. Not inside a read: see [`Self::decode_in`].
    pub(crate) fn know_frame(&self, frame: &[u8]) -> Result<()> {
        if !self.shared.codec.knows(codec::frame_dictionary(frame)) {
            self.load_dictionaries()?;
        }
        Ok(())
    }

    pub(crate) fn codec(&self) -> &codec::Codec {
        &self.shared.codec
    }

    /// The same inside a read: another connection might never come free, for its holder might wait
    /// for this one. A body's dictionary is in every snapshot that has the body.
    pub(crate) fn decode_in(&self, db: &Connection, frame: &[u8]) -> Result<Vec<u8>> {
        self.know_dictionary(db, frame)?;
        self.shared.codec.decode(frame)
    }

    /// So that [`Self::decode_known`] can be called where there is no connection.
    pub(crate) fn know_dictionary(&self, db: &Connection, frame: &[u8]) -> Result<()> {
        if !self.shared.codec.knows(codec::frame_dictionary(frame)) {
            add_dictionaries(db, &self.shared.codec)?;
        }
        Ok(())
    }

    /// A body whose dictionary is known.
    pub(crate) fn decode_known(&self, frame: &[u8]) -> Result<Vec<u8>> {
        self.shared.codec.decode(frame)
    }

    pub(super) fn load_dictionaries(&self) -> Result<()> {
        self.pool.with(&self.files, None, |db| add_dictionaries(db, &self.shared.codec))
    }

    /// Trains the dictionary of a resource; it is durable before any body that needs it.
    pub(super) fn train(&self, resource: i64, items: &[Item]) -> Result<()> {
        let mut samples = Vec::new();
        let mut sizes = Vec::new();
        for item in items {
            if samples.len() + item.body.len() > codec::MAX_SAMPLE_BYTES {
                break;
            }
            samples.extend_from_slice(&item.body);
            sizes.push(item.body.len());
        }
        // zdict refuses samples that are too much alike; the generic dictionary then does as well.
        let Ok(bytes) = codec::train(&samples, &sizes) else { return Ok(()) };
        let id = codec::dictionary_id(&bytes)?;
        if self.shared.codec.knows(id) {
            return Ok(());
        }
        let stored = bytes.clone();
        self.writer()?.call(move |writer| {
            writer.db.execute(
                "INSERT INTO dictionary (id, resource, bytes) VALUES (?1, ?2, ?3)",
                params![id, resource, stored],
            )?;
            Ok(())
        })?;
        self.shared.codec.add(&bytes)?;
        self.shared.codec.use_for(resource, id);
        Ok(())
    }
}

/// Makes all dictionaries of the file known.
fn add_dictionaries(db: &Connection, codec: &Codec) -> Result<()> {
    let mut statement =
        db.prepare_cached("SELECT resource, bytes FROM dictionary ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(1)?;
        codec.add(&bytes)?;
        codec.use_for(row.get(0)?, codec::dictionary_id(&bytes)?);
    }
    Ok(())
}
