use switchback_proto::v1::{
    LagEvent, OperationEvent, ProgressEvent, ResultEvent, operation_event::Event,
};

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

async fn begin(store: &ControlStore, id: &str) {
    let new = NewOperation {
        id: id.into(),
        database: "d".into(),
        kind: OperationKind::Backup,
        request_id: String::new(),
        request: "{}".into(),
    };
    store.insert_operation(&new).await.unwrap();
}

/// Every other one is progress, every other one lag, a second apart.
async fn tell(store: &ControlStore, id: &str, numbers: std::ops::Range<u64>) {
    let told = numbers.map(|sequence| {
        let event = if sequence % 2 == 0 {
            Event::Progress(ProgressEvent {
                table: "t".into(),
                rows: sequence,
                ..Default::default()
            })
        } else {
            Event::Lag(LagEvent { lag_changes: sequence, lag_ms: 1 })
        };
        let time = Some(clock::from_millis(i64::try_from(sequence).unwrap() * 1000));
        let (operation_id, event) = (id.to_owned(), Some(event));
        (OperationEvent { operation_id, sequence, time, event }, true)
    });
    store.append_events(id, &told.collect::<Vec<_>>()).await.unwrap();
}

async fn end(store: &ControlStore, id: &str, sequence: u64) {
    let event = Some(Event::Result(ResultEvent::default()));
    let event = &OperationEvent { operation_id: id.into(), sequence, event, ..Default::default() };
    let state = OperationState::Succeeded;
    store.end_operation(id, End { state, error: None, event }).await.unwrap();
}

async fn numbers(store: &ControlStore, id: &str) -> Vec<u64> {
    let events = store.events(id, 0, u32::MAX).await.unwrap();
    events.iter().map(|event| event.sequence).collect()
}

#[tokio::test]
async fn samples_of_an_operation_are_thinned_while_it_runs_and_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let store = ControlStore::open(directory.path()).await.unwrap();
    begin(&store, "a").await;
    tell(&store, "a", 1..3001).await;
    store.thin_events("a").await.unwrap();
    let kept = numbers(&store, "a").await;
    assert!((300..=402).contains(&kept.len()), "{}", kept.len());
    assert_eq!((kept[0], kept[1], kept[kept.len() - 2..].to_vec()), (1, 2, vec![2999, 3000]));

    tell(&store, "a", 3001..6001).await;
    end(&store, "a", 6001).await;
    let kept = numbers(&store, "a").await;
    assert!((300..=403).contains(&kept.len()), "{}", kept.len());
    assert_eq!((kept[0], kept[1], kept[kept.len() - 3..].to_vec()), (1, 2, vec![5999, 6000, 6001]));
    let half = kept.iter().filter(|sequence| **sequence <= 3000).count();
    assert!((120..=280).contains(&half), "{half} of {}", kept.len());
}

#[tokio::test]
async fn only_the_newest_operations_of_a_kind_keep_their_samples() {
    let directory = tempfile::tempdir().unwrap();
    let store = ControlStore::open(directory.path()).await.unwrap();
    let ids: Vec<String> = (10..35).map(|number| number.to_string()).collect();
    for id in &ids {
        begin(&store, id).await;
        tell(&store, id, 1..5).await;
        end(&store, id, 5).await;
    }
    for (index, id) in ids.iter().enumerate() {
        let kept = numbers(&store, id).await;
        let all: &[u64] = if index < 5 { &[5] } else { &[1, 2, 3, 4, 5] };
        assert_eq!(kept, all, "{id}");
    }
}
