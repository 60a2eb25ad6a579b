//! Where `switchbackd`, `switchback` and the programs of the tests are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The service.
pub fn switchbackd() -> PathBuf {
    directory().join("switchbackd")
}

/// The command line.
pub fn switchback() -> PathBuf {
    directory().join("switchback")
}

/// The application of `workload`.
pub fn writer() -> PathBuf {
    directory().join("writer")
}

/// `SWITCHBACK_BIN_DIR`, or the directory that Cargo builds this profile's binaries in.
///
/// Cargo builds the binaries of other packages for nobody: `cargo test -p switchback-tests` would
/// run yesterday's server. So a test process brings them up to date first.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        if let Some(directory) = env::var_os("SWITCHBACK_BIN_DIR") {
            return directory.into();
        }
        let program = env::current_exe().expect("a program knows its path");
        let directory = program.parent().expect("a program is in a directory");
        if directory.ends_with("deps") {
            let directory = directory.parent().expect("deps is in a profile's directory");
            build(directory);
            return directory.into();
        }
        directory.into()
    })
}

fn build(directory: &Path) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--workspace", "--quiet", "--manifest-path"]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    if directory.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "the workspace's binaries do not build");
}
