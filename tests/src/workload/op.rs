//! What a transaction does, in numbers that stand for keys and values: a line of the journal.

use std::{fmt, str::FromStr};

/// One change. Numbers are of the writer; `schema` makes keys and values of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A new row with a free unique code.
    AddItem { id: i64, code: i64, value: i64 },
    /// New values for a row.
    SetItem { id: i64, value: i64 },
    /// A row goes.
    DropItem { id: i64 },
    /// `INSERT OR REPLACE`: the rows that hold the id and the code go.
    ReplaceItem { id: i64, code: i64, value: i64 },
    /// `UPDATE OR REPLACE`: the row takes the code of another one, which goes.
    SeizeItem { id: i64, code: i64 },
    /// Two rows change their codes: a unique index sees three updates.
    SwapItems { first: i64, first_code: i64, second: i64, second_code: i64 },
    /// The primary key changes.
    MoveItem { id: i64, new: i64 },
    /// A row of the table without a key; there may be others alike.
    AddTag { name: i64, weight: i64 },
    /// One of the rows that are alike goes.
    DropTag { name: i64, weight: i64 },
    /// All rows of a name go: so many.
    ClearTag { name: i64, rows: i64 },
    /// All rows of a name change: so many.
    ShiftTag { name: i64, rows: i64 },
    /// Inserts or updates by a text key, in a table WITHOUT ROWID.
    PutPref { name: i64, value: i64 },
    /// A row of it goes.
    DropPref { name: i64 },
    /// Its key changes.
    MovePref { name: i64, new: i64 },
    /// Inserts or updates by a composite text key.
    PutSpot { region: i64, place: i64, value: i64 },
    /// A row of it goes.
    DropSpot { region: i64, place: i64 },
    /// Its whole key changes.
    MoveSpot { region: i64, place: i64, new_region: i64, new_place: i64 },
    /// A row whose id the engine chooses.
    AddEvent { label: i64, value: i64 },
    /// New values for it.
    SetEvent { label: i64, value: i64 },
    /// It goes; its id must not come again.
    DropEvent { label: i64 },
    /// A parent with some children, whose ids follow each other.
    AddAuthor { id: i64, value: i64, book: i64, books: i64 },
    /// `INSERT OR REPLACE` of a parent: its children go by the cascade.
    ReplaceAuthor { id: i64, value: i64 },
    /// The parent's key changes, and its children follow by the cascade.
    MoveAuthor { id: i64, new: i64 },
    /// A parent goes, and its children by the cascade.
    DropAuthor { id: i64 },
    /// A child goes to another parent.
    MoveBook { id: i64, author: i64 },
    /// A child goes.
    DropBook { id: i64 },
}

/// Names the variants once, with their fields in the order in which they are written.
macro_rules! words {
    ($($word:literal => $variant:ident { $($field:ident),* };)*) => {
        impl fmt::Display for Op {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant { $($field),* } => {
                        f.write_str($word)?;
                        $(write!(f, " {}", $field)?;)*
                        Ok(())
                    })*
                }
            }
        }

        impl FromStr for Op {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let refused = || format!("{text:?} is no change");
                let mut words = text.split(' ');
                let word = words.next().ok_or_else(refused)?;
                let mut number = || words.next()?.parse::<i64>().ok();
                match word {
                    $($word => Ok(Self::$variant {
                        $($field: number().ok_or_else(refused)?),*
                    }),)*
                    _ => Err(refused()),
                }
            }
        }
    };
}

words! {
    "item.add" => AddItem { id, code, value };
    "item.set" => SetItem { id, value };
    "item.drop" => DropItem { id };
    "item.replace" => ReplaceItem { id, code, value };
    "item.seize" => SeizeItem { id, code };
    "item.swap" => SwapItems { first, first_code, second, second_code };
    "item.move" => MoveItem { id, new };
    "tag.add" => AddTag { name, weight };
    "tag.drop" => DropTag { name, weight };
    "tag.clear" => ClearTag { name, rows };
    "tag.shift" => ShiftTag { name, rows };
    "pref.put" => PutPref { name, value };
    "pref.drop" => DropPref { name };
    "pref.move" => MovePref { name, new };
    "spot.put" => PutSpot { region, place, value };
    "spot.drop" => DropSpot { region, place };
    "spot.move" => MoveSpot { region, place, new_region, new_place };
    "event.add" => AddEvent { label, value };
    "event.set" => SetEvent { label, value };
    "event.drop" => DropEvent { label };
    "author.add" => AddAuthor { id, value, book, books };
    "author.replace" => ReplaceAuthor { id, value };
    "author.move" => MoveAuthor { id, new };
    "author.drop" => DropAuthor { id };
    "book.move" => MoveBook { id, author };
    "book.drop" => DropBook { id };
}

/// The changes of a transaction on one line.
pub fn line(ops: &[Op]) -> String {
    let words: Vec<String> = ops.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// Reads what [`line`] wrote.
pub fn parse(text: &str) -> Result<Vec<Op>, String> {
    text.split("; ").map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back() {
        let ops = [
            Op::SwapItems { first: 1, first_code: 2, second: 3, second_code: 4 },
            Op::DropTag { name: 5, weight: -6 },
            Op::AddAuthor { id: 7, value: 8, book: 9, books: 2 },
        ];
        assert_eq!(line(&ops), "item.swap 1 2 3 4; tag.drop 5 -6; author.add 7 8 9 2");
        assert_eq!(parse(&line(&ops)).as_deref(), Ok(&ops[..]));
        assert!(parse("item.add 1 2").is_err() && parse("item.burn 1").is_err());
    }
}
