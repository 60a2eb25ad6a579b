//! A file system of its own that is too small. Only root may make one.

use std::{path::PathBuf, process::Command};

use switchback_tests::{
    programs::{User, is_root},
    rig::directory,
};

/// Gone with its owner.
pub(crate) struct SmallDisk {
    pub(crate) path: PathBuf,
}

impl SmallDisk {
    /// A file system of so many megabytes that a user may write to; `None`, and a note, where none
    /// can be made.
    pub(crate) fn mount(megabytes: u32, user: Option<User>) -> Option<Self> {
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

    /// Makes room.
    pub(crate) fn grow(&self, megabytes: u32) {
        let options = format!("remount,size={megabytes}m");
        let grown = Command::new("mount").args(["-o", &options]).arg(&self.path).status();
        assert!(grown.is_ok_and(|status| status.success()), "the file system does not grow");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // PostgreSQL may hold a directory open for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        let _ = std::fs::remove_dir(&self.path);
    }
}
