//! A private PostgreSQL cluster for the tests of one binary.

use std::{
    io::{BufRead, BufReader},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// Starts the server, waits until the tests' process is gone, and leaves nothing behind.
const SCRIPT: &str = r#"
set -e
"$BIN/initdb" -D "$DIR/data" -U switchback -A trust -E UTF8 --locale=C --no-sync >"$DIR/log" 2>&1
"$BIN/pg_ctl" -D "$DIR/data" -w -l "$DIR/server.log" \
    -o "-c listen_addresses= -c unix_socket_directories=$DIR -c fsync=off" \
    start >>"$DIR/log" 2>&1 </dev/null
echo ready
cat >/dev/null
"$BIN/pg_ctl" -D "$DIR/data" -m immediate -w stop >/dev/null 2>&1
rm -rf "$DIR"
"#;

pub(crate) struct Cluster {
    pub(crate) directory: PathBuf,
    // Its standard input closes when this process ends, however it ends.
    _watchdog: Child,
}

pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let directory = tempfile::Builder::new().prefix("swb").tempdir().unwrap().keep();
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).env("BIN", binaries()).env("DIR", &directory);
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            // initdb refuses to run as root.
            const NOBODY: u32 = 65_534;
            chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut watchdog = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(watchdog.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "PostgreSQL did not start; see {}", directory.display());
        Cluster { directory, _watchdog: watchdog }
    })
}

pub(crate) fn binaries() -> PathBuf {
    if let Some(directory) = std::env::var_os("SWITCHBACK_PG_BIN") {
        return directory.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.unwrap().path().join("bin")).collect();
    found.sort();
    found.pop().expect("a version of PostgreSQL is installed")
}
