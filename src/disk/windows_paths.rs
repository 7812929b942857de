//! Paths on Windows: how people write them, how the system wants them, and whose disk they are on.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::windows::ffi::OsStrExt,
    path::{Component, Path, PathBuf, Prefix},
};
use windows_sys::Win32::{Storage::FileSystem::GetDriveTypeW, System::WindowsProgramming::DRIVE_REMOTE};

/// The absolute path without links, as people write it: the system answers in the verbatim form, which other programs
/// stumble over. Where only that form names the file, it stays.
pub(super) fn canonical(path: &Path) -> io::Result<PathBuf> {
    let found = fs::canonicalize(path)?;
    Ok(plain(&found).unwrap_or(found))
}

fn plain(verbatim: &Path) -> Option<PathBuf> {
    let mut parts = verbatim.components();
    let Some(Component::Prefix(prefix)) = parts.next() else { return None };
    let mut plain = match prefix.kind() {
        Prefix::VerbatimDisk(letter) => OsString::from(format!("{}:", char::from(letter))),
        Prefix::VerbatimUNC(server, share) => [OsStr::new(r"\\"), server, OsStr::new(r"\"), share].into_iter().collect(),
        _ => return None,
    };
    plain.push(parts.as_path());
    let plain = PathBuf::from(plain);
    // A name that ends with a dot, or that of a device, would become another one.
    std::path::absolute(&plain).is_ok_and(|same| same.as_os_str() == plain.as_os_str()).then_some(plain)
}

/// A path for a call of the system: verbatim, so that it may be long.
pub(super) fn wide(path: &Path) -> io::Result<Vec<u16>> {
    let path = std::path::absolute(path)?;
    let mut parts = path.components();
    let prefix = match parts.next() {
        Some(Component::Prefix(prefix)) => match prefix.kind() {
            Prefix::Disk(letter) => Some(OsString::from(format!(r"\\?\{}:", char::from(letter)))),
            Prefix::UNC(server, share) => Some([OsStr::new(r"\\?\UNC\"), server, OsStr::new(r"\"), share].into_iter().collect()),
            _ => None,
        },
        _ => None,
    };
    let verbatim = prefix.map_or_else(
        || path.clone().into_os_string(),
        |mut prefix| {
            prefix.push(parts.as_path());
            prefix
        },
    );
    let wide: Vec<u16> = verbatim.encode_wide().chain([0]).collect();
    if wide[..wide.len() - 1].contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path has no zero in it"));
    }
    Ok(wide)
}

/// Whether `path` is on a file system that other hosts may write: a share, by its own name or as a drive.
pub fn is_network_file_system(path: &Path) -> bool {
    let Ok(path) = std::path::absolute(path) else { return false };
    match path.components().next() {
        Some(Component::Prefix(prefix)) => match prefix.kind() {
            Prefix::UNC(..) | Prefix::VerbatimUNC(..) => true,
            Prefix::Disk(letter) | Prefix::VerbatimDisk(letter) => is_remote_drive(letter),
            Prefix::Verbatim(_) | Prefix::DeviceNS(_) => false,
        },
        _ => false,
    }
}

#[expect(unsafe_code, reason = "no safe wrapper of GetDriveTypeW exists")]
fn is_remote_drive(letter: u8) -> bool {
    let root = [u16::from(letter), u16::from(b':'), u16::from(b'\\'), 0];
    // SAFETY: the text ends with a zero.
    unsafe { GetDriveTypeW(root.as_ptr()) == DRIVE_REMOTE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, RealDisk};

    #[test]
    fn a_path_is_told_as_people_write_it() {
        let temp = tempfile::tempdir().unwrap();
        let found = RealDisk.canonical(temp.path()).unwrap();
        assert!(!found.to_string_lossy().starts_with(r"\\?\"), "{}", found.display());
        assert_eq!(fs::canonicalize(&found).unwrap(), fs::canonicalize(temp.path()).unwrap());
        assert_eq!(plain(Path::new(r"\\?\C:\models\q4")), Some(r"C:\models\q4".into()));
        assert_eq!(plain(Path::new(r"\\?\UNC\server\share\q4")), Some(r"\\server\share\q4".into()));
        for only_verbatim in [r"\\?\C:\models\q4.", r"\\?\Volume{1}\q4"] {
            assert_eq!(plain(Path::new(only_verbatim)), None, "{only_verbatim}");
        }
    }

    #[test]
    fn a_share_is_where_other_hosts_may_write_and_a_disk_is_not() {
        for share in [r"\\server\share\models", r"\\?\UNC\server\share\models"] {
            assert!(is_network_file_system(Path::new(share)), "{share}");
        }
        for disk in [r"C:\models", r"\\?\C:\models", "models"] {
            assert!(!is_network_file_system(Path::new(disk)), "{disk}");
        }
    }
}
