//! `switchback report`: one page that a browser can show, whatever tables are called.

use switchback_tests::rig::Rig;

const HOSTILE: &str = "</td><script>alert(1)</script>";

#[tokio::test]
async fn a_migration_becomes_one_page_that_needs_nothing_else() {
    let rig = Rig::of_sql(&format!(
        "CREATE TABLE \"{HOSTILE}\" (id INTEGER PRIMARY KEY, d DATE);
         INSERT INTO \"{HOSTILE}\" VALUES (1, 'x');
         CREATE TABLE plain (id INTEGER PRIMARY KEY);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
         INSERT INTO plain SELECT i FROM n;"
    ))
    .await;
    let migrated = rig.cli(&["migrate"]).await;
    migrated.expect(0);
    let run = rig.cli(&["report", migrated.operation()]).await;
    let page = &run.expect(0).stdout;
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{page}");
    for title in
        ["Result", "Phases", "Progress", "Tables", "Lag and cutover", "Findings", "Validation"]
    {
        assert!(page.contains(&format!("<h2>{title}</h2>")), "{title}: {page}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script"), "{page}");
    assert!(
        page.contains("writers were held") && page.contains("both engines are equal"),
        "{page}"
    );
    // It has ended, and what was told on the way is drawn all the same.
    assert!(page.contains("Rows copied per second") && page.contains("class=\"line\""), "{page}");
    for outside in ["src=", "href=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let missing = rig.cli(&["report", "none"]).await;
    missing.refused(2, "UNKNOWN_OPERATION");
    rig.finish().await;
}

/// It is not waited for: the page is of now.
#[tokio::test]
async fn one_that_failed_says_why() {
    let rig =
        Rig::of_sql("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let admin = rig.target().await;
    admin.batch_execute("CREATE TABLE theirs (a int)").await.expect("made");
    let failed = rig.cli(&["migrate"]).await;
    failed.refused(5, "TARGET_NOT_EMPTY");
    let run = rig.cli(&["report", failed.operation()]).await;
    assert!(run.expect(0).stdout.contains("TARGET_NOT_EMPTY: "), "{}", run.stdout);
    rig.finish().await;
}
