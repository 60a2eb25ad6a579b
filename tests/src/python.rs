//! Virtual environments of Python, made once for each list of requirements.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The Python of a virtual environment that holds what a requirements file pins.
///
/// It stays under Cargo's target directory, under a name made of the file and of Python's own
/// version, and is made under another name first: what has the name is whole.
pub fn python(requirements: &Path) -> Result<PathBuf, String> {
    python_in(&target().join("python"), requirements)
}

fn python_in(all: &Path, requirements: &Path) -> Result<PathBuf, String> {
    let pinned = fs::read_to_string(requirements).map_err(|error| error.to_string())?;
    let version = run(Command::new("python3").arg("--version"))?;
    let key = blake3::hash(format!("{version}{pinned}").as_bytes()).to_hex();
    fs::create_dir_all(all).map_err(|error| error.to_string())?;
    let environment = all.join(&key[..16]);
    // Two tests may want it at once, of one process or of two.
    let lock = fs::File::create(environment.with_extension("lock"))
        .and_then(|lock| lock.lock().map(|()| lock))
        .map_err(|error| format!("no lock for a virtual environment: {error}"))?;
    if !environment.exists() {
        let half = environment.with_extension("half");
        if let Err(error) = make(&half, requirements) {
            let _ = fs::remove_dir_all(&half);
            return Err(error);
        }
        fs::rename(&half, &environment).map_err(|error| error.to_string())?;
    }
    drop(lock);
    // By its path: the other programs in there still have the first name in their first line.
    Ok(environment.join("bin/python"))
}

fn make(directory: &Path, requirements: &Path) -> Result<(), String> {
    // A killed run may have left half of one.
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(|error| error.to_string())?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(directory)).map_err(|error| {
        format!("{error}\nhint: install python3-venv, as `.ci/prerequisites test` does")
    })?;
    let mut pip = Command::new(directory.join("bin/python"));
    // Wheels only: nothing is compiled, and nothing of a package is run.
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--requirement"])
        .arg(requirements);
    run(&mut pip).map_err(|error| {
        format!(
            "{error}\nhint: packages come from Python's index, or from where PIP_INDEX_URL says"
        )
    })?;
    run(Command::new(directory.join("bin/python")).args(["-m", "pip", "check"])).map(drop)
}

/// Cargo's target directory, which the program that runs is in.
fn target() -> PathBuf {
    let program = env::current_exe().expect("a program knows its path");
    let tests = program.ancestors().find(|directory| directory.ends_with("deps"));
    // `target/<profile>/deps`
    let target = tests.and_then(|deps| deps.ancestors().nth(2));
    target.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_owned)
}

/// What a command writes to its standard output; its other words where it fails.
fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = if said.is_empty() { String::from_utf8_lossy(&output.stdout) } else { said };
    Err(format!("{program} ended with {}: {}", output.status, said.trim()))
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    #[test]
    fn an_environment_is_made_once_or_not_at_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let all = directory.path().join("python");
        let requirements = directory.path().join("requirements.txt");
        fs::write(&requirements, "# nothing\n").expect("a file");
        let both = thread::scope(|scope| {
            let made = [(); 2].map(|()| scope.spawn(|| python_in(&all, &requirements)));
            made.map(|made| made.join().expect("no panic").expect("an environment"))
        });
        assert_eq!(both[0], both[1]);
        let said = run(Command::new(&both[0]).args(["-c", "import sys; print(sys.prefix)"]));
        let environment = both[0].parent().and_then(Path::parent).expect("it is in a directory");
        assert_eq!(said.expect("it runs").trim(), environment.display().to_string());

        let package = directory.path().join("none.whl").display().to_string();
        fs::write(&requirements, package).expect("a file");
        let error = python_in(&all, &requirements).expect_err("there is no such package");
        assert!(error.contains("hint: packages come from"), "{error}");
        let made = fs::read_dir(&all).expect("it is there").flatten();
        let made = made.filter(|entry| entry.path().is_dir()).map(|entry| entry.path());
        assert_eq!(made.collect::<Vec<_>>(), [environment], "half of one was left");
    }
}
