//! A file system of its own that is too small. Only root may make one.

use std::{path::PathBuf, process::Command};

use crate::{
    programs::{User, is_root},
    rig::directory,
};

/// A mounted file system; gone with its owner.
#[derive(Debug)]
pub struct SmallDisk {
    /// Where it is.
    pub path: PathBuf,
}

impl SmallDisk {
    /// A file system of so many megabytes that a user may write to; `None`, and a note, where none
    /// can be made.
    pub fn mount(megabytes: u32, user: Option<User>) -> Option<Self> {
        let path = directory().keep();
        let user = user.map(|user| format!(",uid={},gid={}", user.uid, user.gid));
        let options = format!("size={megabytes}m,mode=0700{}", user.unwrap_or_default());
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "switchback-small"]).arg(&path);
        if is_root() && mount.status().is_ok_and(|status| status.success()) {
            return Some(Self { path });
        }
        eprintln!("note: no small file system could be mounted: the full disk is skipped");
        let _ = std::fs::remove_dir(&path);
        None
    }

    /// Takes no more writes.
    pub fn freeze(&self) {
        self.remount("ro");
    }

    /// Makes room.
    pub fn grow(&self, megabytes: u32) {
        self.remount(&format!("size={megabytes}m"));
    }

    fn remount(&self, option: &str) {
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", &format!("remount,{option}")]).arg(&self.path).status();
        assert!(status.is_ok_and(|status| status.success()), "it cannot be mounted with {option}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // PostgreSQL may hold a directory open for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        let _ = std::fs::remove_dir(&self.path);
    }
}
