//! Packages of Node.js, installed once for each lock file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::installed::{once, run};

/// A copy of a directory with a `package-lock.json`, with the packages that this names. Programs
/// run from there: modules are looked for beside them.
pub fn node(package: &Path) -> Result<PathBuf, String> {
    let mut files = files(package).map_err(|error| format!("{}: {error}", package.display()))?;
    files.sort();
    let version = run(Command::new("node").arg("--version")).map_err(|error| {
        format!("{error}\nhint: install Node.js, as `.ci/prerequisites test` does")
    })?;
    let mut content = version.into_bytes();
    for file in &files {
        content.extend(fs::read(file).map_err(|error| error.to_string())?);
    }
    once("node", &content, |half| {
        fs::create_dir_all(half).map_err(|error| error.to_string())?;
        for file in &files {
            let name = file.file_name().expect("a file has a name");
            fs::copy(file, half.join(name)).map_err(|error| error.to_string())?;
        }
        // Nothing of a package is run.
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(Command::new("npm").args(arguments).current_dir(half)).map(drop).map_err(|error| {
            format!(
                "{error}\nhint: packages come from npm's registry, or from where npm's settings say"
            )
        })
    })
}

fn files(package: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(package)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}
