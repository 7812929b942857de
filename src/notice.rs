//! Notices: what was chosen and why, and what else is worth one line and is no fault.
//!
//! A notice is a value. Its text here names no command and no option: each interface adds its own.

use crate::{
    digest::Sha256Digest,
    names::{ModelId, Quant, RelPath, RepoId, Role, SourceId},
    text,
};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use std::{fmt, path::PathBuf};

/// Something worth one line, and no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The Hub keeps a repository under another name now.
    RepoRenamed {
        /// The name that was asked for.
        asked: RepoId,
        /// The name it has now.
        now: SourceId,
    },
    /// The registry has several quantizations and none was named.
    QuantChosen {
        /// The model.
        model: ModelId,
        /// What was chosen.
        quant: Quant,
        /// All that there are.
        choices: Vec<Quant>,
    },
    /// The registry does not recommend an entry any more.
    NotRecommended {
        /// The entry.
        name: String,
        /// `superseded` or `deprecated`.
        status: &'static str,
        /// What to take instead.
        instead: Option<String>,
    },
    /// The file of an entry has the name of another quantization.
    NamedLike {
        /// The entry.
        name: String,
        /// The quantization in the name of its file.
        quant: Quant,
    },
    /// What the registry says about an entry that is selected.
    Remark {
        /// The entry.
        name: String,
        /// The remark.
        remark: String,
    },
    /// No label was named, or none is called so.
    LabelChosen {
        /// What was chosen.
        label: Quant,
        /// What was named.
        wanted: Option<Quant>,
    },
    /// A companion was asked for without a name.
    CompanionChosen {
        /// What it is for.
        role: Role,
        /// The first of its files.
        path: RelPath,
    },
    /// A projector goes with the model without being asked for.
    ProjectorAdded {
        /// Its files.
        paths: Vec<RelPath>,
    },
    /// Which projector goes with the model is not clear, so none does.
    ProjectorAmbiguous {
        /// Why.
        why: String,
    },
    /// No format was named, and the repository has no GGUF file.
    SafetensorsChosen,
    /// An index of weights names other shards than there are.
    OtherShards {
        /// The index.
        index: RelPath,
    },
    /// Files of the repository that are no part of the set.
    LeftOut {
        /// Why.
        reason: &'static str,
        /// Their paths in the repository.
        paths: Vec<RelPath>,
    },
    /// The model of a view is replaced by another.
    ModelReplaced {
        /// The view.
        view: String,
        /// The file that it has.
        old: RelPath,
        /// The file that it gets.
        new: RelPath,
    },
    /// Files that leave a set.
    NoLongerPart {
        /// The view.
        view: String,
        /// The files.
        paths: Vec<RelPath>,
    },
    /// The store has lost a companion of the view.
    CompanionGone {
        /// What it is for.
        role: Role,
        /// Its path in the view.
        path: RelPath,
    },
    /// A download does not fit on the volume.
    DoesNotFit {
        /// Bytes that it takes.
        disk_bytes: u64,
        /// Bytes that are free.
        free_bytes: u64,
    },
    /// The view is made of copies.
    ViewIsCopy,
    /// The store cannot be written by this user, so that it does not learn of a view.
    Unprotected {
        /// The store.
        store: PathBuf,
    },
    /// How a view is linked otherwise than was asked for.
    OtherLink {
        /// Why.
        why: String,
    },
    /// A file with other content will be replaced.
    WillReplace {
        /// The file.
        path: PathBuf,
    },
    /// The content of a file that is replaced was kept in the store.
    ContentKept {
        /// The file.
        path: PathBuf,
        /// Its content.
        sha256: Sha256Digest,
        /// Where that is.
        blob: PathBuf,
    },
    /// Files came from another store of this user, and nothing travelled for them.
    TakenFromStore {
        /// The store's folder.
        store: PathBuf,
        /// How many files.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Those of them that were copied, and take room again.
        copied_bytes: u64,
    },
    /// Files came from another application, and nothing travelled for them.
    TakenFromApp {
        /// What the application is called.
        app: String,
        /// How many files.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Those of them that were copied, and take room again.
        copied_bytes: u64,
    },
    /// Files whose source published no hash are complete.
    Unpublished {
        /// Their paths in the view.
        paths: Vec<RelPath>,
    },
    /// A file whose hash nobody published is complete: its publisher may say what it should be.
    CompareDigest {
        /// Its path in the view.
        path: RelPath,
        /// What it is.
        sha256: Sha256Digest,
    },
    /// A file is another one at its address than when its download stopped.
    BeginsAnew {
        /// Its path in the view.
        path: RelPath,
    },
    /// The query of an address goes along for this run and is written nowhere: a later command has to be given it again.
    QueryNotKept {
        /// The address, without its query.
        url: String,
    },
    /// A file that was here was imported, and no published hash confirms it.
    ImportedUnverified {
        /// The file.
        path: PathBuf,
    },
    /// What was downloaded as a model is a companion of one, by its header.
    NoModel {
        /// The file.
        file: String,
        /// What it is for.
        role: Role,
        /// Where it comes from.
        repo: SourceId,
    },
    /// The Hub publishes no SHA-256 of some files.
    NoSha256 {
        /// How many.
        files: usize,
    },
    /// A registry file was made, from the built-in registry.
    RegistryMade {
        /// The file.
        path: PathBuf,
        /// Whether it only would be.
        dry_run: bool,
    },
    /// An id was made of the repository's name.
    IdDerived {
        /// The id.
        id: ModelId,
    },
}

impl Notice {
    /// What it is about, in JSON and Python: the same in every version.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::RepoRenamed { .. } => "repo_renamed",
            Self::QuantChosen { .. } => "quant_chosen",
            Self::NotRecommended { .. } => "not_recommended",
            Self::NamedLike { .. } => "named_like",
            Self::Remark { .. } => "remark",
            Self::LabelChosen { .. } => "label_chosen",
            Self::CompanionChosen { .. } => "companion_chosen",
            Self::ProjectorAdded { .. } => "projector_added",
            Self::ProjectorAmbiguous { .. } => "projector_ambiguous",
            Self::SafetensorsChosen => "safetensors_chosen",
            Self::OtherShards { .. } => "other_shards",
            Self::LeftOut { .. } => "left_out",
            Self::ModelReplaced { .. } => "model_replaced",
            Self::NoLongerPart { .. } => "no_longer_part",
            Self::CompanionGone { .. } => "companion_gone",
            Self::DoesNotFit { .. } => "does_not_fit",
            Self::ViewIsCopy => "view_is_copy",
            Self::Unprotected { .. } => "unprotected",
            Self::OtherLink { .. } => "other_link",
            Self::WillReplace { .. } => "will_replace",
            Self::ContentKept { .. } => "content_kept",
            Self::TakenFromStore { .. } => "taken_from_store",
            Self::TakenFromApp { .. } => "taken_from_app",
            Self::Unpublished { .. } => "unpublished",
            Self::CompareDigest { .. } => "compare_digest",
            Self::BeginsAnew { .. } => "begins_anew",
            Self::ImportedUnverified { .. } => "imported_unverified",
            Self::QueryNotKept { .. } => "query_not_kept",
            Self::NoModel { .. } => "no_model",
            Self::NoSha256 { .. } => "no_sha256",
            Self::RegistryMade { .. } => "registry_made",
            Self::IdDerived { .. } => "id_derived",
        }
    }
}

fn list(paths: &[RelPath]) -> String {
    text::list(&paths.iter().map(RelPath::as_str).collect::<Vec<_>>())
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RepoRenamed { asked, now } => write!(f, "the Hub now keeps `{asked}` as `{now}`"),
            Self::QuantChosen { model, quant, choices } => {
                let choices = text::list(&choices.iter().map(Quant::as_str).collect::<Vec<_>>());
                write!(f, "no quantization named: chose `{quant}` for `{model}` out of {choices}")
            }
            Self::NotRecommended { name, status, instead: None } => write!(f, "`{name}` is {status}"),
            Self::NotRecommended { name, status, instead: Some(instead) } => {
                write!(f, "`{name}` is {status}; take `{instead}` instead")
            }
            Self::NamedLike { name, quant } => write!(f, "the file of `{name}` is named like `{quant}`"),
            Self::Remark { name, remark } => write!(f, "`{name}`: {remark}"),
            Self::LabelChosen { label, wanted: None } => write!(f, "no label was named: {label} was chosen"),
            Self::LabelChosen { label, wanted: Some(wanted) } => write!(f, "nothing is labelled {wanted}: {label} was chosen"),
            Self::CompanionChosen { role, path } => write!(f, "no {} was named: {path} was chosen", role.noun()),
            Self::ProjectorAdded { paths } => write!(f, "the projector {} goes with it", list(paths)),
            Self::ProjectorAmbiguous { why } => write!(f, "no projector goes with it: {why}"),
            Self::SafetensorsChosen => f.write_str("the repository has no GGUF file: its safetensors files are meant"),
            Self::OtherShards { index } => {
                write!(f, "{index} names shards that are not there; those that are there make a whole set")
            }
            Self::LeftOut { reason, paths } => write!(f, "left out, {reason}: {}", list(paths)),
            Self::ModelReplaced { view, old, new } => write!(f, "{old} of {view} gives way to {new}"),
            Self::NoLongerPart { view, paths } => write!(f, "no longer a part of {view}: {}", list(paths)),
            Self::CompanionGone { path, .. } => write!(f, "{path} is gone from the store"),
            Self::DoesNotFit { disk_bytes, free_bytes } => {
                write!(f, "it does not fit: {disk_bytes} bytes are needed, {free_bytes} are free")
            }
            Self::ViewIsCopy => f.write_str("the view is a copy: it takes as much again in the models folder"),
            Self::Unprotected { store } => write!(
                f,
                "{} cannot be written here, so nothing in it says that this project uses its files: a collection that another \
                 user or machine runs may remove them",
                store.display()
            ),
            Self::OtherLink { why } => f.write_str(why),
            Self::WillReplace { path } => {
                write!(f, "{} is replaced; its content is kept in the store until the next collection", path.display())
            }
            Self::TakenFromStore { store, files, bytes, copied_bytes } => {
                taken(f, &format!("the store {}", store.display()), (*files, *bytes, *copied_bytes))
            }
            Self::TakenFromApp { app, files, bytes, copied_bytes } => taken(f, app, (*files, *bytes, *copied_bytes)),
            Self::ContentKept { path, sha256, blob } => write!(
                f,
                "the content of {} is kept in the store as {} until the next collection: {}",
                path.display(),
                sha256.short(),
                blob.display()
            ),
            Self::Unpublished { paths } => match paths.as_slice() {
                [path] => write!(f, "{path} is complete; its source published no hash, so it counts as unverified"),
                paths => write!(
                    f,
                    "{} and {} more are complete; their source published no hash, so they count as unverified",
                    paths.first().map_or("", RelPath::as_str),
                    paths.len().saturating_sub(1)
                ),
            },
            Self::CompareDigest { path, sha256 } => write!(
                f,
                "{path} is complete; nobody published a hash of it, so compare its sha256 {sha256} with what its publisher says"
            ),
            Self::BeginsAnew { path } => {
                write!(f, "{path} changed at its address since the download stopped; downloading it again from the beginning")
            }
            Self::ImportedUnverified { path } => {
                write!(f, "{} was here already and was taken into the store; no published hash confirms it", path.display())
            }
            Self::QueryNotKept { url } => {
                write!(
                    f,
                    "the query of {url} is used now and not kept, as it may be a secret: give it again where the file is fetched again"
                )
            }
            Self::NoModel { file, role, .. } => {
                write!(f, "{file} is a companion ({}) by its header, and no model", role.noun())
            }
            Self::NoSha256 { files } => write!(f, "the Hub publishes no SHA-256 of {files} of its files"),
            Self::RegistryMade { path, dry_run } => {
                let verb = if *dry_run { "would be made" } else { "was made" };
                write!(f, "{} {verb} from the built-in registry, so that its models stay known", path.display())
            }
            Self::IdDerived { id } => write!(f, "the id is `{id}`"),
        }
    }
}

impl Serialize for Notice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Notice", 2)?;
        fields.serialize_field("kind", self.kind())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}

/// Files that came from somewhere on this machine: their number, bytes, and bytes that were copied.
fn taken(f: &mut fmt::Formatter<'_>, from: &str, (files, bytes, copied_bytes): (usize, u64, u64)) -> fmt::Result {
    let what = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    write!(f, "{what} of {bytes} bytes came from {from}")?;
    match copied_bytes {
        0 => f.write_str(", and take no room again"),
        copied if copied == bytes => f.write_str(", as copies"),
        copied => write!(f, "; {copied} bytes of them are copies"),
    }
}
