//! The file format: one fixed schema for every resource, so that a new index is rows, never DDL.
//!
//! `docs/architecture.md` explains the tables; every statement that writes them is in `store`.

/// "vai1" in ASCII: what `file(1)` and [`super::open`] know a cluster file by.
pub(super) const APPLICATION_ID: i32 = 0x7661_6931;
/// Raised with every change of the format; a newer file is refused untouched.
pub(crate) const SCHEMA_VERSION: i32 = 2;

/// Settings that only count before the first table exists.
pub(super) const CREATION_PRAGMAS: &str = "
PRAGMA page_size = 4096;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA encoding = 'UTF-8';
";

pub(super) const SCHEMA: &str = "
-- One row: where the history stands, and whose copy the file is. `clean` is 0 while a writer has it
-- open: a writer that finds 0 starts a new epoch. `purging` is 1 from the deletion of Secrets' values
-- until the file is written anew and the WAL emptied, which still have them. `catalogue` is raised
-- in every transaction that changes a field's definition or makes one ready: what readers remember
-- of the fields holds while it stands.
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    file_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    clean INTEGER NOT NULL,
    purging INTEGER NOT NULL DEFAULT 0,
    next_id INTEGER NOT NULL,
    catalogue INTEGER NOT NULL DEFAULT 0,
    cluster TEXT
) STRICT;

-- Ended epochs: a position (epoch, seq) with a seq beyond `last_seq` never was durable.
CREATE TABLE epoch (epoch INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL) STRICT;

-- What discovery says; `rank` is its order of preference. Up to `floor` the history is not whole:
-- a scope was forgotten then, with its history. `edition` counts the changes of its fields.
CREATE TABLE resource (
    id INTEGER PRIMARY KEY,
    grp TEXT NOT NULL,
    plural TEXT NOT NULL,
    served INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    floor INTEGER NOT NULL DEFAULT 0,
    edition INTEGER NOT NULL DEFAULT 0,
    info TEXT NOT NULL,
    UNIQUE (grp, plural)
) STRICT;

-- What is kept, how, and up to where. `rv` is the checkpoint: it moves in the transaction of the
-- rows that it covers. `identity` makes a scope unique. What superseded or deleted something at or
-- below `floor` is pruned with what it superseded. The floor stays 0 at the end of the first load:
-- its rows are adds to whoever follows, and the bodies themselves, so the pruner steps over them.
-- AUTOINCREMENT: an id that streams, FILE.live or positions still know is never another scope's.
CREATE TABLE scope (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    identity TEXT NOT NULL UNIQUE,
    resource INTEGER NOT NULL REFERENCES resource (id),
    namespace TEXT,
    label_selector TEXT NOT NULL,
    field_selector TEXT NOT NULL,
    redaction INTEGER NOT NULL,
    published INTEGER NOT NULL DEFAULT 0,
    rv TEXT,
    void_reason TEXT,
    incarnation INTEGER NOT NULL DEFAULT 0,
    floor INTEGER NOT NULL DEFAULT 0,
    objects INTEGER NOT NULL DEFAULT 0,
    body_bytes INTEGER NOT NULL DEFAULT 0,
    history_bytes INTEGER NOT NULL DEFAULT 0,
    proven_ms INTEGER
) STRICT;

-- key = namespace || '/' || name, BINARY collation: etcd's order, the default on every surface.
-- `derived` is a hash of labels, fields and owners: where it did not change, their rows stand.
-- `edition` says of which fields the object has rows: of all whose `since` is not later.
CREATE TABLE object (
    id INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL,
    resource INTEGER NOT NULL,
    key TEXT NOT NULL,
    uid TEXT NOT NULL,
    rv TEXT NOT NULL,
    created INTEGER,
    seq INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    derived INTEGER NOT NULL,
    edition INTEGER NOT NULL,
    size INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX object_scope_key ON object (scope, key);

-- The change log is the body store. `prev` is the version that this one superseded; it goes when
-- the floor passes this one. A delete carries the last body.
CREATE TABLE version (
    seq INTEGER PRIMARY KEY,
    object INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    op INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    prev INTEGER,
    time_ms INTEGER NOT NULL,
    rv TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX version_scope_seq ON version (scope, seq);

-- Ids of deleted objects, with what history still has to say of them; an id is used again, lowest
-- first, once freed_seq is below the floor of its scope.
CREATE TABLE free (
    id INTEGER PRIMARY KEY,
    freed_seq INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    key TEXT NOT NULL,
    uid TEXT NOT NULL
) STRICT;

-- What postings are of: a label key (kind 0) or a field (kind 1) of a resource, whose `definition` is
-- JSON, there since an edition of the resource. A definition that changes is a new field; the old one
-- is renamed and becomes kind 2 until its values are deleted, in small steps.
-- AUTOINCREMENT: what readers remember of a field is never of another one.
CREATE TABLE field (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    resource INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    since INTEGER NOT NULL DEFAULT 0,
    source TEXT,
    definition TEXT,
    UNIQUE (resource, kind, name)
) STRICT;
-- Of fields of kind 1. Until it is ready, objects up to `position` have their values; of those above,
-- those that were written since have them too (`object.edition`). Label keys are always complete.
-- Of fields of kind 2 the values of the blocks up to `position` are gone.
CREATE TABLE field_state (
    field INTEGER PRIMARY KEY,
    ready INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT;
-- Values that do not parse as the type of their field: they count as missing, and are reported.
CREATE TABLE invalid (
    field INTEGER NOT NULL,
    object INTEGER NOT NULL,
    found INTEGER NOT NULL,
    PRIMARY KEY (field, object)
) STRICT, WITHOUT ROWID;

-- Labels and fields: who has which value, for the objects of a block (those whose ids differ in
-- the last six bits alone). `id` = block << 32 | field, so that what changes with an object lies
-- together; `store/posting.rs` reads and writes the rest.
CREATE TABLE posting (id INTEGER PRIMARY KEY, rows BLOB NOT NULL) STRICT;

-- By a hash of the owner's uid; the object's body says whether it is that one, and what it is.
CREATE TABLE owner (
    uid_hash INTEGER NOT NULL,
    object INTEGER NOT NULL,
    PRIMARY KEY (uid_hash, object)
) STRICT, WITHOUT ROWID;

-- Where the history of a scope is gapless. `seq_to` and `rv_to` are null for the running one.
CREATE TABLE segment (
    scope INTEGER NOT NULL,
    seq_from INTEGER NOT NULL,
    rv_from TEXT NOT NULL,
    seq_to INTEGER,
    rv_to TEXT,
    PRIMARY KEY (scope, seq_from)
) STRICT, WITHOUT ROWID;

-- Changed objects of a list that is not yet published; invisible, dropped by whoever finds it.
CREATE TABLE stage (
    id INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL,
    key TEXT NOT NULL,
    row BLOB NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (scope, key)
) STRICT;

CREATE TABLE dictionary (
    id INTEGER PRIMARY KEY,
    resource INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE document (name TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE cells (object INTEGER PRIMARY KEY, cells BLOB NOT NULL) STRICT;
";
