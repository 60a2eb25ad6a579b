//! Values that live as long as the process, each of them once.
//!
//! A codec is copied with each column and each batch, and is compared and hashed; so it is
//! `Copy`, and what it says beyond a few numbers (the labels of an enum, a time zone) is lent by
//! an interner. There are as many as the plans that a process sees have distinct ones.

use std::sync::{Mutex, PoisonError};

pub(super) struct Interner<T: 'static>(Mutex<Vec<&'static T>>);

impl<T: PartialEq> Interner<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The one that is equal to the value.
    pub(super) fn get(&self, value: T) -> &'static T {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter().find(|known| ***known == value) {
            return known;
        }
        let new: &'static T = Box::leak(Box::new(value));
        known.push(new);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one() {
        static TEXTS: Interner<String> = Interner::new();
        let first = TEXTS.get("a".into());
        assert!(std::ptr::eq(first, TEXTS.get("a".into())));
        assert_eq!(TEXTS.get("b".into()), "b");
    }
}
