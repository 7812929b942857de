//! The parts of [`super::RealDisk`] that differ on Unix.

use super::{Kind, LockKind, Open, Stat};
use rustix::fs::FileType;
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

pub(super) fn stat(path: &Path) -> io::Result<Stat> {
    Ok(stat_of(&rustix::fs::lstat(path)?))
}

pub(super) fn stat_follow(path: &Path) -> io::Result<Stat> {
    Ok(stat_of(&rustix::fs::stat(path)?))
}

pub(super) fn stat_open(file: &fs::File) -> io::Result<Stat> {
    Ok(stat_of(&rustix::fs::fstat(file)?))
}

#[allow(clippy::unnecessary_cast, reason = "the widths of these fields differ between systems and processors")]
pub(super) fn stat_of(stat: &rustix::fs::Stat) -> Stat {
    Stat {
        kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
        len: stat.st_size as u64,
        allocated: stat.st_blocks as u64 * 512,
        mtime_ns: stat.st_mtime as i64 * 1_000_000_000 + stat.st_mtime_nsec as i64,
        ino: stat.st_ino as u64,
        dev: stat.st_dev as u64,
        nlink: stat.st_nlink as u64,
        mode: stat.st_mode as u32 & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
    }
}

pub(super) fn kind_of(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Other,
    }
}

pub(super) fn read_at(file: &fs::File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buf, offset)
}

pub(super) fn write_at(file: &fs::File, data: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(data, offset)
}

pub(super) fn set_mode(file: &fs::File, mode: u32) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(mode))
}

pub(super) fn sync(file: &fs::File) -> io::Result<()> {
    file.sync_all()
}

pub(super) fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().mode(mode).create(path)?;
    // mkdir takes the umask off, and drops the setgid bit on some systems.
    if fs::symlink_metadata(path)?.mode() & 0o7777 & mode == mode {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            // NFS and some FUSE file systems have no such rename; link and unlink give the same promise.
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn canonical(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

pub(super) fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

pub(super) fn open(path: &Path, how: Open) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    match how {
        // Nobody waits for the other end of a pipe that stands where a file should; regular files do not mind the flag.
        Open::Read => {
            options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        }
        Open::Write | Open::CreateIfMissing(_) => {
            options.write(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        }
        Open::CreateNew(mode) => {
            options.write(true).create_new(true).mode(mode);
        }
    }
    let file = options.open(path)?;
    if let Open::CreateNew(mode) = how
        && file.metadata()?.mode() & 0o7777 & mode != mode
    {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(file)
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    match fs::File::open(path)?.sync_all() {
        // Some FUSE and network file systems cannot sync a folder; their renames are as durable as they get.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput || error.kind() == io::ErrorKind::Unsupported => Ok(()),
        other => other,
    }
}

pub(super) fn set_group(path: &Path, group: &str) -> io::Result<()> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("there is no group `{group}` in /etc/group"));
    let gid = match group.parse() {
        Ok(gid) => gid,
        Err(_) => {
            let groups = fs::read_to_string("/etc/group")?;
            let line = groups.lines().find(|line| line.split(':').next() == Some(group));
            line.and_then(|line| line.split(':').nth(2)).and_then(|gid| gid.parse().ok()).ok_or_else(unknown)?
        }
    };
    let mode = fs::symlink_metadata(path)?.mode() & 0o7777;
    std::os::unix::fs::lchown(path, None, Some(gid))?;
    // Changing the owner drops the setgid bit.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// The name of a group, for people; its number where it has none.
pub fn group_name(gid: u32) -> String {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let number = gid.to_string();
    let name = groups.lines().find(|line| line.split(':').nth(2) == Some(&number)).and_then(|line| line.split(':').next());
    name.map_or(number.clone(), str::to_owned)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe wrapper of sync_file_range exists")]
pub(super) fn start_writeback(file: &fs::File, offset: u64, len: u64) {
    use std::os::fd::AsRawFd;
    let (Ok(offset), Ok(len)) = (offset.try_into(), len.try_into()) else { return };
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call touches no memory of ours. Its
    // result does not matter: it is a hint, and errors of the writing itself come back from the next sync.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn start_writeback(_: &fs::File, _: u64, _: u64) {}

/// Identifies this boot of the machine: page cache written before a different value is gone.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// This machine's name, for people who wonder who holds a lock.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Tries to lock a file; `false` when somebody else holds it.
pub(super) fn try_lock(file: &fs::File, kind: LockKind) -> io::Result<bool> {
    let result = match kind {
        LockKind::Shared => file.try_lock_shared(),
        LockKind::Exclusive => file.try_lock(),
    };
    match result {
        Ok(()) => Ok(true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

pub(super) fn unlock(file: &fs::File) -> io::Result<()> {
    file.unlock()
}

/// Whether `path` is on a file system that other hosts may write, by the numbers of `statfs(2)`.
#[cfg(target_os = "linux")]
pub fn is_network_file_system(path: &Path) -> bool {
    // nfs, smb, smb2, cifs, ceph, lustre, gpfs, fuse (sshfs and the like), 9p, afs
    const NETWORK: [u64; 10] =
        [0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42, 0x00c3_6400, 0x0bd0_0bd0, 0x4750_4653, 0x6573_5546, 0x0102_1997, 0x5346_414f];
    rustix::fs::statfs(path).is_ok_and(|stats| NETWORK.contains(&(stats.f_type as u64 & 0xffff_ffff)))
}

/// Whether `path` is on a file system that other hosts may write; not known on this system.
#[cfg(not(target_os = "linux"))]
pub fn is_network_file_system(_: &Path) -> bool {
    false
}
