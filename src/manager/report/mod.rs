//! What each use-case answers. These values are what `--json` prints and what the Python package returns, so their
//! fields are a promise: `docs/json.md` lists them.

mod download;
mod info;
mod list;
mod lock;
mod memory;
mod projects;
mod remove;
mod store;
mod sync;
mod verify;

pub use download::{DownloadReport, FileReport, FileSupply, LeftOut, PlanReport};
pub use info::{InfoForm, InfoModel, LabelInfo, WeightsInfo};
pub use list::{ListedModel, ListedState};
pub use lock::{ChangeKind, FileChange, LockCheck, LockLine, LockProblem, LockProblemKind, LockReport, LockState};
pub use memory::{MemoryReport, MemoryVerdict};
pub use projects::{ProjectLine, ProjectState};
pub use remove::{RemoveReport, SharedBlob};
pub use store::{BlobLine, DfReport, DoctorReport, GcSummary, PartialLine, WhyReport};
pub use sync::{KeptFile, MendedBlob, SyncReport};
pub use verify::{RepairReport, RepairedFile, VerifiedFile, VerifyState};
