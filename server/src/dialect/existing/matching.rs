//! Which name of the target is which of the source.
//!
//! By the plan's renames, then by the very name, then by the same letters whatever their case,
//! then also whatever their underscores (`userId`, `user_id`). A name that could be two is none.

use std::collections::HashSet;

/// How a name was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It is the very name, or the one that was asked for.
    Exactly,
    /// It has the same letters.
    Loosely,
}

/// A name of the source and its place among the target's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Matched {
    pub(super) target: usize,
    pub(super) how: How,
}

/// One entry a name of the source; `renamed` are names that were asked for, one a name.
pub(super) fn assign(
    sources: &[&str],
    renamed: &[Option<&str>],
    targets: &[&str],
) -> Vec<Option<Matched>> {
    let mut found = vec![None; sources.len()];
    let mut taken = HashSet::new();
    // What was asked for comes before all others.
    for asked in [true, false] {
        for number in (0..sources.len()).filter(|number| renamed[*number].is_some() == asked) {
            let wanted = renamed[number].unwrap_or(sources[number]);
            if let Some(target) = targets.iter().position(|name| *name == wanted)
                && taken.insert(target)
            {
                found[number] = Some(Matched { target, how: How::Exactly });
            }
        }
    }
    for fold in [str::to_lowercase, |name: &str| name.to_lowercase().replace('_', "")] {
        let open: Vec<usize> = (0..sources.len())
            .filter(|number| found[*number].is_none() && renamed[*number].is_none())
            .collect();
        for number in &open {
            let wanted = fold(sources[*number]);
            let alike = |name: &str| fold(name) == wanted;
            let mut among =
                (0..targets.len()).filter(|at| !taken.contains(at) && alike(targets[*at]));
            let rivals = open.iter().filter(|other| alike(sources[**other])).count();
            if let (Some(target), None, 1) = (among.next(), among.next(), rivals) {
                taken.insert(target);
                found[*number] = Some(Matched { target, how: How::Loosely });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(sources: &[&str], targets: &[&str]) -> Vec<Option<usize>> {
        let found = assign(sources, &vec![None; sources.len()], targets);
        found.iter().map(|found| found.map(|found| found.target)).collect()
    }

    #[test]
    fn the_very_name_comes_first() {
        assert_eq!(matched(&["Users", "users"], &["users", "Users"]), [Some(1), Some(0)]);
        assert_eq!(matched(&["Users"], &["users", "USERS"]), [None]);
        assert_eq!(matched(&["userId", "b"], &["user_id", "B"]), [Some(0), Some(1)]);
        assert_eq!(matched(&["aB", "AB"], &["ab"]), [None, None]);
        assert_eq!(matched(&["a"], &[]), [None]);
    }

    #[test]
    fn what_was_asked_for_takes_its_name() {
        let found = assign(&["a", "b"], &[Some("b"), None], &["a", "b"]);
        assert_eq!(found[0], Some(Matched { target: 1, how: How::Exactly }));
        assert_eq!(found[1], None);
        assert_eq!(assign(&["a"], &[Some("x")], &["a"]), [None]);
    }
}
