//! Files that lock out their users because a run by root left them to root, and the command that repairs it.

use super::layout::{Dir, Layout};
use crate::{
    disk::{self, Disk, DiskError, Stat},
    hint::Hint,
    text,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Something belongs to another user than its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutOut {
    /// Its owner.
    by: u32,
    /// To whom it should belong.
    owner: u32,
    /// The group that it should belong to.
    group: u32,
    /// Whether that group is to be named: in a private store it is that of the owner.
    is_shared: bool,
    /// What should be given back, with all that is in it.
    path: PathBuf,
}

/// A file or folder and those above it, from below.
type Chain = Vec<(PathBuf, Stat)>;

impl ShutOut {
    /// Whether a store's folder `root`, or what is in it, belongs to `by` and should belong to whom the folder belongs to.
    pub fn in_store(root: &Path, stat: &Stat, by: u32, is_shared: bool) -> Self {
        Self { by, owner: stat.uid, group: stat.gid, is_shared, path: root.to_owned() }
    }

    /// That `path` belongs to `by` and should belong to whom the folder above it belongs to.
    pub fn in_folder(path: &Path, by: u32, above: &Stat) -> Self {
        Self { by, owner: above.uid, group: above.gid, is_shared: above.mode & 0o020 != 0, path: path.to_owned() }
    }

    /// Why this user was refused, where it is that.
    pub fn of(disk: &dyn Disk, error: &DiskError) -> Option<Self> {
        (error.kind() == io::ErrorKind::PermissionDenied).then(|| Self::at(disk, &error.path))?
    }

    /// Why this user cannot write the store at `root`, where it is that.
    pub fn from_store(disk: &dyn Disk, root: &Path) -> Option<Self> {
        let layout = Layout::new(root);
        [Dir::Lock, Dir::Temp, Dir::Leases].into_iter().find_map(|dir| Self::at(disk, &layout.dir(dir)))
    }

    fn at(disk: &dyn Disk, path: &Path) -> Option<Self> {
        let user = disk::user_id()?;
        let path = std::path::absolute(path).ok()?;
        let chain: Chain = path.ancestors().filter_map(|at| Some((at.to_owned(), disk.stat(at).ok()?))).collect();
        let is_store = |(at, _): &&(PathBuf, Stat)| disk.stat(&Layout::new(at.as_path()).marker()).is_ok();
        let store = chain.iter().find(is_store).map(|(at, _)| at.clone());
        shut_out(&chain, store.as_deref(), user)
    }

    /// The command that gives it back.
    pub fn command(&self) -> String {
        let owner = disk::user_name(self.owner);
        // Of a user that no list names, chown knows no group.
        let is_named = owner != self.owner.to_string();
        let group = if is_named && !self.is_shared { String::new() } else { disk::group_name(self.group) };
        format!("sudo chown -R {owner}:{group} {}", text::shell_path(&self.path))
    }

    /// What to do about it.
    pub fn hint(&self) -> Hint {
        Hint::GiveBack { by: disk::user_name(self.by), owner: disk::user_name(self.owner), command: self.command() }
    }
}

/// The lowest entry of a chain with a wrong owner: it should belong to this user, if it is below a folder of theirs,
/// else to the owner of the store. The command is for the whole store, because a run seldom leaves only one file.
fn shut_out(chain: &[(PathBuf, Stat)], store: Option<&Path>, user: u32) -> Option<ShutOut> {
    let (_, lowest) = chain.first().filter(|(_, stat)| user != 0 && stat.uid != user)?;
    let root = store.and_then(|store| chain.iter().find(|(at, _)| at == store));
    let foreign = chain.iter().take_while(|(_, stat)| stat.uid != user).count();
    let (path, rightful) = match chain.get(foreign) {
        Some((_, mine)) => {
            let highest = &chain[foreign - 1].0;
            match root.filter(|(root, _)| highest.starts_with(root)) {
                Some((root, stat)) => (root, stat),
                None => (highest, mine),
            }
        }
        None => root.map(|(root, stat)| (root, stat)).filter(|(_, stat)| stat.uid != lowest.uid && lowest.uid == 0)?,
    };
    let is_shared = rightful.mode & 0o020 != 0;
    let owner = if foreign < chain.len() { user } else { rightful.uid };
    Some(ShutOut { by: lowest.uid, owner, group: rightful.gid, is_shared, path: path.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Kind;

    const ADA: u32 = 54_001;
    const BOB: u32 = 54_002;

    fn chain(owners: &[(&str, u32)], mode: u32) -> Chain {
        let stat = |uid| Stat {
            kind: Kind::Dir,
            len: 0,
            allocated: 0,
            mtime_ns: 0,
            atime_ns: 0,
            ino: 1,
            dev: 1,
            nlink: 1,
            mode,
            uid,
            gid: 54_100,
        };
        owners.iter().map(|(path, uid)| (path.into(), stat(*uid))).collect()
    }

    // Other systems have no owners of this kind, and quote in another way.
    #[cfg(unix)]
    #[test]
    fn what_root_left_below_a_folder_of_this_user_is_named_with_the_command_that_gives_it_back() {
        let in_store = chain(&[("/a/s/lock/store", 0), ("/a/s/lock", ADA), ("/a/s", ADA), ("/a", ADA), ("/", 0)], 0o755);
        let found = shut_out(&in_store, Some(Path::new("/a/s")), ADA).unwrap();
        assert_eq!(found.command(), format!("sudo chown -R {ADA}:54100 /a/s"));
        let whole = chain(&[("/a/m/s/lock", 0), ("/a/m/s", 0), ("/a/m", 0), ("/a", ADA), ("/", 0)], 0o755);
        assert_eq!(shut_out(&whole, Some(Path::new("/a/m/s")), ADA).unwrap().command(), format!("sudo chown -R {ADA}:54100 /a/m"));
        let beside = chain(&[("/a/c d/.models.yaml.lock", 0), ("/a/c d", ADA), ("/", 0)], 0o755);
        let found = shut_out(&beside, None, ADA).unwrap();
        assert_eq!(found.command(), format!("sudo chown -R {ADA}:54100 '/a/c d/.models.yaml.lock'"));
    }

    #[test]
    fn in_a_store_of_a_group_what_root_left_goes_to_the_owner_of_its_folder_and_the_group() {
        let shared = chain(&[("/s/lock/gc", 0), ("/s/lock", ADA), ("/s", ADA), ("/", 0)], 0o2775);
        for user in [ADA, BOB] {
            let found = shut_out(&shared, Some(Path::new("/s")), user).unwrap();
            assert_eq!(found.command(), format!("sudo chown -R {ADA}:54100 /s"));
        }
    }

    #[test]
    fn who_is_a_stranger_or_root_or_has_it_is_not_shut_out_of_what_is_theirs() {
        let theirs = chain(&[("/s/lock/gc", ADA), ("/s/lock", ADA), ("/s", ADA), ("/", 0)], 0o755);
        for (user, store) in [(BOB, Some(Path::new("/s"))), (ADA, Some(Path::new("/s"))), (0, None), (BOB, None)] {
            assert_eq!(shut_out(&theirs, store, user), None, "{user}");
        }
    }
}
