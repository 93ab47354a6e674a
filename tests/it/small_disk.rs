//! A file system with little room, which is soon full.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::lab::output;

/// Mounted until it is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of this size, as `64k`; none if this user may not mount any.
    pub fn mount(at: PathBuf, size: &str) -> Option<SmallDisk> {
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"]).arg(&at);
        output(&mut mount).status.success().then_some(SmallDisk(at))
    }

    /// Takes all the room that there is, in this file.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.join("fill");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
