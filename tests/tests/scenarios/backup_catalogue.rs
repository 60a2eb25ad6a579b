//! The list of backups: what goes and what stays, who shares it, and when it grows by itself.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;
use switchback_proto::v1::ListBackupsRequest;
use switchback_tests::{
    cli,
    cluster::Cluster,
    content::content,
    rig::{Rig, directory},
    server::Server,
};

use crate::{
    backup::{LARGE, backup, id, listed, number, restored},
    backup_damage::{files, store},
    backup_faults::rig_with,
};

/// Between two looks at what happens by itself.
const LOOK: Duration = Duration::from_millis(250);

/// A chunk that is younger than this is never deleted.
const YOUNG: Duration = Duration::from_secs(15 * 60);

/// Makes every chunk older than a sweep wants it.
fn age(store: &Path) {
    let then = SystemTime::now() - 2 * YOUNG;
    for chunk in files(&store.join("chunks")) {
        let file = File::options().write(true).open(chunk).expect("a chunk");
        file.set_modified(then).expect("its time is set");
    }
}

fn size(store: &Path) -> u64 {
    files(&store.join("chunks")).iter().map(|file| fs::metadata(file).expect("a chunk").len()).sum()
}

fn change(rig: &Rig) {
    let sql = "UPDATE large SET payload = randomblob(400) WHERE id % 3 = 0 AND id > 30000";
    rig.source().execute_batch(sql).expect("changes");
}

#[tokio::test]
async fn what_no_rule_keeps_goes_and_the_rest_can_be_restored() {
    let rig = Rig::of_sql(LARGE).await;
    let mut made = Vec::new();
    let mut contents = Vec::new();
    for _ in 0..4 {
        change(&rig);
        made.insert(0, id(&backup(&rig).await));
        contents.insert(0, content(&rig.source));
    }
    age(&store(&rig));
    let before = size(&store(&rig));
    rig.cli(&["backups", "prune"]).await.expect(2);
    let dry = rig.cli(&["backups", "prune", "--keep-last", "2", "--keep-daily", "1"]).await;
    dry.expect(0);
    let said = &dry.events[0];
    assert_eq!(said["deleted"], false, "{said}");
    assert_eq!(said["backup_ids"], Value::from(made[2..].to_vec()), "{said}");
    assert_eq!(said["kept"][0]["backup_id"], made[0].as_str(), "{said}");
    assert_eq!(said["kept"][0]["rules"], Value::from(vec!["last", "daily"]), "{said}");
    assert_eq!((listed(&rig).await.len(), size(&store(&rig))), (4, before));

    let done = rig.cli(&["backups", "prune", "--keep-last", "2", "--confirm"]).await;
    done.expect(0);
    let said = &done.events[0];
    assert_eq!((&said["deleted"], &said["swept"]), (&true.into(), &true.into()), "{said}");
    assert!(number(said, "chunks_deleted") > 0, "{said}");
    let left: Vec<_> = listed(&rig).await.iter().map(id).collect();
    assert_eq!(left, made[..2]);
    let after = size(&store(&rig));
    assert!(after < before, "{after} of {before} bytes");

    for (backup, content_then) in made.iter().zip(&contents).take(2) {
        rig.cli(&["backups", "verify", backup]).await.expect(0);
        assert_eq!(&content(&restored(&rig, backup, backup).await), content_then);
    }
    rig.cli(&["backups", "verify", &made[2]]).await.refused(2, "UNKNOWN_BACKUP");
    rig.finish().await;
}

#[tokio::test]
async fn a_backup_is_deleted_with_what_only_it_needs() {
    let rig = Rig::of_sql(LARGE).await;
    let older = id(&backup(&rig).await);
    change(&rig);
    let newer = id(&backup(&rig).await);
    rig.cli(&["backups", "delete", &older]).await.expect(2);
    assert_eq!(listed(&rig).await.len(), 2);
    // What is young may be of a backup that nobody sees yet.
    let young = rig.cli(&["backups", "delete", &older, "--yes"]).await;
    assert_eq!((young.code, &young.events[0]["chunks_deleted"]), (0, &0.into()));
    rig.cli(&["backups", "delete", &older, "--yes"]).await.expect(2);
    let file = restored(&rig, &newer, "copy").await;
    assert_eq!(content(&file), content(&rig.source));
    age(&store(&rig));
    let run = rig.cli(&["backups", "delete", &newer, "--yes"]).await;
    run.expect(0);
    assert!(number(&run.events[0], "chunks_deleted") > 30, "{}", run.stdout);
    assert_eq!((listed(&rig).await.len(), size(&store(&rig))), (0, 0));
    rig.cli(&["restore", "latest", "--as", "none"]).await.expect(2);
    rig.finish().await;
}

#[tokio::test]
async fn two_servers_share_a_store_and_a_third_one_finds_what_is_there() {
    let place = directory();
    let url = format!("file://{}", place.path().display());
    let shop =
        rig_with(LARGE, &[("SWITCHBACK_STORE", &url), ("SWITCHBACK_DATABASE", "shop")]).await;
    let copy = directory();
    let source = copy.path().join("copy.db");
    fs::copy(&shop.source, &source).expect("a copy");
    let settings = [("SWITCHBACK_STORE", url.as_str()), ("SWITCHBACK_DATABASE", "blog")];
    let database = Cluster::shared().database().await;
    let blog = Server::start_with(&source, &database.url, &settings).await;
    let blog = Rig { server: blog, database, source, directory: copy };
    let (of_shop, of_blog) = tokio::join!(
        shop.cli(&["--database", "shop", "backup"]),
        blog.cli(&["--database", "blog", "backup"])
    );
    of_shop.expect(0);
    of_blog.expect(0);
    // Both hold the same, and it is there once.
    change(&blog);
    let again = blog.cli(&["--database", "blog", "backup"]).await;
    let (read, size_now) = (number(again.report(), "bytes_read"), size(place.path()));
    assert!(size_now < read * 2, "{size_now} of {read}");
    for (rig, name, count) in [(&shop, "shop", 1), (&blog, "blog", 2)] {
        let run = rig.cli(&["--database", name, "backups", "list"]).await;
        assert_eq!((run.code, run.events.len()), (0, count), "{name}");
    }
    let (of_shop, of_blog) = (id(of_shop.report()), id(of_blog.report()));
    shop.cli(&["--database", "shop", "restore", &of_blog, "--as", "b"])
        .await
        .refused(2, "UNKNOWN_BACKUP");
    age(place.path());
    for backup in [&of_blog, &id(again.report())] {
        let run = blog.cli(&["--database", "blog", "backups", "delete", backup, "--yes"]).await;
        run.expect(0);
    }
    let verified = shop.cli(&["--database", "shop", "backups", "verify", &of_shop]).await;
    verified.expect(0);

    // A machine is lost: another one is set up under the same name, where no file is.
    let expected = content(&shop.source);
    let fresh = directory();
    let source = fresh.path().join("new.db");
    let settings = [("SWITCHBACK_STORE", url.as_str()), ("SWITCHBACK_DATABASE", "shop")];
    let server = Server::start_with(&source, &shop.database.url, &settings).await;
    let arguments = ["--database", "shop", "restore", "latest"];
    let run = cli::run(&server.endpoint(), &arguments).await;
    run.expect(0);
    assert_eq!(content(&source), expected);
    shop.finish().await;
    blog.finish().await;
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let rig = Rig::of_sql("CREATE TABLE t (a); INSERT INTO t VALUES (1)").await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, id(&backup(&rig).await));
    }
    made.sort_unstable_by(|a, b| b.cmp(a));
    let (mut found, mut pages, mut page_token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let request = ListBackupsRequest { database: "default".into(), page_size: 2, page_token };
        let answer = rig.server.databases().list_backups(request).await.expect("a page");
        let answer = answer.into_inner();
        pages.push(answer.backups.len());
        found.extend(answer.backups.into_iter().map(|backup| backup.backup_id));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((found, pages), (made.clone(), vec![2, 2, 1]));
    for limit in [1, 3] {
        let run = rig.cli(&["backups", "list", "--limit", &limit.to_string()]).await;
        run.expect(0);
        assert_eq!(run.events.iter().map(id).collect::<Vec<_>>(), made[..limit]);
    }
    rig.finish().await;
}

/// The shortest time between two times of a schedule is a minute.
#[tokio::test]
async fn a_schedule_makes_a_backup() {
    let schedule = [("SWITCHBACK_BACKUP_SCHEDULE", "* * * * *")];
    let rig = rig_with("CREATE TABLE t (a); INSERT INTO t VALUES (1)", &schedule).await;
    let began = Instant::now();
    let operation = loop {
        let run = rig.cli(&["operations", "list"]).await;
        run.expect(0);
        if let Some(first) = run.events.first() {
            break first.clone();
        }
        assert!(began.elapsed() < Duration::from_secs(75), "no backup: {}", rig.server.logs());
        tokio::time::sleep(LOOK).await;
    };
    assert_eq!(operation["kind"], "backup", "{operation}");
    let asked = operation["request_id"].as_str().expect("an id");
    assert!(asked.starts_with("schedule-") && asked.ends_with(":00Z"), "{asked}");
    let id = operation["operation_id"].as_str().expect("an id");
    rig.cli(&["operations", "watch", id]).await.expect(0);
    assert_eq!(listed(&rig).await.len(), 1);
    let file = restored(&rig, "latest", "copy").await;
    assert_eq!(content(&file), content(&rig.source));
    rig.finish().await;
}
