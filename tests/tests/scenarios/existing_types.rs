//! Types of the application's own tables that no other scenario has: ranges, arrays, and text from
//! numbers.

use crate::existing_plan::{codec, found, pair, plan};

const SOURCE: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, seats TEXT, price TEXT, days TEXT, open TEXT,
      code INTEGER, phone NUMERIC, amounts TEXT, dates TEXT);
    INSERT INTO t VALUES
      (1, '[1,10]', '[1.50,2)', '[2024-01-01,9999-12-31]', '[2024-07-01 12:00:00,)', 5, 1.5,
       '[1.5, 2]', '[\"2024-01-01\"]'),
      (2, 'empty', '(,)', '[2024-01-01,2024-01-31]', '(,2024-07-01 12:00:00+02]', NULL, 'none',
       '[]', NULL);";

const TARGET: &str = "
    CREATE TABLE t (id int PRIMARY KEY, seats int4range, price numrange, days daterange,
      open tstzrange, code text, phone varchar(20), amounts numeric(8,2)[], dates date[]);";

#[tokio::test]
async fn ranges_arrays_and_numbers_as_text_go_there_and_back() {
    let rig = pair(SOURCE, TARGET).await;
    let zone = ["--time-zone", "Europe/Berlin"];
    let run = plan(&rig, &zone).await;
    run.expect(0);
    let codecs = ["seats", "price", "days", "open", "code", "phone", "amounts", "dates"]
        .map(|column| codec(&run, 0, column));
    assert_eq!(
        codecs,
        [
            "range:any:int4",
            "range:num",
            "range:any:date",
            "range:any:tstz:in:Europe/Berlin",
            "text:number",
            "varchar:20:number",
            "array:numeric(8,2):spaced",
            "array:date:spaced",
        ]
    );
    assert_eq!(found(&run, "warning"), ["zone_assumed t open"]);
    rig.cli(&[&["migrate", "--schema", "existing"][..], &zone].concat()).await.expect(0);
    let target = rig.target().await;
    let row = "SELECT concat_ws(' ', seats, price, days, lower(open) AT TIME ZONE 'UTC', code,
                 phone, amounts, dates) FROM t WHERE id = 1";
    let text: String = target.query_one(row, &[]).await.expect("a row").get(0);
    assert_eq!(
        text,
        "[1,11) [1.50,2) [2024-01-01,10000-01-01) 2024-07-01 10:00:00 5 1.5 {1.50,2.00} \
         {2024-01-01}"
    );
    rig.database
        .owner()
        .await
        .batch_execute(
            "UPDATE t SET code = '7', seats = '(2,5]', days = '[2024-02-01,2024-02-29]',
               open = '[2024-07-01 10:00Z,2024-07-02 10:00Z)', amounts = '{0.1,NULL}'
               WHERE id = 1;
             INSERT INTO t (id, code, phone) VALUES (3, 'seven', '-0.25')",
        )
        .await
        .expect("PostgreSQL takes writes");
    for lost in ["code = '007'", "days = '[2024-01-01,infinity)'", "amounts = '{{1}}'"] {
        let write = format!("UPDATE t SET {lost} WHERE id = 1");
        let written = rig.database.owner().await.batch_execute(&write).await;
        assert!(written.is_err(), "{lost} is taken");
    }
    rig.cli(&["rollback"]).await.expect(0);
    let back = "SELECT group_concat(id || ' ' || coalesce(seats, '') || ' ' || coalesce(days, '')
                  || ' ' || coalesce(open, '') || ' ' || typeof(code) || coalesce(code, '') || ' '
                  || typeof(phone) || phone || ' ' || coalesce(amounts, ''), ';') FROM t";
    let text: String = rig.source().query_row(back, [], |row| row.get(0)).expect("rows");
    assert_eq!(
        text,
        "1 [3,6) [2024-02-01,2024-03-01) [\"2024-07-01 10:00:00+00\",\"2024-07-02 10:00:00+00\") \
         integer7 real1.5 [0.10, null];\
         2 empty [2024-01-01,2024-01-31] (,2024-07-01 12:00:00+02] null textnone [];\
         3    textseven real-0.25 "
    );
    rig.cli(&["abort"]).await.expect(0);
    rig.finish().await;
}

#[tokio::test]
async fn values_that_would_change_stop_the_plan_and_are_named() {
    let rig = pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, seats TEXT, code, rows TEXT);
         INSERT INTO t VALUES (1, '[1,2)', 'a', '[1]'), (2, '[2,1]', 'b', '[[1]]'), (3, NULL, 5, NULL);",
        "CREATE TABLE t (id int PRIMARY KEY, seats int4range, code text, rows int[]);",
    )
    .await;
    let run = plan(&rig, &[]).await;
    run.expect(5);
    let mut blockers = found(&run, "blocker");
    blockers.sort();
    assert_eq!(blockers, ["mixed_types t code", "not_canonical t rows", "not_canonical t seats"]);
    let report = run.report();
    let findings = report["plan"]["findings"].as_array().expect("findings");
    let seats = findings.iter().find(|finding| finding["column"] == "seats").expect("a finding");
    assert_eq!(seats["examples"][0], "id=2");
    rig.finish().await;
}
