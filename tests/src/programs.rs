//! Where PostgreSQL's programs are, and the user that they run as.

use std::{
    env, fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

/// PostgreSQL's own programs of one version.
#[derive(Debug, Clone)]
pub struct Programs {
    directory: PathBuf,
    user: Option<User>,
}

/// The unprivileged user that stands in for root, whom PostgreSQL refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Programs {
    /// Looks in `SWITCHBACK_PG_BIN`, where `pg_config` says, under `/usr/lib/postgresql` (newest
    /// first) and in `PATH`.
    pub fn find() -> Result<Self, String> {
        let directory = candidates()
            .into_iter()
            .find(|directory| ["initdb", "postgres", "pg_ctl"].iter().all(|p| has(directory, p)))
            .ok_or(
                "PostgreSQL's server programs (initdb, postgres, pg_ctl) were not found: install \
                 the package `postgresql`, or set SWITCHBACK_PG_BIN to their directory",
            )?;
        Ok(Self { directory, user: unprivileged()? })
    }

    /// A command that runs one of the programs as the cluster's user.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command.env("LC_ALL", "C").current_dir("/");
        command
    }

    /// Path of one of the programs; those of the client may be elsewhere in `PATH`.
    pub fn path(&self, program: &str) -> PathBuf {
        let path = self.directory.join(program);
        if path.is_file() { path } else { PathBuf::from(program) }
    }

    /// Who must own the cluster's files; `None` for the user who runs this.
    pub fn user(&self) -> Option<User> {
        self.user
    }
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn candidates() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        env::var_os("SWITCHBACK_PG_BIN").map(Into::into).into_iter().collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        found.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    found.extend(packaged());
    found.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    found
}

/// `/usr/lib/postgresql/<version>/bin`, newest first.
fn packaged() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut versions: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions
        .iter()
        .map(|v| Path::new("/usr/lib/postgresql").join(v.to_string()).join("bin"))
        .collect()
}

fn has(directory: &Path, program: &str) -> bool {
    directory.join(program).is_file()
}

fn unprivileged() -> Result<Option<User>, String> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].iter().find_map(|name| user_in(&passwd, name)).map(Some).ok_or_else(
        || "PostgreSQL refuses root, and there is no user `postgres` or `nobody`".into(),
    )
}

fn user_in(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/false\n";
        assert_eq!(user_in(passwd, "nobody"), Some(User { uid: 65534, gid: 65533 }));
        assert_eq!(user_in(passwd, "body"), None);
    }
}
