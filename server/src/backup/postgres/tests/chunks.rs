//! What a second backup stores again.

use super::{
    super::{
        Step, Watch, catalog,
        read::{Reading, read_rows},
        snapshot::Sessions,
    },
    support::{Database, Memory},
};

/// Eight ranges of blocks.
const TABLE: &str = "CREATE TABLE public.t (id integer PRIMARY KEY, a text, b text) \
    WITH (autovacuum_enabled = off); \
    INSERT INTO public.t SELECT i, repeat('x', 100), md5(i::text) FROM generate_series(1, 40000) AS i;";

#[tokio::test]
async fn an_unchanged_table_is_stored_once_and_a_changed_row_costs_its_ranges() {
    let database = Database::with(TABLE).await;
    let (first, second, third) = (Memory::default(), Memory::default(), Memory::default());
    let before = database.back_up(&first).await.unwrap();
    let table = &before.content.tables[0];
    let dump = before.content.dump.as_ref().unwrap().chunks.len() as u64;
    assert!(before.chunks - dump >= 6, "{} chunks", before.chunks - dump);
    assert_eq!((table.rows, table.bytes > 5_000_000), (40_000, true));
    database.sql("ANALYZE public.t").await;
    let again = database.back_up(&second).await.unwrap();
    assert_eq!(again.content.tables, before.content.tables);
    let of_dump = usize::try_from(dump).unwrap();
    assert!(second.ids().difference(&first.ids()).count() <= of_dump, "only the dump is new");

    database.sql("UPDATE public.t SET b = 'other' WHERE id = 20000").await;
    let changed = database.back_up(&third).await.unwrap();
    assert_ne!(changed.content.tables[0].digest, table.digest);
    // The old row's range, the new one's, the index of both, and the dump.
    let new = third.ids().difference(&first.ids()).count();
    assert!((2..=3 + of_dump).contains(&new), "{new} chunks are new");
}

#[tokio::test]
async fn an_index_that_holds_every_column_does_not_change_the_order() {
    // Few rows in many blocks: an index of them is read sooner than the table.
    let database = Database::with(
        "CREATE TABLE public.t (a integer) WITH (autovacuum_enabled = off); \
         INSERT INTO public.t SELECT (i * 7919) % 20011 FROM generate_series(1, 20000) AS i; \
         DELETE FROM public.t WHERE a % 100 <> 0",
    )
    .await;
    let before = database.back_up(&Memory::default()).await.unwrap();
    database.sql("CREATE INDEX ON public.t (a)").await;
    database.sql("VACUUM ANALYZE public.t").await;
    let after = database.back_up(&Memory::default()).await.unwrap();
    assert_eq!(before.content.tables[0].index, after.content.tables[0].index);
}

#[tokio::test]
async fn a_server_that_knows_no_ranges_is_read_in_one_go() {
    let database = Database::with(TABLE).await;
    let mut sessions = Sessions::open(&database.postgres).await.unwrap();
    let snapshot = sessions.snapshot().await.unwrap().unwrap();
    let version = catalog::facts(&snapshot.coordinator).await.unwrap().server_version;
    let tables = catalog::tables(&snapshot.coordinator, version).await.unwrap();
    let mut found = Vec::new();
    for blocks in [None, Some(tables[0].blocks)] {
        let reading = [Reading { table: &tables[0].stored, blocks }];
        let watch = Watch { step: Step::Read, progress: &|_| () };
        let store = Memory::default();
        let content = read_rows(&snapshot.readers, &reading, &store, watch).await.unwrap();
        found.push((content[0].tally, content[0].chunks));
    }
    assert_eq!(found[0].0, found[1].0, "the rows are the same");
    assert!(found[0].1 < found[1].1, "chunks end after 2 MiB, and at ranges: {found:?}");
}
