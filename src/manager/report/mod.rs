//! What each use-case answers. These values are what `--json` prints and what the Python package returns, so their
//! fields are a promise: `docs/json.md` lists them.
//!
//! One word per thing, in every report: `model`, `format` and `quant` name a view; `path` is an absolute path of this
//! machine, `file` a path below the view's folder and `repo_path` one in a repository; `size` is the length of one file
//! and `*_bytes` any other amount; a list holds objects.

mod apps;
mod download;
mod evict;
mod info;
mod known_stores;
mod list;
mod lock;
mod memory;
mod move_store;
mod origin;
mod projects;
mod remove;
mod store;
mod sync;
mod time;
mod usage;
mod verify;

pub use apps::{
    AdoptReport, AdoptTotals, AdoptedFile, AdoptedModel, AppModelReport, AppProblem, AppReport, DedupeReport, DedupeTotals,
    DedupeUndoReport, ExposeReport, ExposedModel, ReplacedFile, RestoredFile, UnexposeReport,
};
pub(super) use download::BorrowReport;
pub use download::{BorrowSource, DownloadReport, FileReport, FileSupply, LeftOut, PlanReport};
pub use evict::{EvictedModel, EvictionOptions, EvictionPlan, EvictionReport};
pub use info::{InfoForm, InfoModel, LabelInfo, WeightsInfo};
pub use known_stores::{StoreReport, StoreState};
pub use list::{
    ListDetails, ListFilter, ListOrder, ListQuery, ListedFile, ListedFileState, ListedModel, ListedState, StoreList, UnshownBlob,
};
pub use lock::{
    ChangeKind, FileChange, LockCheck, LockCheckTotals, LockEntryReport, LockProblem, LockProblemKind, LockReport, LockState,
};
pub use memory::{MemoryReport, MemoryVerdict};
pub use move_store::{FailedBlob, MovedProject, StoreCopyReport, StoreCopyTotals, StoreMoveReport};
pub use origin::{ModelOrigin, RepoFile};
pub use projects::{ProjectReport, ProjectState};
pub use remove::{KeptFile, RemoveReport, RemoveTotals, SharedBlob};
pub use store::{
    BlobReport, BlobUser, DfReport, DfTotals, DoctorReport, DoctorTotals, GcSummary, GcTotals, PartialReport, WhyReport,
};
pub use sync::{SyncReport, SyncTotals};
pub use time::Timestamp;
pub use usage::{UsageGroup, UsageReport, UsageTotals};
pub use verify::{ByteRange, RepairReport, RepairedFile, VerifiedFile, VerifyState};

use crate::store::{RootOwner, ViewKey};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use std::path::{Path, PathBuf};

/// A view's key as three fields; `quant` is `null` where there is none. In the records of the store it is left out.
fn view<S: Serializer>(view: &ViewKey, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("View", 3)?;
    fields.serialize_field("model", &view.model)?;
    fields.serialize_field("format", &view.format)?;
    fields.serialize_field("quant", &view.quant)?;
    fields.end()
}

/// The same of several.
fn views<S: Serializer>(views: &[ViewKey], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct View<'a>(#[serde(serialize_with = "view")] &'a ViewKey);
    serializer.collect_seq(views.iter().map(View))
}

/// Who keeps blobs, with the same keys whatever kind it is.
fn owner<S: Serializer>(owner: &RootOwner, serializer: S) -> Result<S::Ok, S::Error> {
    let view = owner.view();
    let (kind, name, entry) = match owner {
        RootOwner::View(_) => ("view", None, None),
        RootOwner::Exposure { app, .. } => ("exposure", Some(app), None),
        RootOwner::Replacement { app, .. } => ("replacement", Some(app), None),
        RootOwner::Remote { name } => ("remote", Some(name), None),
        RootOwner::Unknown(entry) => ("unknown", None, Some(entry.as_str())),
    };
    let mut fields = serializer.serialize_struct("Owner", 6)?;
    fields.serialize_field("kind", kind)?;
    fields.serialize_field("model", &view.map(|view| &view.model))?;
    fields.serialize_field("format", &view.map(|view| &view.format))?;
    fields.serialize_field("quant", &view.and_then(|view| view.quant.as_ref()))?;
    fields.serialize_field("name", &name)?;
    fields.serialize_field("entry", &entry)?;
    fields.end()
}

/// The same of several.
fn owners<S: Serializer>(owners: &[RootOwner], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Owner<'a>(#[serde(serialize_with = "owner")] &'a RootOwner);
    serializer.collect_seq(owners.iter().map(Owner))
}

/// Paths as objects, to which later versions can add what else is known.
fn paths<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Place<'a> {
        path: &'a Path,
    }
    serializer.collect_seq(paths.iter().map(|path| Place { path }))
}
