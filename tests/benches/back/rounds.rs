//! The pauses: a migration, then back and forth again and again while four processes write.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchback_tests::{
    bench::{self, Spread, WRITERS},
    cluster::Cluster,
    rig::Rig,
    workload::{
        Launch, Report, Writers,
        oracle::{self, Side, Verdict},
    },
};

use crate::pair::{pair, until_carried};

/// How long the writers write between two switches.
const LEG: Duration = Duration::from_secs(2);

/// A migration, then back and forth.
pub(crate) async fn rounds(cluster: &Cluster, large: &Path, count: u64) -> Value {
    let rig = pair(cluster, large).await;
    let launch = Launch::under_exec(&rig);
    let writers = Writers::start(WRITERS, bench::load(1), launch);
    let mut rounds = Rounds { rig, writers, switches: Vec::new() };
    rounds.go_on().await;
    rounds.switch("migrate").await;
    for _ in 0..count {
        rounds.switch("rollback").await;
        rounds.switch("cutover").await;
    }
    rounds.end().await
}

struct Rounds {
    rig: Rig,
    writers: Writers,
    switches: Vec<Value>,
}

impl Rounds {
    /// Switches, judges the engine that the writers leave, and lets them go on.
    async fn switch(&mut self, command: &str) {
        let began = Instant::now();
        let run = self.rig.cli(&[command]).await;
        let seconds = began.elapsed().as_secs_f64();
        run.expect(0);
        let report = if command == "migrate" { &run.report()["cutover"] } else { run.report() };
        let pause = report["write_pause_ms"].as_f64().expect("a pause");
        let number = self.switches.len() + 1;
        let target = self.rig.target().await;
        let left = match command {
            "rollback" => Side::Postgres(&target),
            _ => Side::Sqlite(&self.rig.source),
        };
        let verdict = oracle::check_at_switch(self.writers.journals(), left, number).await;
        let (report, violations) = told(verdict);
        self.switches.push(json!({
            "command": command, "pause_ms": pause, "seconds": seconds,
            "acknowledged": report.ok, "violations": violations,
        }));
        eprintln!("switch {number}: {}", self.switches[number - 1]);
        self.go_on().await;
    }

    async fn go_on(&mut self) {
        // The engine that was left takes nothing, so this is on the other one.
        self.writers.until_ok(50).await;
        tokio::time::sleep(LEG).await;
    }

    /// Both engines hold in the end what both have acknowledged.
    async fn end(mut self) -> Value {
        self.writers.stop().await;
        until_carried(&self.rig).await;
        let (journals, target) = (self.writers.journals(), self.rig.target().await);
        let on_target = told(oracle::check(journals, Side::Postgres(&target)).await);
        let on_source = told(oracle::check(journals, Side::Sqlite(&self.rig.source)).await);
        self.rig.cli(&["validate"]).await.expect(0);
        let at_switches: u64 =
            self.switches.iter().filter_map(|switch| switch["violations"].as_u64()).sum();
        let report = on_target.0;
        let result = json!({
            "rollback": self.pauses("rollback"), "cutover": self.pauses("cutover"),
            "acknowledged": report.ok, "refused": report.failed, "unknown": report.unknown,
            "violations": at_switches + on_target.1 + on_source.1,
            // What an application saw: that of the whole migration and of `exec` included.
            "longest_gap_ms": report.longest_gap.as_secs_f64() * 1000.0,
            "switches": self.switches,
        });
        self.rig.finish().await;
        result
    }

    fn pauses(&self, command: &str) -> Value {
        let switches = self.switches.iter().filter(|switch| switch["command"] == command);
        let pauses: Vec<f64> = switches.filter_map(|switch| switch["pause_ms"].as_f64()).collect();
        if pauses.is_empty() {
            return Value::Null;
        }
        let Spread { count, p50, p99, max } = Spread::of(pauses);
        json!({ "count": count, "pause_p50_ms": p50, "pause_p99_ms": p99, "pause_max_ms": max })
    }
}

/// The numbers of a verdict; its first violations are said at once.
fn told(verdict: Verdict) -> (Report, u64) {
    for violation in verdict.violations.iter().take(5) {
        eprintln!("VIOLATION: {violation}");
    }
    (verdict.report, verdict.violations.len() as u64)
}
