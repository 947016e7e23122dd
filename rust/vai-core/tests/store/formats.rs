//! Files that older releases wrote.

use std::io::Read;
use std::path::Path;

use vai_core::Error;
use vai_core::query::Request;
use vai_core::store::{Mode, Store};

use crate::file::{assert_sound, copy_as_killed, options, reader};

/// 150 pods in two namespaces, 10 of them changed and 10 deleted since, one added; of the fields of
/// users one is being built and one being dropped; 3 Secrets without values. Format 1.
const FORMAT_1: &[u8] = include_bytes!("format1.gz");

fn old_file(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(FORMAT_1).read_to_end(&mut bytes).unwrap();
    std::fs::write(path, &bytes).unwrap();
    bytes
}

fn found(store: &Store, labels: &str, fields: &str, condition: &str) -> usize {
    let request = Request {
        resources: vec!["pods".into()],
        label_selector: labels.into(),
        field_selector: fields.into(),
        condition: condition.into(),
        sort: vec!["-restarts".into(), "requests.cpu".into()],
        ..Request::default()
    };
    store.query(&request).unwrap().len()
}

fn assert_answers(store: &Store) {
    assert_eq!(found(store, "", "", ""), 141);
    assert_eq!(found(store, "app=app-3", "", ""), 5);
    assert_eq!(found(store, "", "status.phase=Failed", ""), 10);
    assert_eq!(found(store, "", "spec.nodeName=node-2", ""), 28);
    assert_eq!(found(store, "", "", "restarts = 5 and requests.cpu > 100m"), 9);
    assert_eq!(found(store, "", "", "spec.containers[*].name = b"), 141);
    assert_eq!(found(store, "tier=30", "", ""), 1);
    assert_eq!(found(store, "", "", "ip < 10.0.0.8"), 4);
}

#[test]
fn a_file_of_format_1_keeps_its_rows_and_checkpoints_and_answers_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    old_file(&path);
    let store = Store::open(&path, Mode::Writer, options()).unwrap();
    store.pause_builds(true).unwrap();
    assert_eq!(store.position().unwrap(), (1, 174));
    assert_eq!(store.checkpoint(1).unwrap(), (Some("221".into()), false));
    assert_eq!(store.checkpoint(2).unwrap(), (Some("200".into()), false));
    assert_sound(&store);
    assert_answers(&store);
    // What was being built is built, and what was being dropped is gone.
    let names = |store: &Store| {
        let fields = store.fields(Some("pods")).unwrap();
        fields.into_iter().find(|field| field.name == "spec.containers[*].name").unwrap().ready
    };
    while store.build_step(20).unwrap() {
        assert_sound(&store);
    }
    assert!(names(&store));
    assert_answers(&store);
    // As after a kill at this moment.
    let killed = folder.path().join("killed.db");
    copy_as_killed(&path, &killed);
    store.close();
    for path in [path, killed] {
        let store = Store::open(&path, Mode::Writer, options()).unwrap();
        assert_sound(&store);
        assert_answers(&reader(&path));
    }
}

#[test]
fn a_reader_of_an_older_format_is_told_what_to_do_and_leaves_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let before = old_file(&path);
    match Store::open(&path, Mode::Reader, options()) {
        Err(Error::ReadOnly(message)) => {
            assert!(message.contains("format 1") && message.contains("vai sync"), "{message}");
        }
        other => panic!("{:?}", other.map(drop)),
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_conversion_that_does_not_come_to_its_end_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    old_file(&path);
    let change = |sql: &str| {
        #[expect(clippy::disallowed_methods, reason = "nobody else has it open")]
        let db = rusqlite::Connection::open(&path).unwrap();
        assert_eq!(db.execute(sql, []).unwrap(), 1);
        let count = "SELECT (SELECT count(*) FROM ord) + (SELECT count(*) FROM term)";
        let rows: i64 = db.query_row(count, [], |row| row.get(0)).unwrap();
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        (rows, version)
    };
    // No release writes such a value; it is the last one in its order.
    let damaged = change("INSERT INTO ord (field, value, object) VALUES (33, 1.5, 149)");
    let opened = Store::open(&path, Mode::Writer, options());
    assert!(matches!(opened, Err(Error::Corrupt(_))), "{:?}", opened.map(drop));
    let left = change("DELETE FROM ord WHERE value = 1.5");
    assert_eq!(left, (damaged.0 - 1, 1));
    let store = Store::open(&path, Mode::Writer, options()).unwrap();
    assert_sound(&store);
    assert_answers(&store);
}
