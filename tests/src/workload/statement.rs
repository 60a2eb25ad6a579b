//! The SQL of a change, in both dialects: an application that knows them both writes this.

use super::{
    cell::Cell,
    model::SHIFT,
    op::Op,
    schema::{
        TABLES, code, height, id, insertion, label, name, note, owner, region, title, values,
    },
};

/// Which SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite's.
    Sqlite,
    /// PostgreSQL's.
    Postgres,
}

/// A statement with parameters (`$1`), and how many rows it must touch. Another number means that
/// the rows are not those of the model.
#[derive(Debug)]
pub struct Statement {
    /// The text.
    pub sql: String,
    /// Its parameters.
    pub parameters: Vec<Cell>,
    /// Rows; `None` where it does not matter.
    pub rows: Option<u64>,
}

/// Statements of one change of a writer.
struct Statements {
    writer: i64,
    dialect: Dialect,
    made: Vec<Statement>,
}

/// Every statement of a transaction, its entry in the ledger first.
pub fn of_transaction(writer: i64, n: u64, ops: &[Op], dialect: Dialect) -> Vec<Statement> {
    let mut statements = Statements { writer, dialect, made: Vec::new() };
    let n = Cell::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let entry = "INSERT INTO ledger (writer, n) VALUES ($1, $2)";
    statements.one(entry, vec![Cell::Integer(writer), n]);
    for op in ops {
        statements.add(op);
    }
    statements.made
}

impl Statements {
    fn push(&mut self, sql: &str, parameters: Vec<Cell>, rows: Option<u64>) {
        let sql = match self.dialect {
            Dialect::Sqlite => sql.replace('$', "?"),
            Dialect::Postgres => sql.to_owned(),
        };
        self.made.push(Statement { sql, parameters, rows });
    }

    fn one(&mut self, sql: &str, parameters: Vec<Cell>) {
        self.push(sql, parameters, Some(1));
    }

    fn insert(&mut self, table: usize, cells: &[Cell]) {
        let row = [&[Cell::Integer(self.writer)], cells].concat();
        self.one(&insertion(&TABLES[table]), row);
    }

    /// `INSERT OR REPLACE`; in PostgreSQL `held` deletes what stands in the way.
    fn replace(&mut self, table: usize, cells: &[Cell], held: (&str, Vec<Cell>)) {
        let row = [&[Cell::Integer(self.writer)], cells].concat();
        let sql = insertion(&TABLES[table]);
        match self.dialect {
            Dialect::Sqlite => self.one(&sql.replacen("INSERT", "INSERT OR REPLACE", 1), row),
            Dialect::Postgres => {
                self.push(held.0, held.1, None);
                self.one(&sql, row);
            }
        }
    }

    fn add(&mut self, op: &Op) {
        match op {
            Op::AddItem { .. }
            | Op::SetItem { .. }
            | Op::DropItem { .. }
            | Op::ReplaceItem { .. }
            | Op::SeizeItem { .. }
            | Op::SwapItems { .. }
            | Op::MoveItem { .. } => self.item(op),
            Op::AddTag { .. } | Op::DropTag { .. } | Op::ClearTag { .. } | Op::ShiftTag { .. } => {
                self.tag(op);
            }
            Op::AddAuthor { .. }
            | Op::ReplaceAuthor { .. }
            | Op::MoveAuthor { .. }
            | Op::DropAuthor { .. }
            | Op::MoveBook { .. }
            | Op::DropBook { .. } => self.author(op),
            _ => self.text_keyed(op),
        }
    }

    fn item(&mut self, op: &Op) {
        let w = self.writer;
        let set_code = "UPDATE items SET code = $1 WHERE id = $2";
        let cells = |row: i64, item_code: i64, value: i64| {
            [&[id(w, row), code(w, item_code)][..], &values(value)].concat()
        };
        match *op {
            Op::AddItem { id, code, value } => self.insert(0, &cells(id, code, value)),
            Op::SetItem { id: row, value } => self.one(
                "UPDATE items SET amount = $1, note = $2, score = $3, body = $4 WHERE id = $5",
                [&values(value)[..], &[id(w, row)]].concat(),
            ),
            Op::DropItem { id: row } => {
                self.one("DELETE FROM items WHERE id = $1", vec![id(w, row)]);
            }
            Op::ReplaceItem { id: row, code: held, value } => {
                let sql = "DELETE FROM items WHERE id = $1 OR code = $2";
                let parameters = vec![id(w, row), code(w, held)];
                self.replace(0, &cells(row, held, value), (sql, parameters));
            }
            Op::SeizeItem { id: row, code: held } => {
                let parameters = vec![code(w, held), id(w, row)];
                if self.dialect == Dialect::Sqlite {
                    self.one(&set_code.replacen("UPDATE", "UPDATE OR REPLACE", 1), parameters);
                } else {
                    self.one("DELETE FROM items WHERE code = $1", vec![code(w, held)]);
                    self.one(set_code, parameters);
                }
            }
            Op::SwapItems { first, first_code, second, second_code } => {
                let between = Cell::text(format!("w{w}-swap"));
                for (code, row) in
                    [(between, first), (code(w, first_code), second), (code(w, second_code), first)]
                {
                    self.one(set_code, vec![code, id(w, row)]);
                }
            }
            Op::MoveItem { id: row, new } => {
                self.one("UPDATE items SET id = $1 WHERE id = $2", vec![id(w, new), id(w, row)]);
            }
            _ => {}
        }
    }

    fn tag(&mut self, op: &Op) {
        let mine = |number| vec![Cell::Integer(self.writer), name(number)];
        let count = |rows: i64| Some(rows.unsigned_abs());
        match *op {
            Op::AddTag { name: tag, weight } => {
                self.insert(1, &[name(tag), Cell::Integer(weight)]);
            }
            Op::DropTag { name: tag, weight } => {
                // Of rows that are alike one goes: only the engine can tell which.
                let address = if self.dialect == Dialect::Sqlite { "rowid" } else { "ctid" };
                let sql = format!(
                    "DELETE FROM tags WHERE {address} = (SELECT {address} FROM tags \
                     WHERE writer = $1 AND name = $2 AND weight = $3 LIMIT 1)"
                );
                let parameters = [mine(tag), vec![Cell::Integer(weight)]].concat();
                self.one(&sql, parameters);
            }
            Op::ClearTag { name: tag, rows } => {
                let sql = "DELETE FROM tags WHERE writer = $1 AND name = $2";
                self.push(sql, mine(tag), count(rows));
            }
            Op::ShiftTag { name: tag, rows } => {
                let sql = format!(
                    "UPDATE tags SET weight = weight + {SHIFT} WHERE writer = $1 AND name = $2"
                );
                self.push(&sql, mine(tag), count(rows));
            }
            _ => {}
        }
    }

    fn text_keyed(&mut self, op: &Op) {
        let w = self.writer;
        let upsert = |table: usize, key: &str, value: &str| {
            let insert = insertion(&TABLES[table]);
            format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {value} = excluded.{value}")
        };
        match *op {
            Op::PutPref { name: key, value } => self.one(
                &upsert(2, "owner, name", "setting"),
                vec![Cell::Integer(w), owner(w), name(key), note(value)],
            ),
            Op::DropPref { name: key } => self
                .one("DELETE FROM prefs WHERE owner = $1 AND name = $2", vec![owner(w), name(key)]),
            Op::MovePref { name: key, new } => self.one(
                "UPDATE prefs SET name = $1 WHERE owner = $2 AND name = $3",
                vec![name(new), owner(w), name(key)],
            ),
            Op::PutSpot { region: part, place, value } => self.one(
                &upsert(3, "region, place", "height"),
                vec![Cell::Integer(w), region(w, part), name(place), height(value)],
            ),
            Op::DropSpot { region: part, place } => self.one(
                "DELETE FROM spots WHERE region = $1 AND place = $2",
                vec![region(w, part), name(place)],
            ),
            Op::MoveSpot { region: part, place, new_region, new_place } => self.one(
                "UPDATE spots SET region = $1, place = $2 WHERE region = $3 AND place = $4",
                vec![region(w, new_region), name(new_place), region(w, part), name(place)],
            ),
            Op::AddEvent { label: key, value } => {
                self.insert(4, &[label(key), note(value)]);
                let sql = "INSERT INTO births (writer, event) \
                           SELECT writer, id FROM events WHERE writer = $1 AND label = $2";
                self.one(sql, vec![Cell::Integer(w), label(key)]);
            }
            Op::SetEvent { label: key, value } => self.one(
                "UPDATE events SET detail = $1 WHERE writer = $2 AND label = $3",
                vec![note(value), Cell::Integer(w), label(key)],
            ),
            Op::DropEvent { label: key } => self.one(
                "DELETE FROM events WHERE writer = $1 AND label = $2",
                vec![Cell::Integer(w), label(key)],
            ),
            _ => {}
        }
    }

    fn author(&mut self, op: &Op) {
        let w = self.writer;
        match *op {
            Op::AddAuthor { id: row, value, book, books } => {
                self.insert(5, &[id(w, row), note(value)]);
                for book in book..book + books {
                    self.insert(6, &[id(w, book), id(w, row), title(book)]);
                }
            }
            Op::ReplaceAuthor { id: row, value } => {
                let held = ("DELETE FROM authors WHERE id = $1", vec![id(w, row)]);
                self.replace(5, &[id(w, row), note(value)], held);
            }
            Op::MoveAuthor { id: row, new } => {
                self.one("UPDATE authors SET id = $1 WHERE id = $2", vec![id(w, new), id(w, row)]);
            }
            Op::DropAuthor { id: row } => {
                self.one("DELETE FROM authors WHERE id = $1", vec![id(w, row)]);
            }
            Op::MoveBook { id: row, author } => self
                .one("UPDATE books SET author = $1 WHERE id = $2", vec![id(w, author), id(w, row)]),
            Op::DropBook { id: row } => {
                self.one("DELETE FROM books WHERE id = $1", vec![id(w, row)]);
            }
            _ => {}
        }
    }
}
