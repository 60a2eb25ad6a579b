//! Schemas and the statements that are thrown at them.

use super::model::Rng;

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) schema: &'static str,
    /// `{i}` is a small integer, `{t}` a text, `{v}` any value.
    pub(super) statements: &'static [&'static str],
    /// REPLACE removes rows here that only a BEFORE trigger sees.
    pub(super) replaces: bool,
}

impl Case {
    pub(super) fn statement(&self, rng: &mut Rng) -> String {
        let one = |rng: &mut Rng| fill(self.statements[rng.below(self.statements.len())], rng);
        let (first, second, third) = (one(rng), one(rng), one(rng));
        match rng.below(10) {
            0 => format!(
                "BEGIN; {first}; SAVEPOINT s; {second}; {third}; ROLLBACK TO s; RELEASE s; COMMIT"
            ),
            1 => format!("SAVEPOINT s; {first}; {second}; RELEASE s"),
            2 => format!("BEGIN; {first}; ROLLBACK; {second}"),
            _ => first,
        }
    }
}

pub(super) fn fill(template: &str, rng: &mut Rng) -> String {
    const TEXTS: [&str; 6] = ["'A'", "'a'", "'b'", "'B'", "'é'", "''"];
    const VALUES: [&str; 9] = ["1", "1.0", "'1'", "x'31'", "NULL", "'A'", "'a'", "2.5", "2"];
    let mut sql = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        sql += &rest[..at];
        sql += &match &rest[at..at + 3] {
            "{i}" => (rng.below(6) + 1).to_string(),
            "{t}" => TEXTS[rng.below(TEXTS.len())].to_owned(),
            _ => VALUES[rng.below(VALUES.len())].to_owned(),
        };
        rest = &rest[at + 3..];
    }
    sql + rest
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "rowid alias and secondary UNIQUE",
        schema: "CREATE TABLE t(id INTEGER PRIMARY KEY, u INT UNIQUE, n TEXT)",
        statements: &[
            "INSERT INTO t VALUES ({i}, {i}, {t})",
            "INSERT OR REPLACE INTO t VALUES ({i}, {i}, {t})",
            "INSERT OR REPLACE INTO t(u, n) VALUES ({i}, {t}), ({i}, {t})",
            "INSERT OR IGNORE INTO t VALUES ({i}, {i}, {t}), ({i}, {i}, {t})",
            "INSERT OR FAIL INTO t VALUES ({i}, {i}, {t}), ({i}, {i}, {t})",
            "INSERT INTO t VALUES ({i}, {i}, {t}) ON CONFLICT(u) DO UPDATE SET n = {t}, u = {i}",
            "INSERT INTO t VALUES ({i}, {i}, {t}) ON CONFLICT(id) DO NOTHING",
            "UPDATE OR REPLACE t SET u = {i} WHERE id > {i}",
            "UPDATE OR REPLACE t SET id = {i} WHERE u = {i}",
            "UPDATE OR IGNORE t SET u = u + 1",
            "UPDATE OR FAIL t SET id = id + 1 WHERE id > {i}",
            "UPDATE t SET u = -u; UPDATE t SET u = 7 + u",
            "DELETE FROM t WHERE u = {i}",
            "DELETE FROM t WHERE id > {i}",
        ],
        replaces: true,
    },
    Case {
        name: "NOCASE key",
        schema: "CREATE TABLE t(k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, n)",
        statements: &[
            "INSERT OR REPLACE INTO t VALUES ({t}, {v})",
            "INSERT INTO t VALUES ({t}, {v}) ON CONFLICT DO UPDATE SET k = excluded.k",
            "UPDATE OR REPLACE t SET k = {t} WHERE k = {t}",
            "UPDATE t SET k = lower(k)",
            "UPDATE t SET k = upper(k)",
            "DELETE FROM t WHERE k = {t}",
        ],
        replaces: true,
    },
    Case {
        name: "untyped key WITHOUT ROWID",
        schema: "CREATE TABLE t(k PRIMARY KEY, u UNIQUE) WITHOUT ROWID",
        statements: &[
            "INSERT OR REPLACE INTO t VALUES ({v}, {v})",
            "INSERT OR IGNORE INTO t VALUES ({v}, {v})",
            "UPDATE OR REPLACE t SET k = {v} WHERE k = {v}",
            "UPDATE OR REPLACE t SET u = {v} WHERE k = {v}",
            "UPDATE OR IGNORE t SET k = k + 0.0 WHERE typeof(k) = 'integer'",
            "UPDATE OR IGNORE t SET k = CAST(k AS INTEGER) WHERE typeof(k) = 'real'",
            "DELETE FROM t WHERE k = {v}",
        ],
        replaces: true,
    },
    Case {
        name: "composite key with a real column",
        schema: "CREATE TABLE t(a REAL NOT NULL, b TEXT NOT NULL COLLATE NOCASE, c, \
                 PRIMARY KEY(b, a), UNIQUE(c, a));",
        statements: &[
            "INSERT OR REPLACE INTO t VALUES ({i}, {t}, {v})",
            "INSERT OR FAIL INTO t VALUES ({i}, {t}, {v})",
            "UPDATE OR REPLACE t SET a = {i}, b = {t} WHERE a = {i}",
            "UPDATE OR REPLACE t SET c = {v}",
            "DELETE FROM t WHERE b = {t}",
        ],
        replaces: true,
    },
    Case {
        name: "no key",
        schema: "CREATE TABLE t(a, b TEXT COLLATE NOCASE UNIQUE)",
        statements: &[
            "INSERT INTO t VALUES ({v}, {t})",
            "REPLACE INTO t VALUES ({v}, {t})",
            "REPLACE INTO t(rowid, a, b) VALUES ({i}, {v}, {t})",
            "UPDATE OR REPLACE t SET rowid = {i} WHERE rowid = {i}",
            "UPDATE OR REPLACE t SET b = {t}, rowid = rowid + 3 WHERE a = {v}",
            "UPDATE OR IGNORE t SET rowid = rowid + 1",
            "DELETE FROM t WHERE a = {v}",
        ],
        replaces: true,
    },
    Case {
        name: "key with NULLs",
        schema: "CREATE TABLE t(rowid, k TEXT PRIMARY KEY, n)",
        statements: &[
            "INSERT INTO t VALUES ({i}, NULL, {v})",
            "REPLACE INTO t VALUES ({i}, {v}, {v})",
            "UPDATE OR REPLACE t SET k = {v} WHERE n = {v}",
            "UPDATE OR REPLACE t SET k = {t}, _rowid_ = {i} WHERE rowid = {i}",
            "DELETE FROM t WHERE k IS {v}",
        ],
        replaces: true,
    },
    Case {
        name: "hidden rowid",
        schema: "CREATE TABLE t(rowid, _rowid_ UNIQUE, oid)",
        statements: &[
            "INSERT INTO t VALUES ({i}, {v}, {v})",
            "REPLACE INTO t VALUES ({i}, {v}, {v})",
            "UPDATE OR REPLACE t SET _rowid_ = {v} WHERE oid = {v}",
            "DELETE FROM t WHERE oid = {v}",
        ],
        replaces: false,
    },
    Case {
        name: "expression and partial indexes",
        schema: "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT, s INT, y INT);
            CREATE UNIQUE INDEX e ON t(lower(x), s);
            CREATE UNIQUE INDEX p ON t(y) WHERE s > 2 AND x <> 'b';
            CREATE UNIQUE INDEX q ON t(x COLLATE NOCASE DESC) WHERE t.y = 3",
        statements: &[
            "REPLACE INTO t VALUES ({i}, {t}, {i}, {i})",
            "REPLACE INTO t(x, s, y) VALUES ({t}, {i}, {i}), ({t}, {i}, {i})",
            "UPDATE OR REPLACE t SET x = {t} WHERE s = {i}",
            "UPDATE OR REPLACE t SET s = {i} WHERE y = {i}",
            "UPDATE OR REPLACE t SET y = {i}, id = {i} WHERE id = {i}",
            "DELETE FROM t WHERE s = {i}",
        ],
        replaces: true,
    },
    Case {
        name: "defaults that replace NULL, and generated columns",
        schema: "CREATE TABLE t(id INTEGER PRIMARY KEY, d TEXT NOT NULL DEFAULT \"x\" UNIQUE, \
                 x INT NOT NULL DEFAULT '2', g AS (h || 'g') UNIQUE, \
                 h TEXT AS (lower(z) || x) STORED, z TEXT NOT NULL DEFAULT 'A');
            CREATE UNIQUE INDEX e ON t(x + 1, z COLLATE NOCASE)",
        statements: &[
            "INSERT OR REPLACE INTO t(d, x, z) VALUES (NULL, {i}, {t})",
            "INSERT OR REPLACE INTO t(d, x, z) VALUES ({t} || {i}, NULL, {t})",
            "INSERT OR REPLACE INTO t(d, x, z) VALUES ({t} || {i}, {i}, NULL)",
            "INSERT OR REPLACE INTO t(d, x, z) VALUES ({t} || {i}, NULL, NULL)",
            "UPDATE OR REPLACE t SET d = NULL WHERE id = {i}",
            "UPDATE OR REPLACE t SET z = {t} WHERE x = {i}",
            "UPDATE OR REPLACE t SET x = NULL WHERE x = {i}",
            "DELETE FROM t WHERE x = {i}",
        ],
        replaces: true,
    },
    Case {
        name: "cascades, and replacement by the constraint itself",
        schema: "CREATE TABLE p(id INTEGER PRIMARY KEY, u INT UNIQUE ON CONFLICT REPLACE);
            CREATE TABLE c(a INT, b INT REFERENCES p(u) ON DELETE CASCADE ON UPDATE CASCADE,
                PRIMARY KEY(a, b)) WITHOUT ROWID;
            CREATE TABLE s(id INTEGER PRIMARY KEY,
                up INT REFERENCES s ON DELETE CASCADE, q INT REFERENCES p ON DELETE SET NULL)",
        statements: &[
            "INSERT INTO p VALUES ({i}, {i})",
            "REPLACE INTO p VALUES ({i}, {i})",
            "UPDATE p SET u = {i} WHERE id = {i}",
            "UPDATE OR REPLACE p SET id = {i} WHERE id = {i}",
            "DELETE FROM p WHERE id = {i}",
            "REPLACE INTO c VALUES ({i}, {i})",
            "INSERT INTO s VALUES ({i}, NULL, {i})",
            "REPLACE INTO s VALUES ({i}, {i}, NULL)",
            "DELETE FROM s WHERE id = {i}",
        ],
        replaces: true,
    },
    Case {
        name: "triggers of the application",
        schema: "CREATE TABLE t(id INTEGER PRIMARY KEY, u INT UNIQUE);
            CREATE TABLE w(k INT NOT NULL PRIMARY KEY, v INT UNIQUE) WITHOUT ROWID;
            CREATE TRIGGER a AFTER INSERT ON t BEGIN
                INSERT OR REPLACE INTO w VALUES (NEW.id, NEW.u);
                SELECT RAISE(IGNORE) WHERE NEW.u = 3; SELECT RAISE(FAIL, 'x') WHERE NEW.u = 4; END;
            CREATE TRIGGER b AFTER UPDATE ON t BEGIN
                UPDATE OR REPLACE w SET v = NEW.u WHERE k = OLD.id;
                SELECT RAISE(IGNORE) WHERE NEW.u = 2; END;
            CREATE TRIGGER c AFTER DELETE ON t BEGIN
                DELETE FROM w WHERE v = OLD.u; SELECT RAISE(IGNORE); END;
            CREATE TRIGGER d BEFORE INSERT ON t WHEN NEW.u = 5 BEGIN
                DELETE FROM t WHERE u = 1; SELECT RAISE(IGNORE) WHERE NEW.id = 2; END;
            CREATE TRIGGER e AFTER UPDATE ON w BEGIN UPDATE t SET u = NULL WHERE id = NEW.k; END",
        statements: &[
            "INSERT INTO t VALUES ({i}, {i}), ({i}, {i})",
            "REPLACE INTO t VALUES ({i}, {i})",
            "REPLACE INTO t(u) VALUES ({i})",
            "UPDATE OR REPLACE t SET u = {i} WHERE id > {i}",
            "UPDATE OR REPLACE t SET id = {i} WHERE id = {i}",
            "UPDATE w SET v = 7 WHERE k = {i}",
            "DELETE FROM t WHERE id = {i}",
        ],
        replaces: true,
    },
];
