//! The parts of [`super::RealDisk`] that differ on Unix.

use super::{Kind, LockKind, Open, Owner, Space, Stat, owner_to_give};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use std::{
    fs, io,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What the last component of a path may be when a file is opened for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// A symbolic link is followed.
    Follow,
    /// A symbolic link is an error.
    Refuse,
}

pub(super) fn stat(path: &Path) -> io::Result<Stat> {
    stat_at(CWD, path)
}

pub(super) fn stat_at(dir: impl AsFd, name: &Path) -> io::Result<Stat> {
    Ok(stat_of(&rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
}

pub(super) fn stat_follow(path: &Path) -> io::Result<Stat> {
    stat_follow_at(CWD, path)
}

pub(super) fn stat_follow_at(dir: impl AsFd, name: &Path) -> io::Result<Stat> {
    Ok(stat_of(&rustix::fs::statat(dir, name, AtFlags::empty())?))
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
        atime_ns: stat.st_atime as i64 * 1_000_000_000 + stat.st_atime_nsec as i64,
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

/// Not by a time that is given: that is for the owner alone.
pub(super) fn touch(file: &fs::File) -> io::Result<()> {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    Ok(rustix::fs::futimens(file, &rustix::fs::Timestamps { last_access: now, last_modification: now })?)
}

/// Only its owner may ask for it, so that it fails is no error.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn keep_access_time(file: &fs::File) {
    let _ = rustix::fs::fcntl_getfl(file).and_then(|flags| rustix::fs::fcntl_setfl(file, flags | OFlags::NOATIME));
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn keep_access_time(_: &fs::File) {}

pub(super) fn sync(file: &fs::File) -> io::Result<()> {
    file.sync_all()
}

pub(super) fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    create_dir_at(CWD, path, mode)
}

pub(super) fn create_dir_at(dir: impl AsFd, name: &Path, mode: u32) -> io::Result<()> {
    rustix::fs::mkdirat(&dir, name, mode_of(mode))?;
    // mkdir takes the umask off, and drops the setgid bit on some systems.
    let (owner, is_right) = (heir(&dir, name), stat_at(&dir, name)?.mode & mode == mode);
    if owner.is_none() && is_right {
        return Ok(());
    }
    let made = open_dir_at(&dir, name)?;
    // Another user may have replaced it by a folder of their own, which is not changed. A folder that is not empty is
    // not given away.
    if Some(rustix::fs::fstat(&made)?.st_uid) == user_id() && !is_right {
        rustix::fs::fchmod(&made, mode_of(mode))?;
    }
    let is_empty = rustix::fs::Dir::read_from(&made)?.flatten().all(|entry| matches!(entry.file_name().to_bytes(), b"." | b".."));
    give(&made, FileType::Directory, owner.filter(|_| is_empty));
    Ok(())
}

#[allow(clippy::unnecessary_cast, reason = "the width of a mode differs between systems")]
fn mode_of(mode: u32) -> Mode {
    Mode::from_raw_mode(mode as rustix::fs::RawMode)
}

/// Opens a folder for reading its names; a link in its place is an error.
pub(super) fn open_dir_at(dir: impl AsFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(&dir, name, flags, Mode::empty()) {
        // Some systems say of a link that it is no folder, others that it is a link.
        Err(Errno::NOTDIR) if stat_at(&dir, name)?.kind == Kind::Symlink => Err(Errno::LOOP.into()),
        other => Ok(other?),
    }
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    rename_new_at((CWD, from), (CWD, to))
}

pub(super) fn rename_new_at<A: AsFd, B: AsFd>(from: (A, &Path), to: (B, &Path)) -> io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};
    match renameat_with(&from.0, from.1, &to.0, to.1, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            // NFS and some FUSE file systems have no such rename; link and unlink give the same promise.
            rustix::fs::linkat(&from.0, from.1, &to.0, to.1, AtFlags::empty())?;
            Ok(rustix::fs::unlinkat(&from.0, from.1, AtFlags::empty())?)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn canonical(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

pub(super) fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    symlink_at(target, CWD, link)
}

pub(super) fn symlink_at(target: &Path, dir: impl AsFd, name: &Path) -> io::Result<()> {
    rustix::fs::symlinkat(target, &dir, name)?;
    #[cfg(target_os = "linux")]
    if let Some(owner) = heir(&dir, name)
        && let Ok(made) = rustix::fs::openat(&dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    {
        give(&made, FileType::Symlink, Some(owner));
    }
    Ok(())
}

/// Gives a copy that was made at `path` to the owner of its folder.
pub(super) fn give_copy(path: &Path) {
    let Some(owner) = heir(CWD, path) else { return };
    if let Ok(made) = open_at(CWD, path, Open::Read, Links::Refuse) {
        give(&made, FileType::RegularFile, Some(owner));
    }
}

/// The owner that this process gives to what it makes under a name below an open folder.
fn heir(dir: impl AsFd, name: &Path) -> Option<Owner> {
    let user = user_id().filter(|user| *user == 0)?;
    let stat = match name.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => rustix::fs::statat(dir, folder, AtFlags::empty()),
        None if std::os::fd::AsRawFd::as_raw_fd(&dir.as_fd()) == std::os::fd::AsRawFd::as_raw_fd(&CWD) => rustix::fs::stat("."),
        None => rustix::fs::fstat(dir),
    };
    let stat = stat.ok()?;
    owner_to_give(user, Owner { uid: stat.st_uid, gid: stat.st_gid })
}

/// Changes the owner of a new file or folder through its handle, because its path may name something else by now, as
/// may a handle that was opened later. It is left as it is if its kind or owner is unexpected or it has more names.
/// Where owners cannot be changed, as in some containers, it stays with this user, and `doctor` reports who is locked
/// out.
fn give(made: impl AsFd, kind: FileType, owner: Option<Owner>) {
    let (Some(owner), Ok(stat)) = (owner, rustix::fs::fstat(&made)) else { return };
    let is_ours = FileType::from_raw_mode(stat.st_mode) == kind && Some(stat.st_uid) == user_id();
    if is_ours && (kind == FileType::Directory || stat.st_nlink == 1) {
        let (uid, gid) = (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
        let _ = match kind {
            FileType::Symlink => rustix::fs::chownat(&made, "", uid, gid, AtFlags::EMPTY_PATH),
            _ => rustix::fs::fchown(&made, uid, gid),
        };
    }
}

pub(super) fn open(path: &Path, how: Open) -> io::Result<fs::File> {
    open_at(CWD, path, how, Links::Follow)
}

/// How a file is opened for reading: a pipe in place of a file does not block.
pub(super) fn read_flags() -> OFlags {
    OFlags::RDONLY | OPENED
}

/// What holds for every open file.
const OPENED: OFlags = OFlags::CLOEXEC.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Opens a file with `O_NONBLOCK`, so that a pipe in place of a file does not block; it has no effect on regular files.
pub(super) fn open_at(dir: impl AsFd, name: &Path, how: Open, links: Links) -> io::Result<fs::File> {
    let open = |flags: OFlags, mode: u32| -> io::Result<fs::File> {
        Ok(rustix::fs::openat(&dir, name, flags | OPENED, mode_of(mode))?.into())
    };
    match how {
        Open::ReadFollow => open(OFlags::RDONLY, 0),
        Open::Read if links == Links::Follow => open(OFlags::RDONLY, 0),
        Open::Read => open(OFlags::RDONLY | OFlags::NOFOLLOW, 0),
        Open::Write | Open::CreateIfMissing(_) => {
            let file = open(OFlags::RDWR | OFlags::NOFOLLOW, 0)?;
            // Nothing is ever written to a pipe or a device.
            match stat_open(&file)?.kind {
                Kind::File => Ok(file),
                _ => Err(super::not_regular()),
            }
        }
        Open::CreateNew(mode) => {
            let file = open(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW, mode)?;
            give(&file, FileType::RegularFile, heir(&dir, name));
            if stat_open(&file)?.mode & mode != mode {
                set_mode(&file, mode)?;
            }
            Ok(file)
        }
    }
}

/// What the system says of a link that is not followed or ends nowhere, of a socket, and of a device without a driver.
pub(super) fn is_wrong_kind(code: i32) -> bool {
    [Errno::LOOP, Errno::MLINK, Errno::NXIO, Errno::NODEV, Errno::OPNOTSUPP].contains(&Errno::from_raw_os_error(code))
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    sync_open_dir(fs::File::open(path)?)
}

pub(super) fn sync_open_dir(dir: fs::File) -> io::Result<()> {
    match dir.sync_all() {
        // Some FUSE and network file systems cannot sync a folder; their renames are as durable as they get.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput || error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(error) => {
            write_names_again(&dir);
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

/// Has the system write a folder out once more, which it takes for written after it failed to: a change makes it dirty again.
/// Where that fails too, the next change does it.
fn write_names_again(dir: &fs::File) {
    let name = PathBuf::from(super::temp_name());
    if open_at(dir, &name, Open::CreateNew(0o600), Links::Refuse).is_ok() {
        let _ = rustix::fs::unlinkat(dir, &name, AtFlags::empty());
    }
}

/// Gives an open file or folder to a group. Its owner may, to a group that this user is in.
pub(super) fn set_group(file: &fs::File, gid: u32) -> io::Result<()> {
    let mode = stat_open(file)?.mode;
    std::os::unix::fs::fchown(file, None, Some(gid))?;
    // Changing the group drops the setgid bit.
    set_mode(file, mode)
}

/// The number of a group that is given by name or number.
pub fn group_number(group: &str) -> io::Result<u32> {
    if let Ok(gid) = group.parse() {
        return Ok(gid);
    }
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("there is no group `{group}` in /etc/group"));
    let groups = fs::read_to_string("/etc/group")?;
    let line = groups.lines().find(|line| line.split(':').next() == Some(group));
    line.and_then(|line| line.split(':').nth(2)).and_then(|gid| gid.parse().ok()).ok_or_else(unknown)
}

/// What a symbolic link holds.
pub(super) fn read_link_at(dir: impl AsFd, name: &Path) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
    Ok(std::ffi::OsString::from_vec(target.into_bytes()).into())
}

/// Room on the volume of an open folder.
pub(super) fn space_of(dir: impl AsFd) -> io::Result<Space> {
    let stats = rustix::fs::fstatvfs(dir)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stats.f_frsize);
    Ok(Space { available: bytes(stats.f_bavail), total: bytes(stats.f_blocks) })
}

/// Makes a file that shares its extents with another, of which a link is none.
pub(super) fn reflink_at<A: AsFd, B: AsFd>(from: (A, &Path), to: (B, &Path)) -> io::Result<()> {
    let source = open_at(from.0, from.1, Open::Read, Links::Refuse)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mode = stat_open(&source)?.mode;
        let target = open_at(&to.0, to.1, Open::CreateNew(0o600), Links::Refuse)?;
        let cloned = rustix::fs::ioctl_ficlone(&target, &source).map_err(io::Error::from);
        give(&target, FileType::RegularFile, heir(&to.0, to.1));
        cloned.and_then(|()| set_mode(&target, mode)).inspect_err(|_| {
            // The first error is reported; an empty file under a temporary name may stay.
            let _ = rustix::fs::unlinkat(&to.0, to.1, AtFlags::empty());
        })
    }
    #[cfg(target_vendor = "apple")]
    return Ok(rustix::fs::fclonefileat(&source, to.0, to.1, rustix::fs::CloneFlags::empty())?);
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    {
        let _ = (source, to);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The names in an open folder and what they are.
#[cfg(not(target_os = "linux"))]
pub(super) fn list_open_dir(dir: impl AsFd) -> io::Result<Vec<super::Entry>> {
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::read_from(&dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if matches!(name.as_str(), "." | "..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => stat_at(&dir, Path::new(&name))?.kind,
            known => kind_of(known),
        };
        entries.push(super::Entry { name, kind });
    }
    Ok(entries)
}

/// The name of a group, for people; its number where it has none.
pub fn group_name(gid: u32) -> String {
    name_in("/etc/group", gid)
}

/// The name of a user, for people and their commands; the number where there is none.
pub fn user_name(uid: u32) -> String {
    name_in("/etc/passwd", uid)
}

fn name_in(list: &str, number: u32) -> String {
    let lines = fs::read_to_string(list).unwrap_or_default();
    let number = number.to_string();
    let name = lines.lines().find(|line| line.split(':').nth(2) == Some(&number)).and_then(|line| line.split(':').next());
    name.map_or(number.clone(), str::to_owned)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe wrapper of sync_file_range exists")]
pub(super) fn start_writeback(file: &fs::File, offset: u64, len: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let (Ok(offset), Ok(len)) = (offset.try_into(), len.try_into()) else { return Ok(()) };
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call touches no memory of ours.
    if unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Nothing was begun: the call is not known here, or not allowed, or there was no memory for it.
        Some(libc::EINVAL | libc::ESPIPE | libc::ENOSYS | libc::EPERM | libc::EOPNOTSUPP | libc::EINTR | libc::ENOMEM) => Ok(()),
        // The writeback failed here, and ext4 may have dropped the data. The next sync may not report it.
        _ => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn start_writeback(_: &fs::File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
pub(super) fn zero(file: &fs::File, offset: u64, len: u64) -> io::Result<()> {
    use rustix::fs::FallocateFlags;
    Ok(rustix::fs::fallocate(file, FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, offset, len)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn zero(_: &fs::File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
pub(super) fn drop_cache(file: &fs::File) {
    // A hint: mapped pages stay.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn drop_cache(_: &fs::File) {}

/// Whether a process has the file open for writing, as the kernel says that refuses a read lease then (`fcntl(2)`, `F_SETLEASE`).
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the call takes an open file and a number")]
pub(super) fn has_writer(file: &fs::File) -> Option<bool> {
    /// Which signal tells of a lease that is broken (`fcntl(2)`).
    const F_SETSIG: libc::c_int = 10;
    use std::os::fd::AsRawFd as _;
    // A process that opens the file for writing meanwhile would make the kernel send SIGIO, which ends this one; SIGURG does not.
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the call gets no pointer.
    if unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) } != 0 {
        return None;
    }
    // SAFETY: as above.
    let lease = |kind: libc::c_int| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) };
    if lease(libc::F_RDLCK) == 0 {
        lease(libc::F_UNLCK);
        return Some(false);
    }
    // Anything else says nothing: a file of another user, or a file system without leases.
    (io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)).then_some(true)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn has_writer(_: &fs::File) -> Option<bool> {
    None
}

/// Identifies this boot of the machine: page cache written before a different value is gone.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// What tells this installation of the system from others; empty where there is nothing of the kind, as in most containers.
#[cfg(target_os = "linux")]
pub fn machine_id() -> String {
    let read = |path| fs::read_to_string(path).map(|id| id.trim().to_owned()).ok();
    // `uninitialized` is there until the first boot of a fresh image.
    let is_id = |id: &String| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().find_map(|path| read(path).filter(is_id)).unwrap_or_default()
}

/// What tells this machine from others, as far as that is known: its name.
#[cfg(not(target_os = "linux"))]
pub fn machine_id() -> String {
    host_name()
}

/// Whether another volume, or another folder of the same one, is mounted here, so that what is seen here is elsewhere too.
pub fn is_mount_point(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
        let found = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS);
        found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let dev = |path: &Path| fs::metadata(path).map(|meta| std::os::unix::fs::MetadataExt::dev(&meta)).ok();
        path.parent().is_some_and(|above| dev(above) != dev(path))
    }
}

/// The user that this process acts for; `None` where the system has no numbers for users.
pub fn user_id() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// This machine's name, for messages about the holder of a lock.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Tries to lock a file; `false` when another process holds it.
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

/// File systems that other hosts, or the host of a virtual machine, may write beside this one, by their numbers in
/// `statfs(2)`.
#[cfg(target_os = "linux")]
const NETWORK: [(u64, &str); 25] = [
    (0x0000_517b, "smb"),
    (0x0000_564c, "ncpfs"),
    (0x0000_6969, "nfs"),
    (0x00c3_6400, "ceph"),
    (0x0102_1997, "9p"),
    (0x0116_1970, "gfs2"),
    (0x0131_11a8, "ibrix"),
    (0x0bd0_0bd0, "lustre"),
    (0x1983_0326, "beegfs"),
    (0x2003_0528, "orangefs"),
    (0x4750_4653, "gpfs"),
    (0x5346_414f, "afs"),
    (0x6163_6673, "acfs"),
    (0x6573_5546, "fuse: sshfs, glusterfs, virtiofs and the like"),
    (0x6b41_4653, "kafs"),
    (0x7375_7245, "coda"),
    (0x7461_636f, "ocfs2"),
    (0x786f_4256, "vboxsf"),
    (0x7c7c_6673, "prl_fs"),
    (0xa501_fcf5, "vxfs"),
    (0xaad7_aaea, "panfs"),
    (0xbacb_acbc, "vmhgfs"),
    (0xbeef_dead, "snfs"),
    (0xfe53_4d42, "smb2 and smb3"),
    (0xff53_4d42, "cifs"),
];

/// Whether `path` is on a file system that other hosts may write, by the numbers of `statfs(2)`.
#[cfg(target_os = "linux")]
pub fn is_network_file_system(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stats| network_name(stats.f_type as u64).is_some())
}

/// The name of a network file system with this number. Some systems give the number with a sign.
#[cfg(target_os = "linux")]
fn network_name(number: u64) -> Option<&'static str> {
    NETWORK.iter().find(|(known, _)| *known == number & 0xffff_ffff).map(|(_, name)| *name)
}

/// Whether `path` is on a file system that other hosts may write; not known on this system.
#[cfg(not(target_os = "linux"))]
pub fn is_network_file_system(_: &Path) -> bool {
    false
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_hosts_are_known_by_their_numbers_and_local_ones_are_none() {
        for (number, name) in [
            (0x6969, "nfs"),
            (0x1983_0326, "beegfs"),
            (0xaad7_aaea, "panfs"),
            (0x2003_0528, "orangefs"),
            (0x786f_4256, "vboxsf"),
            (0x0102_1997, "9p"),
            (0x0bd0_0bd0, "lustre"),
            (0x4750_4653, "gpfs"),
            (0x7461_636f, "ocfs2"),
            (0x0116_1970, "gfs2"),
            (0x564c, "ncpfs"),
            (0x7375_7245, "coda"),
            (0xffff_ffff_ff53_4d42, "cifs"),
        ] {
            assert_eq!(network_name(number), Some(name));
        }
        // ext4, xfs, btrfs, tmpfs, overlayfs, zfs, f2fs, exfat, ntfs3
        for number in
            [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0xf2f5_2010, 0x2011_bab0, 0x7366_746e]
        {
            assert_eq!(network_name(number), None, "{number:#x}");
        }
        assert!(NETWORK.is_sorted());
        assert!(!is_network_file_system(Path::new("/proc/self")));
    }
}
