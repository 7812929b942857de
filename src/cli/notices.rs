//! Words notices for the terminal: what they say, and which command or option changes that.

use super::units;
use crate::{
    names::{RelPath, Role},
    notice::Notice,
};

/// A notice, with what to type where something can be done about it.
pub fn words(notice: &Notice) -> String {
    match notice {
        Notice::ProjectorAdded { .. } => format!("{notice}; `--no-mmproj` leaves it out"),
        Notice::ProjectorAmbiguous { .. } => format!("{notice}; `--mmproj=NAME` takes one of them"),
        Notice::CompanionGone { role, path } => {
            let option = match role {
                Role::Projector => format!("--mmproj={path}"),
                role => format!("--with {}={path}", role.as_str()),
            };
            format!("{notice}; `{option}` fetches it again")
        }
        Notice::WillReplace { path } => {
            format!("{} is replaced; its content is kept in the store until `model-manager gc`", path.display())
        }
        Notice::TakenFromStore { store, files, bytes, copied_bytes } => {
            taken(&format!("your store {}", store.display()), *files, *bytes, *copied_bytes)
        }
        Notice::TakenFromApp { app, files, bytes, copied_bytes } => taken(app, *files, *bytes, *copied_bytes),
        Notice::ContentKept { path, sha256, blob } => {
            let (path, digest, blob) = (path.display(), sha256.short(), blob.display());
            format!("the content of {path} is kept in the store as {digest} until `model-manager gc`: {blob}")
        }
        Notice::Unpublished { paths } => match paths.as_slice() {
            [path] => format!("{path} is complete; its source published no hash, so `model-manager verify` calls it unverified"),
            paths => format!(
                "{} and {} more are complete; their source published no hash, so `model-manager verify` calls them unverified",
                paths.first().map_or("", RelPath::as_str),
                paths.len().saturating_sub(1)
            ),
        },
        Notice::NoModel { repo, .. } => format!("{notice}: `model-manager info {repo}` lists what there is"),
        Notice::IdDerived { .. } => format!("{notice}; `--id` gives it another one"),
        _ => notice.to_string(),
    }
}

/// Files that came from somewhere on this machine.
fn taken(from: &str, files: usize, bytes: u64, copied_bytes: u64) -> String {
    let (what, bytes) = (units::count(files, "file"), units::size(bytes));
    match copied_bytes {
        0 => format!("{what} ({bytes}) came from {from}: nothing was downloaded, and no room is taken again"),
        copied => format!("{what} ({bytes}) came from {from}: nothing was downloaded; {} are copies", units::size(copied)),
    }
}
