//! The parts of [`super::RealDisk`] that differ on Windows. Long paths need nothing but [`wide`] for calls of our own: the
//! standard library turns absolute ones into their verbatim form.

pub(super) use super::windows_paths::canonical;
pub use super::windows_paths::is_network_file_system;
use super::{LockKind, Open, Stat, real::kind_of, windows_paths::wide};
use std::{
    fs, io,
    mem::MaybeUninit,
    os::windows::{
        fs::{FileExt, MetadataExt, OpenOptionsExt},
        io::{AsRawHandle, FromRawHandle},
    },
    path::Path,
    ptr::null_mut,
    thread,
    time::{Duration, UNIX_EPOCH},
};
use windows_sys::Wdk::System::SystemInformation::{NtQuerySystemInformation, SystemTimeOfDayInformation};
use windows_sys::Win32::{
    Foundation::{ERROR_IO_PENDING, ERROR_LOCK_VIOLATION, GENERIC_READ, GENERIC_WRITE, INVALID_HANDLE_VALUE},
    Storage::FileSystem::{
        BY_HANDLE_FILE_INFORMATION, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES,
        FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_WRITE_ATTRIBUTES, GetFileInformationByHandle,
        LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, MoveFileExW, ReOpenFile, UnlockFileEx,
    },
    System::IO::{OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0},
};

/// How often another process may interfere with one change.
const RACES: usize = 20;

/// The byte that a lock takes, far behind the end of any file: Windows lets no other process read or write what is locked, and
/// the content of a lock file is read by those who wait for it.
const LOCKED_BYTE: u64 = 1 << 62;
/// What a volume that cannot number a file says.
const NO_INDEX: u64 = u64::MAX;
/// Between two tries to replace a file.
const BREAK: Duration = Duration::from_millis(20);

/// What only an open file tells: its volume, its number there, and how many names it has.
struct Identity {
    dev: u64,
    ino: u64,
    nlink: u64,
}

#[expect(unsafe_code, reason = "the standard library keeps what it learns here to itself")]
fn identity(file: &fs::File) -> io::Result<Identity> {
    let mut found = MaybeUninit::<BY_HANDLE_FILE_INFORMATION>::uninit();
    // SAFETY: the handle is open for as long as `file` is borrowed, and the structure has room for what is written.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), found.as_mut_ptr()) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it filled the structure.
    let found = unsafe { found.assume_init() };
    let index = u64::from(found.nFileIndexHigh) << 32 | u64::from(found.nFileIndexLow);
    Ok(Identity {
        dev: found.dwVolumeSerialNumber.into(),
        ino: if index == NO_INDEX { 0 } else { index },
        nlink: found.nNumberOfLinks.into(),
    })
}

fn facts(meta: &fs::Metadata, identity: &Identity) -> Stat {
    let since_1970 = |time: io::Result<std::time::SystemTime>| {
        time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos() as i64)
    };
    Stat {
        kind: kind_of(&meta.file_type()),
        len: meta.file_size(),
        allocated: meta.file_size(),
        mtime_ns: since_1970(meta.modified()),
        atime_ns: since_1970(meta.accessed()),
        ino: identity.ino,
        dev: identity.dev,
        nlink: identity.nlink,
        mode: if meta.permissions().readonly() { 0o444 } else { 0o644 },
        uid: 0,
        gid: 0,
    }
}

pub(super) fn stat(path: &Path) -> io::Result<Stat> {
    stat_by(path, FILE_FLAG_OPEN_REPARSE_POINT, |path| fs::symlink_metadata(path))
}

pub(super) fn stat_follow(path: &Path) -> io::Result<Stat> {
    stat_by(path, 0, |path| fs::metadata(path))
}

pub(super) fn stat_open(file: &fs::File) -> io::Result<Stat> {
    Ok(facts(&file.metadata()?, &identity(file)?))
}

fn stat_by(path: &Path, flag: u32, look: impl Fn(&Path) -> io::Result<fs::Metadata>) -> io::Result<Stat> {
    let mut options = fs::OpenOptions::new();
    match options.access_mode(FILE_READ_ATTRIBUTES).custom_flags(FILE_FLAG_BACKUP_SEMANTICS | flag).open(path) {
        Ok(file) => stat_open(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        // Opened so that no other process may open it, as Windows does with its own; the folder still tells something.
        Err(_) => Ok(facts(&look(path)?, &Identity { dev: 0, ino: 0, nlink: 1 })),
    }
}

pub(super) fn read_at(file: &fs::File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buf, offset)
}

pub(super) fn write_at(file: &fs::File, data: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(data, offset)
}

pub(super) fn set_mode(file: &fs::File, mode: u32) -> io::Result<()> {
    match set_readonly(file, mode & 0o222 == 0) {
        // Opened for reading, which is without the right to change it. Unix asks who owns the file and not how it is open.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            set_readonly(&reopen(file, GENERIC_READ | FILE_WRITE_ATTRIBUTES)?, mode & 0o222 == 0)
        }
        other => other,
    }
}

fn set_readonly(file: &fs::File, readonly: bool) -> io::Result<()> {
    let meta = file.metadata()?;
    // NTFS gives a file that was written its time when it is closed, unless a program set it: what is recorded of a file
    // while it is open must hold afterwards.
    file.set_modified(meta.modified()?)?;
    let mut permissions = meta.permissions();
    permissions.set_readonly(readonly);
    file.set_permissions(permissions)
}

/// Windows syncs only what is open for writing, and nothing that is read-only can be opened so.
pub(super) fn sync(file: &fs::File) -> io::Result<()> {
    let refused = match file.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
        other => return other,
    };
    if let Ok(writable) = reopen(file, GENERIC_WRITE) {
        return writable.sync_all();
    }
    if !file.metadata()?.permissions().readonly() {
        return Err(refused);
    }
    set_mode(file, 0o644)?;
    let synced = reopen(file, GENERIC_WRITE).and_then(|writable| writable.sync_all());
    set_mode(file, 0o444)?;
    synced
}

/// The same file, opened for something else.
#[expect(unsafe_code, reason = "the standard library opens by path only")]
fn reopen(file: &fs::File, access: u32) -> io::Result<fs::File> {
    let share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    // SAFETY: the handle is open for as long as `file` is borrowed.
    let handle = unsafe { ReOpenFile(file.as_raw_handle(), access, share, FILE_FLAG_BACKUP_SEMANTICS) };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded: the handle is a new one and belongs to no one else.
    Ok(unsafe { fs::File::from_raw_handle(handle) })
}

pub(super) fn create_dir(path: &Path, _: u32) -> io::Result<()> {
    fs::create_dir(path)
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => while_writable(path, error, || fs::remove_file(path)),
        other => other,
    }
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let mut tries = 0..RACES;
    loop {
        let result = match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => while_writable(to, error, || fs::rename(from, to)),
            other => other,
        };
        match result {
            // Where an open file cannot be replaced, another process may be reading the old one just now.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && to.is_file() && tries.next().is_some() => {
                thread::sleep(BREAK);
            }
            other => return other,
        }
    }
}

/// Some volumes refuse to remove or replace a read-only file, and a blob is one. Being read-only belongs to the file and
/// not to the name that goes, so what has further names gets it back. `refused` is returned where that was not the reason.
fn while_writable(path: &Path, refused: io::Error, act: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let open = || {
        let flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
        fs::OpenOptions::new().access_mode(FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES).custom_flags(flags).open(path)
    };
    let Ok(file) = open() else { return Err(refused) };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(refused);
    }
    if identity(&file)?.nlink > 1 {
        return while_shared_is_writable(&file, refused, act);
    }
    if !meta.permissions().readonly() {
        return Err(refused);
    }
    set_readonly(&file, false)?;
    // An open file cannot be replaced everywhere.
    drop(file);
    let result = act();
    if result.is_err() {
        set_readonly(&open()?, true)?;
    }
    result
}

/// The same for one of several names. Another process may remove another name meanwhile, and make the file writable and
/// read-only again as this does.
fn while_shared_is_writable(file: &fs::File, refused: io::Error, act: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let mut result = Err(refused);
    let mut was_readonly = false;
    for _ in 0..RACES {
        if file.metadata()?.permissions().readonly() {
            was_readonly = true;
            set_readonly(file, false)?;
        }
        result = act();
        if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::PermissionDenied) {
            break;
        }
    }
    if was_readonly {
        set_readonly(file, true)?;
    }
    result
}

#[expect(unsafe_code, reason = "the standard library's rename always replaces")]
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (wide(from)?, wide(to)?);
    // SAFETY: both texts end with a zero.
    match unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), 0) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

pub(super) fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

pub(super) fn open(path: &Path, how: Open) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    match how {
        Open::Read | Open::ReadFollow => {}
        Open::Write | Open::CreateIfMissing(_) => {
            options.write(true);
        }
        Open::CreateNew(_) => {
            options.write(true).create_new(true);
        }
    }
    match options.open(path) {
        // Windows says of a folder that access is denied.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.is_dir() => Err(match how {
            Open::Read | Open::ReadFollow => super::not_regular(),
            _ => io::ErrorKind::IsADirectory.into(),
        }),
        other => other,
    }
}

/// What Windows says of a reparse point that leads nowhere.
pub(super) fn is_wrong_kind(code: i32) -> bool {
    // ERROR_CANT_ACCESS_FILE, ERROR_CANT_RESOLVE_FILENAME
    matches!(code, 1920 | 1921)
}

/// NTFS journals its names itself, and a folder cannot be opened for this.
pub(super) fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) fn set_group(_: &fs::File, _: u32) -> io::Result<()> {
    Err(no_groups())
}

/// Windows has no such groups.
pub fn group_number(_: &str) -> io::Result<u32> {
    Err(no_groups())
}

fn no_groups() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "Windows shares a folder by its access list, not by a group")
}

/// Windows has no such groups.
pub fn group_name(gid: u32) -> String {
    gid.to_string()
}

/// Windows has no such numbers.
pub fn user_name(uid: u32) -> String {
    uid.to_string()
}

pub(super) fn start_writeback(_: &fs::File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

pub(super) fn zero(_: &fs::File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn drop_cache(_: &fs::File) {}

pub(super) fn keep_access_time(_: &fs::File) {}

pub(super) fn touch(file: &fs::File) -> io::Result<()> {
    file.set_modified(std::time::SystemTime::now())
}

pub(super) fn has_writer(_: &fs::File) -> Option<bool> {
    None
}

/// Windows has no owners of this kind to give anything to.
pub(super) fn give_copy(_: &Path) {}

/// Identifies this boot of the machine: page cache written before a different value is gone. A clock that is set gives
/// another value too, which costs no more than trust.
#[expect(unsafe_code, reason = "no safe wrapper of NtQuerySystemInformation exists")]
pub fn boot_id() -> String {
    // SYSTEM_TIMEOFDAY_INFORMATION: the time of the boot comes first.
    let mut times = [0i64; 6];
    // SAFETY: the system writes at most the given number of bytes, and any bytes are numbers.
    let status = unsafe {
        NtQuerySystemInformation(SystemTimeOfDayInformation, times.as_mut_ptr().cast(), size_of_val(&times) as u32, null_mut())
    };
    match (status, times[0]) {
        (0, 1..) => format!("booted {}", times[0]),
        _ => String::new(),
    }
}

/// What tells this machine from others, as far as that is known: its name.
pub fn machine_id() -> String {
    host_name()
}

/// Whether another volume is mounted here. Links of that kind are resolved in a canonical path, so none is left in one.
pub fn is_mount_point(_: &Path) -> bool {
    false
}

/// The user that this process acts for; Windows has no numbers for users.
pub fn user_id() -> Option<u32> {
    None
}

/// This machine's name, for messages about the holder of a lock.
#[expect(clippy::disallowed_methods, reason = "Windows tells a machine its name through the environment")]
pub fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

fn where_locked() -> OVERLAPPED {
    let place = OVERLAPPED_0_0 { Offset: LOCKED_BYTE as u32, OffsetHigh: (LOCKED_BYTE >> 32) as u32 };
    OVERLAPPED { Anonymous: OVERLAPPED_0 { Anonymous: place }, ..OVERLAPPED::default() }
}

/// Tries to lock a file; `false` when another process holds it.
#[expect(unsafe_code, reason = "the standard library locks the whole file")]
pub(super) fn try_lock(file: &fs::File, kind: LockKind) -> io::Result<bool> {
    let exclusive = if kind == LockKind::Exclusive { LOCKFILE_EXCLUSIVE_LOCK } else { 0 };
    let mut place = where_locked();
    // SAFETY: the handle is open for as long as `file` is borrowed. It was not opened for overlapped work, so the call is
    // over with `place` when it returns.
    if unsafe { LockFileEx(file.as_raw_handle(), LOCKFILE_FAIL_IMMEDIATELY | exclusive, 0, 1, 0, &mut place) } != 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error().map(|code| code as u32) {
        Some(ERROR_LOCK_VIOLATION | ERROR_IO_PENDING) => Ok(false),
        _ => Err(error),
    }
}

#[expect(unsafe_code, reason = "the standard library unlocks the whole file")]
pub(super) fn unlock(file: &fs::File) -> io::Result<()> {
    let mut place = where_locked();
    // SAFETY: as for locking.
    match unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &mut place) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, Open, RealDisk};

    #[test]
    fn boots_are_told_apart_and_one_boot_is_one() {
        assert!(!boot_id().is_empty());
        assert_eq!(boot_id(), boot_id());
    }

    #[test]
    fn a_file_that_is_read_only_by_now_can_be_synced_and_be_made_writable_by_who_reads_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        fs::write(&path, "weights").unwrap();
        let file = RealDisk.open(&path, Open::Read).unwrap();
        let before = file.stat().unwrap();
        for mode in [0o444, 0o644] {
            file.set_mode(mode).unwrap();
            file.sync_all().unwrap();
            assert_eq!(file.stat().unwrap(), Stat { mode, ..before });
        }
    }
}
