//! What package managers install for tests: made once, or not at all.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A directory that was made once for this content.
///
/// It stays under Cargo's target directory, under a name made of the content, and is made under
/// another name first: what has the name is whole.
pub(crate) fn once(
    kind: &str,
    content: &[u8],
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let key = blake3::hash(content).to_hex();
    let all = target().join(kind);
    fs::create_dir_all(&all).map_err(|error| error.to_string())?;
    let directory = all.join(&key[..16]);
    // Two tests may want it at once, of one process or of two.
    let lock = fs::File::create(directory.with_extension("lock"))
        .and_then(|lock| lock.lock().map(|()| lock))
        .map_err(|error| format!("no lock for {}: {error}", directory.display()))?;
    if !directory.exists() {
        let half = directory.with_extension("half");
        // A killed run may have left half of one.
        if half.exists() {
            fs::remove_dir_all(&half).map_err(|error| error.to_string())?;
        }
        make(&half)?;
        fs::rename(&half, &directory).map_err(|error| error.to_string())?;
    }
    drop(lock);
    Ok(directory)
}

/// What a command writes to its standard output; its other words where it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = if said.is_empty() { String::from_utf8_lossy(&output.stdout) } else { said };
    Err(format!("{program} ended with {}: {}", output.status, said.trim()))
}

/// Cargo's target directory, which the program that runs is in.
fn target() -> PathBuf {
    let program = env::current_exe().expect("a program knows its path");
    let tests = program.ancestors().find(|directory| directory.ends_with("deps"));
    // `target/<profile>/deps`
    let target = tests.and_then(|deps| deps.ancestors().nth(2));
    target.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_owned)
}
