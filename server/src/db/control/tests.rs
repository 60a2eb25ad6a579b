use super::*;

#[tokio::test]
async fn a_control_database_of_a_later_version_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = ControlStore::open(directory.path()).await.unwrap();
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (99, 'later', 1, x'00', 0)";
    sqlx::query(later).execute(&store.pool).await.unwrap();
    store.close().await;
    let file = directory.path().join("control.db");
    let before = std::fs::read(&file).unwrap();
    let error = ControlStore::open(directory.path()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::StateUnusable);
    let known = schema::migrations().iter().count();
    assert_eq!(
        error.message(),
        format!(
            "the control database was written by a newer Switchback (version 99, this server knows \
             {known})"
        )
    );
    assert!(error.hint_text().contains("upgrade the server"));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn a_halt_lasts_until_the_database_moves_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = ControlStore::open(directory.path()).await.unwrap();
    let moved = DatabaseRecord { epoch: 2, phase: Phase::Following, ..Default::default() };
    store.set_database("d", moved).await.unwrap();
    assert_eq!(store.halted_by("d").await.unwrap(), None);
    let why = Finding { message: "m".into(), hint: "h".into(), ..Finding::default() };
    for name in ["d", "other"] {
        store.halt(name, &why).await.unwrap();
    }
    store.close().await;

    let store = ControlStore::open(directory.path()).await.unwrap();
    let halted = DatabaseRecord { phase: Phase::Halted, ..moved };
    assert_eq!(store.database("d").await.unwrap(), halted);
    for name in ["d", "other"] {
        assert_eq!(store.halted_by(name).await.unwrap().as_ref(), Some(&why));
    }
    store.set_database("d", DatabaseRecord { phase: Phase::Idle, ..halted }).await.unwrap();
    assert_eq!(store.halted_by("d").await.unwrap(), None);
    assert_eq!(store.halted_by("unknown").await.unwrap(), None);
}
