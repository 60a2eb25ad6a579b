//! How far SQLite is behind while PostgreSQL is written to.

use std::{path::Path, time::Instant};

use serde_json::{Value, json};
use switchback_tests::{bench, cluster::Cluster};

use crate::{
    pair::{migrated, until_carried},
    work::{Change, FILLED, Work},
};

/// Rows a second beside which the lag is measured.
const RATES: [f64; 3] = [1_000.0, 5_000.0, 10_000.0];

/// The lag beside each rate, and how long it takes to fall to zero.
pub(crate) async fn lags(cluster: &Cluster, large: &Path) -> Value {
    let rig = migrated(cluster, large).await;
    let (mut found, mut next) = (Vec::new(), FILLED + 1);
    for rate in RATES {
        let changes = &[Change::Insert, Change::Update];
        let work = Work { name: "", changes, rows: 10, rate, commit: "off" };
        let client = rig.database.owner().await;
        bench::settle(&rig.database).await;
        let writer = tokio::spawn(async move { work.run(&client, "public", next).await });
        let (largest, done) = bench::largest_lag(&rig.server, writer).await;
        let ended = Instant::now();
        until_carried(&rig).await;
        let to_zero = ended.elapsed().as_secs_f64();
        next += done.transactions * work.rows;
        found.push(json!({
            "asked_rows_per_s": rate, "rows_per_s": done.per_second() * work.rows as f64,
            "largest_lag_changes": largest, "to_zero_s": to_zero,
        }));
        eprintln!("{}", found[found.len() - 1]);
    }
    rig.finish().await;
    json!(found)
}
