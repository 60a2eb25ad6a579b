use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

const PAIR: [(&str, &str); 2] =
    [("SWITCHBACK_SQLITE", "/data/app.db"), ("SWITCHBACK_POSTGRES", "postgres://u:pw@h/d")];

#[test]
fn two_variables_are_enough() {
    let config = load(&env(&PAIR), None, true).unwrap();
    let database = &config.databases["default"];
    assert_eq!(database.sqlite, PathBuf::from("/data/app.db"));
    assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
    assert!(!format!("{config:?}").contains("pw"));
}

#[test]
fn every_problem_is_named_at_once() {
    let wrong = env(&[
        ("SWITCHBACK_LISTEN", "0.0.0.0:1"),
        ("SWITCHBACK_ENGINE", "oracle"),
        ("SWITCHBACK_LOG_FORMAT", "xml"),
        ("SWITCHBACK_TOKENS", "/etc/tokens"),
        ("SWITCHBACK_STORE", "ftp://host/backups"),
        ("SWITCHBACK_S3_SSE", "rot13"),
        ("SWITCHBACK_S3_PATH_STYLE", "yes"),
        ("SWITCHBACK_BACKUP_KEY", "0123"),
        ("SWITCHBACK_DATABASE", ".."),
        ("SWITCHBACK_POOL_SIZE", "many"),
        ("SWITCHBACK_LEASE", "0"),
        ("SWITCHBACK_BACKUP_SCHEDULE", "daily"),
        ("SWITCHBACK_LOG", "(("),
    ]);
    let problems = load(&wrong, None, true).unwrap_err();
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for setting in [
        "LISTEN",
        "ENGINE",
        "LOG_FORMAT",
        "TOKENS",
        "SWITCHBACK_STORE",
        "S3_SSE:",
        "S3_PATH_STYLE",
        "SWITCHBACK_DATABASE",
        "BACKUP_KEY",
        "POOL_SIZE",
        "BACKUP_SCHEDULE",
        "SWITCHBACK_LOG:",
        "lease",
        "SWITCHBACK_SQLITE",
        "SWITCHBACK_POSTGRES",
    ] {
        assert!(text.iter().any(|problem| problem.contains(setting)), "{setting} in {text:?}");
    }
}

#[test]
fn the_environment_stands_above_the_file() {
    let file = "
        listen = '127.0.0.1:7'
        lease = 20
        [databases.app]
        sqlite = 'a.db'
        postgres = 'postgres://h/a'
        [databases.shop]
        sqlite = 's.db'
        postgres = 'postgres://h/s'
        engine = 'sqlite'
    ";
    let over = env(&[
        ("SWITCHBACK_DATABASE", "app"),
        ("SWITCHBACK_SQLITE", "/b.db"),
        ("SWITCHBACK_POOL_SIZE", "5"),
    ]);
    let config = load(&over, Some(file), true).unwrap();
    assert_eq!(config.listen.port(), 7);
    assert_eq!(config.lease, Duration::from_secs(20));
    assert_eq!(config.databases["app"].sqlite, PathBuf::from("/b.db"));
    assert_eq!(config.databases["app"].postgres.expose(), "postgres://h/a");
    assert_eq!(config.databases["shop"].engine, Some(Engine::Sqlite));
    assert_eq!(config.databases["shop"].pool_size, 5);
}

#[test]
fn a_broken_file_is_named_without_its_secrets() {
    let problems =
        load(&env(&PAIR), Some("[databases.a]\npostgres = 'postgres://u:pw@h/d' x"), true)
            .unwrap_err();
    let text = format!("{problems:?}");
    assert!(text.contains("line 2") && !text.contains("pw"), "{text}");
}

#[test]
fn keys_of_backups_come_from_the_variable_or_from_the_file_that_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let (one, two) = ("17".repeat(32), "18".repeat(32));
    std::fs::write(&path, &one).unwrap();
    let file = format!("backup_key = {path:?}");
    let config = load(&env(&PAIR), Some(&file), true).unwrap();
    let id = config.backup_keys.first().id();
    let line = format!("# backup_keys = [\"{id}\"]");
    let text = format!("{config}{config:?}");
    assert!(text.contains(&line) && !text.contains(&one), "{text}");
    let mut over = env(&PAIR);
    over.insert("SWITCHBACK_BACKUP_KEY".into(), two);
    let config = load(&over, Some(&file), true).unwrap();
    assert_ne!(config.backup_keys.first().id(), id);
    let key = format!("backup_key = {one:?}");
    let problems = load(&env(&PAIR), Some(&key), true).unwrap_err();
    let text = format!("{problems:?}");
    assert!(text.contains("BACKUP_KEY") && !text.contains(&one), "{text}");
}
