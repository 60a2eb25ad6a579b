//! A pair with a table of each kind, and what is written to it.

use serde_json::Value;
use switchback_tests::{content::refusal, rig::Rig};

/// A table of each kind: with a key, with children, with none, WITHOUT ROWID, and one whose rows
/// nothing names.
pub(crate) const KINDS: &str = "
CREATE TABLE parents (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE children (id INTEGER PRIMARY KEY,
  parent INTEGER REFERENCES parents (id) ON DELETE CASCADE, note TEXT, price DECIMAL(10,2),
  paid BOOLEAN, born DATE, at DATETIME, body BLOB, score REAL);
CREATE TABLE keyless (a TEXT, b INTEGER);
CREATE TABLE prefs (owner TEXT NOT NULL, name TEXT NOT NULL, setting TEXT,
  PRIMARY KEY (owner, name)) WITHOUT ROWID;
CREATE TABLE hidden (rowid TEXT, _rowid_ TEXT, oid TEXT);
INSERT INTO parents VALUES (1, 'a'), (2, 'b'), (7, 'c');
INSERT INTO children VALUES
  (1, 1, 'x', 1.25, 1, '2024-01-31', '2024-01-31 10:00:00', x'00ff', 0.5),
  (2, 2, NULL, 2.5, 0, '2024-02-29', '2024-02-29 23:59:59', NULL, -1e300),
  (3, 2, 'y', 3.75, 1, NULL, NULL, x'', NULL);
INSERT INTO keyless VALUES ('one', 1), ('one', 1), ('two', 2);
INSERT INTO prefs VALUES ('o', 'n', 's'), ('o', 'm', 't');
INSERT INTO hidden VALUES ('r', 's', 't');";

/// What an application writes to them on PostgreSQL.
pub(crate) const WRITTEN: &str = "
INSERT INTO parents (name) VALUES ('new');
DELETE FROM parents WHERE id = 2;
UPDATE parents SET name = 'between' WHERE id = 1;
UPDATE parents SET name = 'a' WHERE id = 7;
UPDATE parents SET name = 'c' WHERE id = 1;
UPDATE children SET id = -10, note = 'moved', price = 9.99, paid = false, born = '2025-12-31',
  at = '2025-12-31 01:02:03', body = '\\xdeadbeef', score = 'infinity' WHERE id = 1;
INSERT INTO keyless VALUES ('three', 3), ('three', 3);
DELETE FROM keyless WHERE a = 'two';
UPDATE prefs SET name = 'q' WHERE name = 'n';
INSERT INTO hidden VALUES ('u', 'v', 'w');";

pub(crate) async fn status(rig: &Rig) -> Value {
    rig.cli(&["status"]).await.events[0].clone()
}

pub(crate) fn sqlite_is_writable(rig: &Rig) -> bool {
    refusal(&rig.source, "INSERT INTO keyless VALUES ('probe', 0)").is_none()
}
