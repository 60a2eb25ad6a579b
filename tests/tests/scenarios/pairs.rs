//! Databases of real applications move into the tables that the same application has made in
//! PostgreSQL.

use switchback_tests::{content::content, corpus, dumps, rig::Rig, texts};

const MIGRATE: [&str; 4] = ["migrate", "--schema", "existing", "--empty-target"];

#[tokio::test]
async fn mlflow() {
    let writes = "
        INSERT INTO experiments (name, lifecycle_stage) VALUES ('new', 'active');
        INSERT INTO runs (run_uuid, name, status, lifecycle_stage, experiment_id)
            VALUES ('new', 'a \u{fc}', 'RUNNING', 'active', currval('experiments_experiment_id_seq'));
        INSERT INTO metrics (key, value, \"timestamp\", run_uuid) VALUES ('m', '-Infinity', 1, 'new');
        INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status)
            VALUES ('new', currval('experiments_experiment_id_seq'), 1, 'OK');
        INSERT INTO spans (trace_id, experiment_id, span_id, status, start_time_unix_nano,
                end_time_unix_nano, content)
            VALUES ('new', currval('experiments_experiment_id_seq'), 's', 'OK', 5, 12, '{}');
        UPDATE params SET value = value || ' changed' WHERE key = (SELECT min(key) FROM params);
        DELETE FROM tags WHERE run_uuid = (SELECT min(run_uuid) FROM tags);";
    there_and_back("mlflow", writes).await;
}

#[tokio::test]
async fn optuna() {
    let writes = "
        INSERT INTO studies (study_name) VALUES ('new');
        INSERT INTO study_directions (direction, study_id, objective)
            VALUES ('MAXIMIZE', currval('studies_study_id_seq'), 0);
        INSERT INTO trials (number, study_id, state, datetime_start)
            VALUES (0, currval('studies_study_id_seq'), 'RUNNING', '2024-05-06 07:08:09.000001');
        INSERT INTO trial_values (trial_id, objective, value, value_type)
            VALUES (currval('trials_trial_id_seq'), 0, NULL, 'INF_NEG');
        UPDATE trials SET state = 'FAIL', datetime_complete = now()
            WHERE number = (SELECT max(number) FROM trials);
        UPDATE trial_params SET param_value = 1.0 / 3 WHERE param_id % 5 = 0;
        DELETE FROM trial_user_attributes WHERE trial_user_attribute_id % 2 = 0;";
    there_and_back("optuna", writes).await;
}

#[tokio::test]
async fn powerdns() {
    let writes = "
        INSERT INTO domains (name, type) VALUES ('new.example', 'NATIVE');
        INSERT INTO records (domain_id, name, type, content)
            VALUES (currval('domains_id_seq'), 'www.new.example', 'AAAA', '2001:db8::1');
        INSERT INTO supermasters VALUES ('2001:db8::53', 'ns.example', ''), ('192.0.2.53', 'ns2', 'a');
        UPDATE records SET disabled = NOT disabled, auth = NULL WHERE id % 3 = 0;
        UPDATE domains SET notified_serial = 4294967295 WHERE id % 7 = 0;
        DELETE FROM domains WHERE id = (SELECT min(domain_id) FROM records);";
    there_and_back("powerdns", writes).await;
}

#[tokio::test]
async fn ejabberd() {
    let writes = "
        INSERT INTO users (username, server_host, password) VALUES ('new', 'example', '\u{fc}');
        INSERT INTO archive (username, server_host, \"timestamp\", peer, bare_peer, xml)
            VALUES ('new', 'example', 1, 'p', 'b', '<m/>');
        INSERT INTO spool (username, server_host, xml) VALUES ('new', 'example', '<m/>');
        INSERT INTO mqtt_pub SELECT 'new', server_host, resource, 'new', 2, '\\x00ff', 1, '', '', '', '', -1
            FROM mqtt_pub LIMIT 1;
        UPDATE privacy_list_data SET ord = 12.5, match_all = NOT match_all, t = 'n';
        UPDATE last SET seconds = '0' WHERE username = (SELECT min(username) FROM last);
        DELETE FROM rosterusers WHERE jid = (SELECT min(jid) FROM rosterusers);";
    there_and_back("ejabberd", writes).await;
}

/// What the scenarios rest on: both engines' rows are told apart where they differ.
#[tokio::test]
async fn rows_are_told_apart() {
    let columns =
        "flag boolean, number smallint, ratio double precision, price numeric, at timestamp,
        bytes bytea, address inet, letters character(3), document json, \"a Name\" varchar(9)";
    let rig = Rig::of_sql(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, {columns}, twice INT AS (number * 2) STORED);
         INSERT INTO t VALUES (1, 1, -3, 1e300, 12.5, '2024-01-02 03:04:05.500000', x'00ff',
             '192.0.2.1', 'ab', '{{\"a\": 1}}', 'x'), (7, 0, 0, 0.1, 100, '2024-01-02 00:00:00', x'',
             '::1', 'abc', '[]', ''), (9, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);",
    ))
    .await;
    let owner = rig.database.owner().await;
    let twice = "twice integer GENERATED ALWAYS AS (number * 2) STORED";
    let rows = "(1, true, -3, 1e300, 12.50, '2024-01-02 03:04:05.5', '\\x00ff', '192.0.2.1', 'ab',
        '{\"a\": 1}', 'x'), (7, false, 0, 0.1, 100.0, '2024-01-02', '', '::1', 'abc', '[]', ''),
        (9, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)";
    let sql = format!(
        "CREATE TABLE t (id serial PRIMARY KEY, {columns}, {twice}); INSERT INTO t VALUES {rows}"
    );
    owner.batch_execute(&sql).await.expect("the table");
    assert_equal(&rig, "as they are").await;
    let behind = texts::sequences_behind(&rig.target().await).await;
    assert_eq!(behind, ["t.id"]);
    for change in [
        "flag = NOT flag",
        "number = number + 1",
        "ratio = ratio * (1 + 3e-16)",
        "price = price + 1e-20",
        "at = at + interval '1 microsecond'",
        "bytes = bytes || '\\x20'",
        "address = network(set_masklen(address, 31))",
        "letters = 'Ab'",
        "document = '{\"a\":1}'",
        "\"a Name\" = \"a Name\" || ' '",
        "\"a Name\" = NULL",
        "id = 2",
    ] {
        let client = rig.target().await;
        client.batch_execute("BEGIN").await.expect("a transaction");
        client.batch_execute(&format!("UPDATE t SET {change} WHERE id = 1")).await.expect(change);
        let found = texts::differences(&rig.source, &client).await;
        assert_eq!(found.len(), 1, "{change}: {found:#?}");
        client.batch_execute("ROLLBACK").await.expect("it is undone");
    }
    assert_equal(&rig, "as they were").await;
    rig.finish().await;
}

async fn there_and_back(application: &str, writes: &str) {
    let Some(pair) = corpus::pair(application) else { return };
    let rig = Rig::of_file(&pair.source).await;
    dumps::load(&rig.database, &pair.schema).await;
    let schema = dumps::schema(&rig.database).await;
    let before = content(&rig.source);

    rig.cli(&MIGRATE).await.expect(0);
    assert_equal(&rig, "after the cutover").await;
    assert_eq!(content(&rig.source), before, "the source was changed");
    let owner = rig.database.owner().await;
    owner.batch_execute(writes).await.expect("PostgreSQL takes writes");

    rig.cli(&["rollback"]).await.expect(0);
    assert_ne!(content(&rig.source), before, "nothing was carried back");
    assert_equal(&rig, "after the rollback").await;
    rig.cli(&["cutover"]).await.expect(0);
    assert_equal(&rig, "after the second cutover").await;
    rig.cli(&["validate"]).await.expect(0);
    let behind = texts::sequences_behind(&rig.target().await).await;
    assert!(behind.is_empty(), "{behind:?} give numbers that are there");

    rig.cli(&["finalize"]).await.expect(0);
    assert_eq!(dumps::schema(&rig.database).await, schema, "the target's schema was changed");
    rig.finish().await;
}

async fn assert_equal(rig: &Rig, when: &str) {
    let found = texts::differences(&rig.source, &rig.target().await).await;
    assert!(found.is_empty(), "{when}: {found:#?}");
}
