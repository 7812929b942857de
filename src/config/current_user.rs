//! Whose a file is, seen from this user. Where the system has no numbers for users, everything is this user's.

use super::environment::Environment;
use crate::disk::{self, Stat};

const ROOT: u32 = 0;
/// The permission bit that lets everybody write.
const OTHERS_WRITE: u32 = 0o002;

/// This user; for root, also the user who ran `sudo`.
#[derive(Debug, Clone, Copy)]
pub struct CurrentUser {
    me: Option<u32>,
    sudo: Option<u32>,
}

impl CurrentUser {
    /// The user of this process.
    pub fn of_process(environment: &Environment<'_>) -> Self {
        Self { me: disk::user_id(), sudo: environment.sudo_user() }
    }

    /// Whether this user owns it; for root also the user who ran `sudo`.
    pub fn owns(&self, stat: &Stat) -> bool {
        match self.me {
            None => true,
            Some(me) => stat.uid == me || (me == ROOT && self.sudo == Some(stat.uid)),
        }
    }

    /// Whether this number is this user's.
    pub fn is_me(&self, uid: u32) -> bool {
        self.me.is_none_or(|me| me == uid)
    }

    /// This user's number.
    pub fn number(&self) -> u32 {
        self.me.unwrap_or_default()
    }

    /// Whether only this user or the system's administrator can have written it.
    pub fn trusts(&self, stat: &Stat) -> bool {
        self.me.is_none() || ((self.owns(stat) || stat.uid == ROOT) && stat.mode & OTHERS_WRITE == 0)
    }

    /// Whether this user, or the system's administrator, owns it.
    pub fn knows(&self, stat: &Stat) -> bool {
        self.owns(stat) || stat.uid == ROOT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Kind;

    fn stat(uid: u32, mode: u32) -> Stat {
        Stat { kind: Kind::Dir, len: 0, allocated: 0, mtime_ns: 0, atime_ns: 0, ino: 1, dev: 1, nlink: 1, mode, uid, gid: 0 }
    }

    #[test]
    fn root_counts_the_files_of_who_ran_sudo_as_its_own_and_nobody_else_does() {
        let root = CurrentUser { me: Some(0), sudo: Some(7) };
        assert!(root.owns(&stat(0, 0o755)) && root.owns(&stat(7, 0o755)) && !root.owns(&stat(8, 0o755)));
        let user = CurrentUser { me: Some(8), sudo: Some(7) };
        assert!(user.owns(&stat(8, 0o755)) && !user.owns(&stat(7, 0o755)) && !user.owns(&stat(0, 0o755)));
        assert!(user.knows(&stat(0, 0o755)) && user.trusts(&stat(0, 0o644)) && !user.trusts(&stat(8, 0o666)));
        assert!(CurrentUser { me: None, sudo: None }.owns(&stat(8, 0o777)));
    }
}
