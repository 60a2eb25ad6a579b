//! Virtual environments of Python, made once for each list of requirements.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::installed::{once, run};

/// The Python of a virtual environment that holds what a requirements file pins.
pub fn python(requirements: &Path) -> Result<PathBuf, String> {
    let pinned = fs::read_to_string(requirements).map_err(|error| error.to_string())?;
    let version = run(Command::new("python3").arg("--version"))?;
    let content = format!("{version}{pinned}");
    let environment = once("python", content.as_bytes(), |half| make(half, requirements))?;
    // By its path: the other programs in there still have the first name in their first line.
    Ok(environment.join("bin/python"))
}

fn make(directory: &Path, requirements: &Path) -> Result<(), String> {
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
