//! Backups while applications write.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use super::{
    super::restore,
    support::{Database, Memory, Setting},
};
use crate::{
    backup::chunk::{ChunkId, ChunkRef, Sink},
    error::Result,
};

/// Each transfer changes two accounts and adds an entry.
const LEDGER: &str = "CREATE TABLE public.account (id integer PRIMARY KEY, balance bigint, \
      transfers bigint); \
    INSERT INTO public.account SELECT i, 0, 0 FROM generate_series(1, 20) AS i; \
    CREATE TABLE public.entry (id bigserial PRIMARY KEY, amount bigint, filler text); \
    INSERT INTO public.entry (amount, filler) \
      SELECT 0, repeat('x', 500) FROM generate_series(1, 10000)";

const TRANSFER: &str = "WITH a AS (UPDATE public.account SET balance = balance - 5, \
      transfers = transfers + 1 WHERE id = 1 + $1::bigint % 10), \
    b AS (UPDATE public.account SET balance = balance + 5 WHERE id = 11 + $1::bigint % 10) \
    INSERT INTO public.entry (amount, filler) VALUES (5, 'new')";

/// Holds the first chunk back until a few transfers more are committed.
struct Slow {
    store: Memory,
    done: watch::Receiver<i64>,
}

impl Sink for Slow {
    fn id(&self, content: &[u8]) -> ChunkId {
        self.store.id(content)
    }

    async fn put(&self, content: Vec<u8>) -> Result<ChunkRef> {
        let mut done = self.done.clone();
        let wanted = *done.borrow() + 5;
        done.wait_for(|count| *count >= wanted).await.unwrap();
        self.store.put(content).await
    }
}

#[tokio::test]
async fn a_backup_is_one_moment_while_others_write() {
    let source = Arc::new(Database::with(LEDGER).await);
    let stop = Arc::new(AtomicBool::new(false));
    let (report, done) = watch::channel(0);
    let writer = tokio::spawn({
        let (source, stop) = (Arc::clone(&source), Arc::clone(&stop));
        async move {
            let client = source.postgres.get().await.unwrap();
            while !stop.load(Ordering::Relaxed) {
                let number: i64 = *report.borrow();
                client.execute(TRANSFER, &[&number]).await.unwrap();
                report.send_replace(number + 1);
            }
        }
    });
    let slow = Slow { store: Memory::default(), done };
    slow.done.clone().wait_for(|count| *count > 20).await.unwrap();
    let backed_up = source.back_up(&slow).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    let setting = Setting::new();
    let job = setting.job(&backed_up.content, &slow.store, &source);
    let name = format!("{} restored", source.name);
    restore::restore(&job, &name).await.unwrap();
    let copy = Database::named(&name);
    let transfers = "SELECT sum(transfers)::bigint FROM public.account";
    let entries = "SELECT count(*) FROM public.entry WHERE amount = 5";
    assert_eq!(copy.number("SELECT sum(balance)::bigint FROM public.account").await, 0);
    let restored = copy.number(entries).await;
    assert_eq!(restored, copy.number(transfers).await);
    assert!(restored >= 20, "some were committed before");
    assert!(source.number(entries).await > restored, "some were committed meanwhile");
    copy.sql("INSERT INTO public.entry (amount) VALUES (1)").await;
}

/// Tries to change a table whenever something of it is stored.
struct Altering<'a> {
    database: &'a Database,
    table: &'a str,
    store: Memory,
}

impl Sink for Altering<'_> {
    fn id(&self, content: &[u8]) -> ChunkId {
        self.store.id(content)
    }

    async fn put(&self, content: Vec<u8>) -> Result<ChunkRef> {
        let client = self.database.postgres.get().await?;
        let table = self.table;
        let sql = format!("SET lock_timeout = '100ms'; ALTER TABLE {table} ADD b integer");
        assert!(client.batch_execute(&sql).await.is_err(), "the backup holds a lock");
        self.store.put(content).await
    }
}

#[tokio::test]
async fn a_table_cannot_be_changed_in_the_middle() {
    let database = Database::with("CREATE TABLE public.t AS SELECT 1 AS a").await;
    let (table, store) = ("public.t", Memory::default());
    let altering = Altering { database: &database, table, store };
    let backed_up = database.back_up(&altering).await.unwrap();
    assert_eq!(backed_up.content.tables[0].columns.len(), 1);
}

#[tokio::test]
async fn a_lock_is_waited_for_and_tables_that_come_and_go_meanwhile_are_noticed() {
    let database = Database::with("CREATE TABLE public.t (); CREATE TABLE public.gone ()").await;
    let mut other = database.postgres.get().await.unwrap();
    for change in ["CREATE TABLE public.made AS SELECT 1 AS a", "DROP TABLE public.gone"] {
        let transaction = other.transaction().await.unwrap();
        transaction.batch_execute("LOCK TABLE public.gone, public.t").await.unwrap();
        let (table, store) = ("public.made", Memory::default());
        let altering = Altering { database: &database, table, store };
        let changing = async {
            let waiting = "SELECT count(*) FROM pg_locks \
                WHERE NOT granted AND relation IN ('public.t'::regclass, 'public.gone'::regclass)";
            while database.number(waiting).await == 0 {}
            transaction.batch_execute(change).await.unwrap();
            transaction.commit().await.unwrap();
        };
        let (backed_up, ()) = tokio::join!(database.back_up(&altering), changing);
        let tables = backed_up.unwrap().content.tables;
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let gone = change.starts_with("DROP");
        assert_eq!(names, if gone { vec!["made", "t"] } else { vec!["gone", "made", "t"] });
        let made = tables.iter().find(|table| table.name == "made").unwrap();
        assert_eq!(made.rows, 1);
    }
    let transaction = other.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE public.t").await.unwrap();
    let error = database.back_up(&Memory::default()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}
