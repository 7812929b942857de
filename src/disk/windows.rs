//! The parts of [`super::RealDisk`] that differ on Windows. Long paths need nothing here: the standard library turns
//! absolute ones into their verbatim form.

use super::{Open, Stat, real::kind_of};
use std::{
    fs, io,
    os::windows::fs::{FileExt, MetadataExt},
    path::Path,
    time::UNIX_EPOCH,
};

pub(super) fn stat(path: &Path) -> io::Result<Stat> {
    fs::symlink_metadata(path).map(|meta| stat_of(&meta))
}

pub(super) fn stat_follow(path: &Path) -> io::Result<Stat> {
    fs::metadata(path).map(|meta| stat_of(&meta))
}

pub(super) fn stat_open(file: &fs::File) -> io::Result<Stat> {
    file.metadata().map(|meta| stat_of(&meta))
}

fn stat_of(meta: &fs::Metadata) -> Stat {
    let mtime_ns = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos() as i64);
    Stat {
        kind: kind_of(&meta.file_type()),
        len: meta.file_size(),
        allocated: meta.file_size(),
        mtime_ns,
        ino: 0,
        dev: 0,
        nlink: 1,
        mode: if meta.permissions().readonly() { 0o444 } else { 0o644 },
        uid: 0,
        gid: 0,
    }
}

pub(super) fn read_at(file: &fs::File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buf, offset)
}

pub(super) fn write_at(file: &fs::File, data: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(data, offset)
}

pub(super) fn set_mode(file: &fs::File, mode: u32) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(mode & 0o222 == 0);
    file.set_permissions(permissions)
}

pub(super) fn create_dir(path: &Path, _: u32) -> io::Result<()> {
    fs::create_dir(path)
}

/// Windows refuses to remove a read-only file, and a blob is one.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mut permissions = fs::symlink_metadata(path)?.permissions();
            if !permissions.readonly() {
                return Err(error);
            }
            #[expect(clippy::permissions_set_readonly_false, reason = "on Windows this is one attribute of one file")]
            permissions.set_readonly(false);
            fs::set_permissions(path, permissions)?;
            fs::remove_file(path)
        }
        other => other,
    }
}

/// `rename` replaces on Windows too; a hard link refuses an existing name, and the store is on one volume.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // FAT and exFAT have no hard links.
        Err(_) if fs::symlink_metadata(to).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

pub(super) fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

pub(super) fn open(path: &Path, how: Open) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    match how {
        Open::Read => {}
        Open::Write | Open::CreateIfMissing(_) => {
            options.write(true);
        }
        Open::CreateNew(_) => {
            options.write(true).create_new(true);
        }
    }
    options.open(path)
}

/// NTFS journals its names itself, and a folder cannot be opened for this.
pub(super) fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) fn set_group(_: &Path, _: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "Windows shares a folder by its access list, not by a group"))
}

/// Windows has no such groups.
pub fn group_name(gid: u32) -> String {
    gid.to_string()
}

pub(super) fn start_writeback(_: &fs::File, _: u64, _: u64) {}

/// Not known on Windows: claims are then trusted only as far as they were synced.
pub fn boot_id() -> String {
    String::new()
}

/// This machine's name, for people who wonder who holds a lock.
#[expect(clippy::disallowed_methods, reason = "Windows tells a machine its name through the environment")]
pub fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Whether `path` is on a file system that other hosts may write: a UNC path.
pub fn is_network_file_system(path: &Path) -> bool {
    path.to_string_lossy().starts_with(r"\\")
}
