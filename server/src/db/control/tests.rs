use super::*;

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
