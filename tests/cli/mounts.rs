//! Small volumes to fill and folders nobody can write: mounts, which only root may make.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mount that ends with this value.
pub struct Mount(PathBuf);

/// A tmpfs of so many KiB at `path`.
#[track_caller]
pub fn tmpfs(path: &Path, kib: u64) -> Mount {
    tmpfs_with(path, &format!("size={kib}k"))
}

/// A tmpfs at `path` with these options.
#[track_caller]
pub fn tmpfs_with(path: &Path, options: &str) -> Mount {
    std::fs::create_dir_all(path).unwrap();
    mount(&["-t", "tmpfs", "-o", options, "tmpfs"], path)
}

/// Makes `path` read-only until the value is dropped.
#[track_caller]
pub fn read_only(path: &Path) -> Mount {
    let bound = mount(&["--bind", path.to_str().unwrap()], path);
    // The same mount again: it ends once.
    std::mem::forget(mount(&["-o", "remount,ro,bind"], path));
    bound
}

#[track_caller]
fn mount(args: &[&str], path: &Path) -> Mount {
    let output = Command::new("mount").args(args).arg(path).output().expect("mount can be run");
    assert!(output.status.success(), "mount {args:?} failed; this test needs root: {}", String::from_utf8_lossy(&output.stderr));
    Mount(path.to_owned())
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _nothing_left_to_do = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Takes every free byte of the volume of `dir`; removing the file gives them back.
pub fn fill(dir: &Path) -> PathBuf {
    use std::io::Write;
    let path = dir.join("ballast");
    let mut file = std::fs::File::create(&path).unwrap();
    for size in [1 << 20, 4096, 512, 1] {
        let block = vec![7_u8; size];
        while file.write_all(&block).is_ok() {}
    }
    path
}
