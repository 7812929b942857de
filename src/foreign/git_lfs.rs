//! git-lfs: `.git/lfs/objects/<ab>/<cd>/<64 hex>`, named by the SHA-256 of the content. A name of a file in the work tree is not
//! looked for: only the hash tells what it is.

use super::{Claim, reader::Reader};
use crate::digest::Sha256Digest;
use std::path::Path;

pub(super) fn scan(reader: &mut Reader<'_>, dir: &Path) {
    // The clone, its `.git`, or the folder that `lfs.storage` names.
    let mut places = [".git/lfs/objects", "lfs/objects", "objects"].into_iter().map(|below| dir.join(below));
    let Some(objects) = places.find(|place| reader.is_there(place)) else { return };
    for (name, path) in reader.walk(&objects) {
        let digest: Option<Sha256Digest> = name.rsplit('/').next().and_then(|name| name.parse().ok());
        if let Some(digest) = digest
            && let Some(file) = reader.file(&path)
        {
            reader.add(&digest.to_string(), file, Claim { sha256: Some(digest), ..Claim::default() });
        }
    }
}
