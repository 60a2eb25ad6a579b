//! What a writer does next: the same for the same seed, writer, number and rows.

use std::collections::BTreeMap;

use super::{model::Model, op::Op};

/// A small generator of pseudorandom numbers (SplitMix64: Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers of a transaction of a writer.
    pub fn of(seed: u64, writer: i64, n: u64) -> Self {
        let mut random = Self(seed);
        for part in [writer.unsigned_abs(), n] {
            random.0 = random.next() ^ part;
        }
        random
    }

    /// Numbers of a seed.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below `end`; 0 where there is none.
    pub fn below(&mut self, end: i64) -> i64 {
        let number = self.next().checked_rem(end.max(0).unsigned_abs()).unwrap_or(0);
        i64::try_from(number).unwrap_or(0)
    }
}

/// Chooses this many changes, and makes them in the model.
pub fn transaction(random: &mut Random, model: &mut Model, size: u32) -> Vec<Op> {
    let mut ops = Vec::new();
    for _ in 0..size.max(1) {
        let op = choose(random, model);
        model.apply(&op);
        ops.push(op);
    }
    ops
}

fn choose(random: &mut Random, model: &Model) -> Op {
    let op = match random.below(28) {
        number @ 0..=8 => item(random, model, number),
        number @ 9..=13 => tag(random, model, number),
        number @ 14..=16 => pref(random, model, number),
        number @ 17..=19 => spot(random, model, number),
        number @ 20..=22 => event(random, model, number),
        number => author(random, model, number),
    };
    // A table of the writer may have become empty.
    op.unwrap_or_else(|| add_item(random, model))
}

/// One of the keys that there are.
fn any<K: Ord + Copy, V>(map: &BTreeMap<K, V>, probe: K) -> Option<K> {
    map.range(probe..).next().or_else(|| map.iter().next()).map(|(key, _)| *key)
}

fn any_number<V>(random: &mut Random, model: &Model, map: &BTreeMap<i64, V>) -> Option<i64> {
    any(map, random.below(model.next))
}

/// A key that is free: often one that a deleted row had.
fn free<V>(random: &mut Random, model: &Model, map: &BTreeMap<i64, V>) -> i64 {
    let used = random.below(model.next);
    let again = random.below(2) == 0 && used > 0 && !map.contains_key(&used);
    if again { used } else { model.next }
}

/// A value that is new, so that a change shows.
fn value(random: &mut Random, model: &Model) -> i64 {
    model.next + random.below(20)
}

fn add_item(random: &mut Random, model: &Model) -> Op {
    let (id, code) = (free(random, model, &model.items), free(random, model, &model.codes));
    Op::AddItem { id, code, value: value(random, model) }
}

fn item(random: &mut Random, model: &Model, number: i64) -> Option<Op> {
    let id = any_number(random, model, &model.items);
    let value = value(random, model);
    Some(match number {
        0 | 1 => add_item(random, model),
        2 => Op::SetItem { id: id?, value },
        3 => Op::DropItem { id: id? },
        4 => {
            let code = any_number(random, model, &model.codes)?;
            Op::ReplaceItem { id: free(random, model, &model.items), code, value }
        }
        5 => {
            // Both the id and the code are held, mostly by two rows.
            let code = any_number(random, model, &model.codes)?;
            Op::ReplaceItem { id: id?, code, value }
        }
        6 => {
            let code = any_number(random, model, &model.codes)?;
            let id = any(&model.items, model.codes[&code] + 1)?;
            (model.codes[&code] != id).then_some(Op::SeizeItem { id, code })?
        }
        7 => {
            let first = id?;
            let second = any(&model.items, first + 1).filter(|second| *second != first)?;
            let code = |id| model.items.get(&id).map(|item| item.0);
            let (first_code, second_code) = (code(first)?, code(second)?);
            Op::SwapItems { first, first_code, second, second_code }
        }
        _ => Op::MoveItem { id: id?, new: free(random, model, &model.items) },
    })
}

fn tag(random: &mut Random, model: &Model, number: i64) -> Option<Op> {
    let known = any(&model.tags, (random.below(50), 0));
    let rows = |name| (model.tags.range((name, 0)..(name + 1, 0))).map(|(_, rows)| *rows).sum();
    Some(match number {
        9 | 10 => Op::AddTag { name: random.below(50), weight: random.below(3) },
        11 => known.map(|(name, weight)| Op::DropTag { name, weight })?,
        12 => known.map(|(name, _)| Op::ClearTag { name, rows: rows(name) })?,
        _ => known.map(|(name, _)| Op::ShiftTag { name, rows: rows(name) })?,
    })
}

fn pref(random: &mut Random, model: &Model, number: i64) -> Option<Op> {
    let known = any_number(random, model, &model.prefs);
    let value = value(random, model);
    Some(match number {
        14 => {
            let new = free(random, model, &model.prefs);
            let name = if random.below(2) == 0 { known? } else { new };
            Op::PutPref { name, value }
        }
        15 => Op::DropPref { name: known? },
        _ => Op::MovePref { name: known?, new: free(random, model, &model.prefs) },
    })
}

fn spot(random: &mut Random, model: &Model, number: i64) -> Option<Op> {
    let known = any(&model.spots, (random.below(10), random.below(model.next)));
    Some(match number {
        17 => {
            let (region, place) = match known {
                Some(known) if random.below(2) == 0 => known,
                _ => (random.below(10), model.next),
            };
            Op::PutSpot { region, place, value: value(random, model) }
        }
        18 => known.map(|(region, place)| Op::DropSpot { region, place })?,
        _ => {
            let (region, place) = known?;
            let new_region = (region + 1) % 10;
            // The same place in the next region, where it is free.
            let taken = model.spots.contains_key(&(new_region, place));
            let new_place = if taken { model.next } else { place };
            Op::MoveSpot { region, place, new_region, new_place }
        }
    })
}

fn event(random: &mut Random, model: &Model, number: i64) -> Option<Op> {
    let value = value(random, model);
    let known = any_number(random, model, &model.events);
    Some(match number {
        20 => Op::AddEvent { label: free(random, model, &model.events), value },
        21 => Op::SetEvent { label: known?, value },
        // The newest: its id is the one that a table without AUTOINCREMENT would give again.
        _ => Op::DropEvent { label: *model.events.keys().next_back()? },
    })
}

fn author(random: &mut Random, model: &Model, number: i64) -> Option<Op> {
    let id = any_number(random, model, &model.authors);
    let book = any_number(random, model, &model.books);
    let value = value(random, model);
    Some(match number {
        23 => {
            let id = free(random, model, &model.authors);
            Op::AddAuthor { id, value, book: model.next + 1, books: random.below(4) }
        }
        24 => Op::ReplaceAuthor { id: id?, value },
        25 => Op::MoveAuthor { id: id?, new: free(random, model, &model.authors) },
        26 => Op::DropAuthor { id: id? },
        _ if random.below(2) == 0 => Op::MoveBook { id: book?, author: id? },
        _ => Op::DropBook { id: book? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_transactions() {
        let made = |seed| {
            let mut model = Model::start(1, 10);
            let ops: Vec<_> = (1..200)
                .flat_map(|n| transaction(&mut Random::of(seed, 1, n), &mut model, 3))
                .collect();
            (ops, model)
        };
        assert_eq!(made(7), made(7));
        assert_ne!(made(7).0, made(8).0);
    }

    #[test]
    fn every_kind_of_change_is_made() {
        let mut model = Model::start(1, 20);
        let mut kinds = std::collections::BTreeSet::new();
        for n in 1..1000 {
            for op in transaction(&mut Random::of(1, 1, n), &mut model, 2) {
                kinds.insert(op.to_string().split(' ').next().map(str::to_owned));
            }
        }
        assert_eq!(kinds.len(), 26, "{kinds:?}");
    }
}
