//! Whether a models directory is the one that was registered, or a copy of it.
//!
//! If a copy is mistaken for a moved original, removing its models removes the original's roots. If an original is
//! mistaken for a copy, some blobs stay until its old identity is forgotten. So it is a copy unless there is evidence:
//! it is the same folder, or the same system sees that the old place is empty.
//!
//! Where the directory lies on the volume of the store, its inode number is evidence on every host: the volume has one folder of
//! that number, and any user that clones the volume clones the store with it.
//!
//! What is no evidence: another host name (containers have random ones), and a path where nothing is (a container, another
//! machine with the same store, and a volume that is not mounted show that too).

use crate::disk::{self, Disk};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where a models directory is, and on which system it was seen there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectLocation {
    /// The models directory, without links.
    pub path: String,
    /// The name of the host.
    pub host: String,
    /// The machine's id, hashed; `null` if the system has none, as in most containers.
    #[serde(default)]
    pub machine: Option<String>,
    /// The boot of the machine, hashed. Containers on one machine share it, and their device and inode numbers are comparable.
    #[serde(default)]
    pub boot: Option<String>,
    /// Device number of the volume.
    pub dev: u64,
    /// Inode number of the folder; 0 where there is none.
    #[serde(default)]
    pub ino: u64,
    /// Device and inode number of each folder above, the nearest first.
    #[serde(default)]
    pub parents: Vec<(u64, u64)>,
    /// Whether it is on the volume of the store.
    #[serde(default)]
    pub on_store_volume: bool,
}

/// What is seen now at the path where a models directory was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The very folder that is asked about, under another path.
    SameFolder,
    /// Something else.
    Something,
    /// Nothing. The nearest folder above it that is there has these numbers and is so many levels up, the parent being 0.
    Nothing { level: usize, above: (u64, u64) },
    /// It is unknown.
    Unknown,
}

impl ProjectLocation {
    /// Where this folder is now, beside the store at `store`. `path` is its canonical one.
    pub fn of(disk: &dyn Disk, path: &Path, store: &Path) -> crate::disk::Result<Self> {
        let stat = disk.stat_follow(path)?;
        let on_store_volume = stat.dev != 0 && disk.stat_follow(store)?.dev == stat.dev;
        let parents = path.ancestors().skip(1).map_while(|dir| disk.stat_follow(dir).ok());
        Ok(Self {
            path: path.to_string_lossy().into_owned(),
            host: disk::host_name(),
            machine: hashed(&disk::machine_id()),
            boot: hashed(&disk::boot_id()),
            dev: stat.dev,
            ino: stat.ino,
            parents: parents.map(|stat| (stat.dev, stat.ino)).collect(),
            on_store_volume,
        })
    }

    /// What is at this path now, as seen from `at_hand`.
    pub fn look(&self, disk: &dyn Disk, at_hand: &Self) -> Sight {
        let path = Path::new(&self.path);
        match disk.stat_follow(path) {
            Ok(stat) if stat.ino != 0 && (stat.dev, stat.ino) == (at_hand.dev, at_hand.ino) => Sight::SameFolder,
            Ok(_) => Sight::Something,
            Err(error) if error.is_not_found() => {
                for (level, dir) in path.ancestors().skip(1).enumerate() {
                    match disk.stat_follow(dir) {
                        Ok(stat) => return Sight::Nothing { level, above: (stat.dev, stat.ino) },
                        Err(error) if error.is_not_found() => {}
                        Err(_) => return Sight::Unknown,
                    }
                }
                Sight::Unknown
            }
            Err(_) => Sight::Unknown,
        }
    }

    /// Whether both were seen by one running system, so that equal device and inode numbers are of one folder.
    fn is_of_boot(&self, other: &Self) -> bool {
        self.boot.is_some() && self.boot == other.boot
    }

    /// Whether both were seen by a system of this name that may well be the same one.
    fn is_of_name(&self, other: &Self) -> bool {
        let is_other = matches!((&self.machine, &other.machine), (Some(one), Some(other)) if one != other);
        self.host == other.host && !is_other
    }

    /// Whether both were seen by the same system: what one saw is gone where the other does not see it.
    fn is_of_system(&self, other: &Self) -> bool {
        let is_known = self.machine.is_some() || self.is_of_boot(other);
        self.host == other.host && self.machine == other.machine && is_known
    }

    /// Whether this is the folder that was seen at the place of the other, by a system of that name. Device numbers may
    /// be others after a restart.
    pub fn is_at(&self, other: &Self) -> bool {
        let same_volume = self.dev == other.dev || !self.is_of_boot(other);
        let same_folder = self.ino == 0 || other.ino == 0 || (self.ino == other.ino && same_volume);
        self.path == other.path && self.is_of_name(other) && same_folder
    }
}

/// Whether the models directory at `here` is another one than that which was seen at `was`, with the same project file.
pub fn is_copy(was: &ProjectLocation, here: &ProjectLocation, sight: Sight) -> bool {
    let is_of_volume = was.on_store_volume && here.on_store_volume;
    let is_comparable = is_of_volume || (was.is_of_boot(here) && was.dev == here.dev);
    if is_comparable && here.ino != 0 && was.ino == here.ino {
        return false;
    }
    if was.path == here.path {
        return !was.is_at(here);
    }
    let is_evidence = match sight {
        Sight::SameFolder => true,
        Sight::Nothing { level, above } => above.1 != 0 && was.parents.get(level) == Some(&above),
        Sight::Something | Sight::Unknown => false,
    };
    !(is_evidence && was.is_of_system(here))
}

/// A prefix of a hash, enough to distinguish ids; the id itself is confidential. `None` where there is none.
fn hashed(id: &str) -> Option<String> {
    let hash = || blake3::hash(format!("model-manager {id}").as_bytes()).to_hex();
    (!id.is_empty()).then(|| hash()[..32].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn was() -> ProjectLocation {
        ProjectLocation {
            path: "/home/ann/project/models".into(),
            host: "desk".into(),
            machine: Some("m1".into()),
            boot: Some("b1".into()),
            dev: 7,
            ino: 100,
            parents: vec![(7, 90), (7, 80), (7, 70), (7, 2)],
            on_store_volume: false,
        }
    }

    fn at(path: &str, ino: u64) -> ProjectLocation {
        ProjectLocation { path: path.into(), ino, ..was() }
    }

    const GONE: Sight = Sight::Nothing { level: 1, above: (7, 80) };

    #[test]
    fn a_folder_that_was_moved_is_no_copy() {
        let elsewhere = "/home/ann/other/models";
        // By renaming it, whatever the host is called by now.
        assert!(!is_copy(&was(), &at(elsewhere, 100), Sight::Unknown));
        assert!(!is_copy(&was(), &ProjectLocation { host: "box".into(), machine: None, ..at(elsewhere, 100) }, Sight::Unknown));
        // To another volume, where it has another inode.
        assert!(!is_copy(&was(), &ProjectLocation { dev: 9, ..at(elsewhere, 5) }, GONE));
        // And with a restart of the machine in between.
        assert!(!is_copy(&was(), &ProjectLocation { boot: Some("b2".into()), ..at(elsewhere, 100) }, GONE));
        assert!(!is_copy(&was(), &ProjectLocation { boot: Some("b2".into()), ..was() }, Sight::SameFolder));
    }

    #[test]
    fn a_folder_seen_by_another_path_is_no_copy() {
        assert!(!is_copy(&was(), &at("/mnt/models", 100), Sight::SameFolder));
        let in_container = ProjectLocation { host: "3f9c".into(), machine: None, parents: vec![(40, 1)], ..at("/srv/models", 100) };
        assert!(!is_copy(&was(), &in_container, Sight::Nothing { level: 3, above: (40, 1) }));
    }

    #[test]
    fn another_host_is_no_evidence_of_a_move() {
        let other_name = ProjectLocation { host: "box".into(), ..at("/home/ann/copy/models", 101) };
        let other_machine =
            ProjectLocation { machine: Some("m2".into()), boot: Some("b2".into()), ..at("/home/ann/copy/models", 101) };
        let container = ProjectLocation { machine: None, ..at("/home/ann/copy/models", 101) };
        for here in [other_name, other_machine, container] {
            for sight in [Sight::SameFolder, Sight::Something, GONE, Sight::Unknown] {
                assert!(is_copy(&was(), &here, sight), "{here:?} {sight:?}");
            }
            assert!(is_copy(&was(), &ProjectLocation { path: was().path, ..here.clone() }, Sight::SameFolder), "{here:?}");
        }
    }

    #[test]
    fn a_path_where_nothing_is_is_no_evidence_unless_the_folder_above_it_is_the_same() {
        let here = at("/srv/models", 101);
        assert!(!is_copy(&was(), &here, GONE));
        // Of a container's own root, a volume that is mounted over it, and one that has no numbers.
        for (level, above) in [(3, (40, 1)), (1, (7, 81)), (1, (9, 80)), (0, (7, 80)), (9, (7, 2)), (1, (0, 0))] {
            assert!(is_copy(&was(), &here, Sight::Nothing { level, above }), "{level} {above:?}");
        }
        let nameless = ProjectLocation { machine: None, boot: None, ..here };
        assert!(
            is_copy(&ProjectLocation { machine: None, boot: None, ..was() }, &nameless, GONE),
            "systems that cannot be told apart"
        );
    }

    #[test]
    fn another_folder_in_the_same_place_is_a_copy() {
        assert!(is_copy(&was(), &at(&was().path, 101), Sight::SameFolder));
        assert!(is_copy(&was(), &ProjectLocation { dev: 8, ..was() }, Sight::SameFolder));
        assert!(!is_copy(&was(), &ProjectLocation { boot: Some("b2".into()), dev: 8, ..was() }, Sight::SameFolder));
        // A record of before, without inodes, and a volume that has none.
        assert!(!is_copy(
            &ProjectLocation { ino: 0, machine: None, boot: None, parents: vec![], ..was() },
            &was(),
            Sight::SameFolder
        ));
        assert!(!is_copy(&was(), &ProjectLocation { ino: 0, boot: None, ..was() }, Sight::Something));
    }

    #[test]
    fn one_inode_on_the_volume_of_the_store_is_one_folder_on_every_host() {
        let was = ProjectLocation { on_store_volume: true, ..was() };
        let pod = ProjectLocation { host: "pod-2".into(), machine: None, boot: Some("b2".into()), dev: 41, ..was.clone() };
        for sight in [Sight::SameFolder, Sight::Something, GONE, Sight::Unknown] {
            assert!(!is_copy(&was, &pod, sight), "{sight:?}");
            assert!(
                !is_copy(&was, &ProjectLocation { path: "/data/models".into(), boot: None, ..pod.clone() }, sight),
                "{sight:?}"
            );
            assert!(is_copy(&was, &ProjectLocation { ino: 101, ..pod.clone() }, sight), "another folder of that volume, {sight:?}");
            assert!(
                is_copy(&was, &ProjectLocation { on_store_volume: false, ..pod.clone() }, sight),
                "another volume now, {sight:?}"
            );
        }
        let elsewhere = ProjectLocation { on_store_volume: false, ..was.clone() };
        assert!(is_copy(&elsewhere, &pod, Sight::Unknown), "another volume before");
        let unnumbered = ProjectLocation { ino: 0, ..was };
        assert!(is_copy(&unnumbered, &ProjectLocation { ino: 0, ..pod }, Sight::Unknown), "a volume that numbers no files");
    }

    #[test]
    fn equal_numbers_under_another_boot_are_no_evidence() {
        let other = ProjectLocation { host: "box".into(), machine: None, boot: Some("b2".into()), ..at("/srv/models", 100) };
        assert!(is_copy(&was(), &other, GONE));
        assert!(is_copy(&was(), &ProjectLocation { boot: None, ..other }, GONE));
    }
}
