//! What reverse capture costs a writer without rest on PostgreSQL.

use std::path::Path;

use serde_json::{Value, json};
use switchback_tests::{
    bench::{Spread, setting},
    cluster::Cluster,
    rig::Rig,
};

use crate::{
    pair::{migrated, until_carried},
    work::{Change, FILLED, Work},
};

const KINDS: [Work; 5] = [
    Work::without_rest("insert_1_row", &[Change::Insert], 1, "on"),
    Work::without_rest("insert_100_rows", &[Change::Insert], 100, "on"),
    Work::without_rest("update_1_row", &[Change::Update], 1, "on"),
    Work::without_rest("insert_1_guarded_row", &[Change::InsertGuarded], 1, "on"),
    Work::without_rest("insert_1_row_asynchronous_commit", &[Change::Insert], 1, "off"),
];

/// What a writer without rest reaches on PostgreSQL: in a table without triggers, in the migrated
/// one while no server runs, and in another one while its server carries everything back.
pub(crate) async fn capture(cluster: &Cluster, small: &Path) -> Value {
    let (mut alone, mut followed) =
        (migrated(cluster, small).await, migrated(cluster, small).await);
    alone.server.terminate().await;
    followed.server.terminate().await;
    let triggers = make_plain(&alone).await;
    let mut result = json!({ "triggers": triggers });
    let mut figures = vec![[const { Vec::new() }; 3]; KINDS.len()];
    let mut next = FILLED + 1;
    for _ in 0..setting("SWITCHBACK_BENCH_TURNS", 3).max(1) {
        // The three stand next to one another: what else the machine does changes with time.
        for (work, [plain, captured, carried]) in KINDS.iter().zip(&mut figures) {
            plain.push(work.speed(&alone, "plain", &mut next).await);
            captured.push(work.speed(&alone, "public", &mut next).await);
            followed.server.launch().await;
            wake(&followed).await;
            carried.push(work.speed(&followed, "public", &mut next).await);
            until_carried(&followed).await;
            followed.server.terminate().await;
            eprintln!("{}: {plain:.0?} {captured:.0?} {carried:.0?}", work.name);
        }
    }
    for (work, speeds) in KINDS.iter().zip(figures) {
        let base = Spread::of(speeds[0].clone());
        let names = ["plain", "captured", "carried_back"];
        for (name, speeds) in names.into_iter().zip(speeds) {
            let speed = Spread::of(speeds.clone());
            result[work.name][name] = json!({
                "tx_per_s": speed.p50, "ratio": speed.p50 / base.p50,
                // Another load on the disk makes a turn slower and none faster.
                "best_tx_per_s": speed.max, "ratio_of_best": speed.max / base.max,
                "turns": speeds,
            });
        }
    }
    alone.finish().await;
    followed.finish().await;
    result
}

/// Makes tables that differ from the migrated ones in their triggers alone; says which those are.
async fn make_plain(rig: &Rig) -> Vec<String> {
    let client = rig.database.owner().await;
    client.batch_execute("CREATE SCHEMA plain").await.expect("a schema");
    for table in ["changing", "guarded"] {
        let sql = format!(
            "CREATE TABLE plain.{table} (LIKE public.{table} INCLUDING ALL);
             INSERT INTO plain.{table} SELECT * FROM public.{table}"
        );
        client.batch_execute(&sql).await.expect("a table without triggers");
        let sql = format!("VACUUM (ANALYZE) plain.{table}, public.{table}");
        client.batch_execute(&sql).await.expect("vacuumed");
    }
    let sql = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgenabled <> 'D'
                 AND tgrelid IN ('public.changing'::regclass, 'public.guarded'::regclass)
               ORDER BY tgrelid, tgname";
    let triggers = client.query(sql, &[]).await.expect("the triggers");
    triggers.iter().map(|row| row.get(0)).collect()
}

/// Waits until a server that was just started carries back: it takes what is written now.
async fn wake(rig: &Rig) {
    let sql = "UPDATE public.changing SET n = n WHERE id = 1";
    rig.database.owner().await.batch_execute(sql).await.expect("a change");
    until_carried(rig).await;
}
