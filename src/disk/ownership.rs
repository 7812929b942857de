//! Whose the files are that root makes.

/// An owner and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// What the system shows as the owner where the real one has no number here, as in a container.
const NOBODY: u32 = 65_534;

/// The owner that a new file of `user` gets in a folder of `folder`; `None` if it is kept. What root creates gets the
/// owner of its folder, who could not use it otherwise. Root keeps it in a folder of root or of an unmapped user.
pub fn owner_to_give(user: u32, folder: Owner) -> Option<Owner> {
    (user == 0 && !matches!(folder.uid, 0 | NOBODY)).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_gives_and_only_to_whom_the_folder_belongs() {
        let ada = Owner { uid: 1000, gid: 100 };
        assert_eq!(owner_to_give(0, ada), Some(ada));
        for (user, uid) in [(1000, 1000), (1001, 1000), (1000, 0), (0, 0), (0, NOBODY)] {
            assert_eq!(owner_to_give(user, Owner { uid, gid: 100 }), None, "{user} in a folder of {uid}");
        }
    }
}
