//! Which databases are taken, and what is done with each.

use switchback_client::v1::{Database, Engine, Operation, OperationKind, OperationState, Phase};

/// What is done with a database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Migrate,
    /// A migration runs already.
    Attach(String),
    /// There is nothing to do, and why.
    Skip(&'static str),
}

/// `newest` is the database's newest operation, where there is one.
pub(super) fn decide(database: &Database, newest: Option<&Operation>) -> Decision {
    if database.active_engine() == Engine::Postgres {
        return Decision::Skip("PostgreSQL is the active engine already");
    }
    let running = newest.filter(|operation| {
        operation.kind() == OperationKind::Migrate && operation.state() == OperationState::Running
    });
    match running {
        Some(operation) => Decision::Attach(operation.operation_id.clone()),
        None if database.phase() == Phase::Following => {
            Decision::Skip("it is in sync and waits for `switchback cutover`")
        }
        None => Decision::Migrate,
    }
}

/// Whether a pattern stands for a name; `*` stands for any letters.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, behind)) = name.split_once(part) else { return false };
        name = behind;
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_not_done_again() {
        let database = |active: Engine, phase: Phase| Database {
            active_engine: active.into(),
            phase: phase.into(),
            ..Default::default()
        };
        let operation = |kind: OperationKind, state: OperationState| Operation {
            operation_id: "op".into(),
            kind: kind.into(),
            state: state.into(),
            ..Default::default()
        };
        use {OperationKind::*, OperationState::*};
        let idle = database(Engine::Sqlite, Phase::Idle);
        assert_eq!(decide(&idle, None), Decision::Migrate);
        assert_eq!(decide(&idle, Some(&operation(Migrate, Failed))), Decision::Migrate);
        assert_eq!(decide(&idle, Some(&operation(Backup, Running))), Decision::Migrate);
        let copying = database(Engine::Sqlite, Phase::Copying);
        let running = operation(Migrate, Running);
        assert_eq!(decide(&copying, Some(&running)), Decision::Attach("op".into()));
        let following = database(Engine::Sqlite, Phase::Following);
        assert!(matches!(decide(&following, None), Decision::Skip(_)));
        assert_eq!(decide(&following, Some(&running)), Decision::Attach("op".into()));
        let migrated = database(Engine::Postgres, Phase::Reversible);
        assert!(matches!(decide(&migrated, Some(&running)), Decision::Skip(_)));
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("shop", "shop", true),
            ("shop", "shops", false),
            ("shop_*", "shop_a", true),
            ("shop_*", "a_shop_", false),
            ("*_a", "shop_a", true),
            ("*a*", "bab", true),
            ("a*a", "a", false),
            ("a*b*c", "a-c-b-c", true),
            ("a*b*c", "a-c-b", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
