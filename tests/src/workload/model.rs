//! What the rows of one writer must be, computed from its changes alone.

use std::collections::BTreeMap;

use super::{
    cell::{Cell, Row},
    op::Op,
    schema,
};

/// How far a tag's weight is shifted.
pub(super) const SHIFT: i64 = 1000;

/// The rows of one writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub(super) writer: i64,
    /// Every number that was used for a key or a value is below this one.
    pub(super) next: i64,
    /// Code and value by id.
    pub(super) items: BTreeMap<i64, (i64, i64)>,
    /// The id that holds a code.
    pub(super) codes: BTreeMap<i64, i64>,
    /// How many rows are alike, by name and weight.
    pub(super) tags: BTreeMap<(i64, i64), i64>,
    pub(super) prefs: BTreeMap<i64, i64>,
    pub(super) spots: BTreeMap<(i64, i64), i64>,
    pub(super) events: BTreeMap<i64, i64>,
    /// How many events were added.
    pub(super) births: usize,
    pub(super) authors: BTreeMap<i64, i64>,
    /// The author by the book.
    pub(super) books: BTreeMap<i64, i64>,
}

impl Model {
    /// The rows that there are before the first transaction.
    pub fn start(writer: i64, rows: u32) -> Self {
        let rows = i64::from(rows);
        Self {
            writer,
            next: rows + 1,
            items: (1..=rows).map(|k| (k, (k, k))).collect(),
            codes: (1..=rows).map(|k| (k, k)).collect(),
            tags: (1..=rows).fold(BTreeMap::new(), |mut tags, k| {
                *tags.entry((k % 50, k % 3)).or_default() += 1;
                tags
            }),
            prefs: (1..=rows).map(|k| (k, k)).collect(),
            spots: (1..=rows).map(|k| ((k % 10, k), k)).collect(),
            events: (1..=rows).map(|k| (k, k)).collect(),
            births: 0,
            authors: (1..=rows).map(|k| (k, k)).collect(),
            books: (1..=rows).map(|k| (k, 1 + k / 2)).collect(),
        }
    }

    /// Makes a change.
    pub fn apply(&mut self, op: &Op) {
        match *op {
            Op::AddItem { id, code, value } => self.put_item(id, code, value),
            Op::SetItem { id, value } => {
                self.use_number(value);
                self.items.entry(id).and_modify(|item| item.1 = value);
            }
            Op::DropItem { id } => self.drop_item(id),
            Op::ReplaceItem { id, code, value } => {
                self.drop_item(id);
                self.drop_holder(code);
                self.put_item(id, code, value);
            }
            Op::SeizeItem { id, code } => {
                self.drop_holder(code);
                self.set_code(id, code);
            }
            Op::SwapItems { first, first_code, second, second_code } => {
                self.set_code(first, second_code);
                self.set_code(second, first_code);
            }
            Op::MoveItem { id, new } => {
                if let Some((code, value)) = self.items.remove(&id) {
                    self.put_item(new, code, value);
                }
            }
            Op::AddAuthor { .. }
            | Op::ReplaceAuthor { .. }
            | Op::MoveAuthor { .. }
            | Op::DropAuthor { .. }
            | Op::MoveBook { .. }
            | Op::DropBook { .. } => self.apply_to_authors(op),
            _ => self.apply_to_others(op),
        }
    }

    fn apply_to_others(&mut self, op: &Op) {
        match *op {
            Op::AddTag { name, weight } => *self.tags.entry((name, weight)).or_default() += 1,
            Op::DropTag { name, weight } => {
                self.tags.entry((name, weight)).and_modify(|rows| *rows -= 1);
                self.tags.retain(|_, rows| *rows > 0);
            }
            Op::ClearTag { name, .. } => self.tags.retain(|(known, _), _| *known != name),
            Op::ShiftTag { name, .. } => {
                let shifted = |((known, weight), rows): ((i64, i64), i64)| {
                    ((known, if known == name { weight + SHIFT } else { weight }), rows)
                };
                self.tags = std::mem::take(&mut self.tags).into_iter().map(shifted).collect();
            }
            Op::PutPref { name, value } => put(&mut self.prefs, name, value),
            Op::DropPref { name } => drop(self.prefs.remove(&name)),
            Op::MovePref { name, new } => rename(&mut self.prefs, &name, new),
            Op::PutSpot { region, place, value } => put(&mut self.spots, (region, place), value),
            Op::DropSpot { region, place } => drop(self.spots.remove(&(region, place))),
            Op::MoveSpot { region, place, new_region, new_place } => {
                rename(&mut self.spots, &(region, place), (new_region, new_place));
                self.use_number(new_place);
            }
            Op::AddEvent { label, value } | Op::SetEvent { label, value } => {
                put(&mut self.events, label, value);
                self.births += usize::from(matches!(op, Op::AddEvent { .. }));
            }
            Op::DropEvent { label } => drop(self.events.remove(&label)),
            _ => {}
        }
        if let Op::PutPref { name: key, value }
        | Op::PutSpot { place: key, value, .. }
        | Op::AddEvent { label: key, value }
        | Op::SetEvent { label: key, value }
        | Op::MovePref { name: value, new: key } = *op
        {
            self.use_number(key.max(value));
        }
    }

    fn apply_to_authors(&mut self, op: &Op) {
        match *op {
            Op::AddAuthor { id, value, book, books } => {
                put(&mut self.authors, id, value);
                self.books.extend((book..book + books).map(|book| (book, id)));
                self.use_number(id.max(value).max(book + books));
            }
            Op::ReplaceAuthor { id, value } => {
                self.books.retain(|_, author| *author != id);
                put(&mut self.authors, id, value);
                self.use_number(value);
            }
            Op::MoveAuthor { id, new } => {
                rename(&mut self.authors, &id, new);
                self.books.values_mut().filter(|a| **a == id).for_each(|a| *a = new);
                self.use_number(new);
            }
            Op::DropAuthor { id } => {
                self.authors.remove(&id);
                self.books.retain(|_, author| *author != id);
            }
            Op::MoveBook { id, author } => put(&mut self.books, id, author),
            Op::DropBook { id } => drop(self.books.remove(&id)),
            _ => {}
        }
    }

    fn put_item(&mut self, id: i64, code: i64, value: i64) {
        self.items.insert(id, (code, value));
        self.codes.insert(code, id);
        self.use_number(id.max(code).max(value));
    }

    fn drop_item(&mut self, id: i64) {
        if let Some((code, _)) = self.items.remove(&id) {
            self.codes.remove(&code);
        }
    }

    fn drop_holder(&mut self, code: i64) {
        if let Some(id) = self.codes.remove(&code) {
            self.items.remove(&id);
        }
    }

    /// Gives a row a code, and frees the one that it had unless another row has it by now.
    fn set_code(&mut self, id: i64, code: i64) {
        let Some(item) = self.items.get_mut(&id) else { return };
        if self.codes.get(&item.0) == Some(&id) {
            self.codes.remove(&item.0);
        }
        item.0 = code;
        self.codes.insert(code, id);
    }

    fn use_number(&mut self, number: i64) {
        self.next = self.next.max(number + 1);
    }

    /// The rows of a table ([`schema::TABLES`]) as both engines hold them.
    pub fn rows(&self, table: usize) -> Vec<Row> {
        let writer = self.writer;
        let start = || vec![Cell::Integer(writer)];
        let row = |cells: &[Cell]| [&start()[..], cells].concat();
        match table {
            0 => (self.items.iter())
                .map(|(id, (code, value))| {
                    let key = [schema::id(writer, *id), schema::code(writer, *code)];
                    row(&[&key[..], &schema::values(*value)].concat())
                })
                .collect(),
            1 => (self.tags.iter())
                .flat_map(|((name, weight), rows)| {
                    let tag = row(&[schema::name(*name), Cell::Integer(*weight)]);
                    std::iter::repeat_n(tag, usize::try_from(*rows).unwrap_or(0))
                })
                .collect(),
            2 => (self.prefs.iter())
                .map(|(name, value)| {
                    row(&[schema::owner(writer), schema::name(*name), schema::note(*value)])
                })
                .collect(),
            3 => (self.spots.iter())
                .map(|((region, place), value)| {
                    let region = schema::region(writer, *region);
                    row(&[region, schema::name(*place), schema::height(*value)])
                })
                .collect(),
            4 => (self.events.iter())
                .map(|(label, value)| row(&[schema::label(*label), schema::note(*value)]))
                .collect(),
            5 => (self.authors.iter())
                .map(|(id, value)| row(&[schema::id(writer, *id), schema::note(*value)]))
                .collect(),
            _ => (self.books.iter())
                .map(|(id, author)| {
                    let keys = [schema::id(writer, *id), schema::id(writer, *author)];
                    row(&[&keys[..], &[schema::title(*id)]].concat())
                })
                .collect(),
        }
    }
}

fn put<K: Ord>(map: &mut BTreeMap<K, i64>, key: K, value: i64) {
    map.insert(key, value);
}

fn rename<K: Ord>(map: &mut BTreeMap<K, i64>, key: &K, new: K) {
    if let Some(value) = map.remove(key) {
        map.insert(new, value);
    }
}
