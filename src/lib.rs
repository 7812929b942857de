//! A content-addressed store for LLM files, filled from the Hugging Face Hub and shown as a tree of links.
//!
//! Files are fetched once, verified while they arrive, kept under `models/.blobs/sha256/…` and shown as
//! `models/<id>/<format>/<quant>/<file>`. What a run may do is in [`Settings`], which [`settings_for`] reads from the
//! environment and the settings files as the command line does. A [`Session`] lives as long as the program and is cheap to
//! clone; each use of it is a [`Call`] with its own [`Reporter`] and its own cancel token. Every failure is an [`Error`] of a
//! [kind](ErrorKind).
//!
//! # A first download
//!
//! [`Session::blocking`] gives the use-cases as functions that return when they are done.
//!
//! ```no_run
//! use model_manager::{Call, DownloadOptions, Selector, Session, Settings};
//!
//! let session = Session::new(Settings::new("models"))?;
//! let model = Selector::new("TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF:Q4_K_M")?;
//! let report = session.blocking(Call::default()).download(&model, &DownloadOptions::default())?;
//! println!("{} bytes came; the model is at {}", report.download_bytes, report.path.display());
//! # Ok::<(), model_manager::Error>(())
//! ```
//!
//! # Inside an asynchronous program
//!
//! The use-cases that may ask the network are asynchronous on [`Session`] itself, under any runtime. A future that is dropped
//! stops its call; what arrived is kept, and the next download resumes from there. Everything else runs by
//! [`Session::run`].
//!
//! ```
//! use model_manager::{Call, CancellationToken, DownloadOptions, ErrorKind, Selector, Session, Settings};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # let folder = tempfile::tempdir().unwrap();
//! # let models = folder.path().join("models");
//! # runtime.block_on(async {
//! let mut settings = Settings::new(models);
//! settings.network.offline = true;
//! let session = Session::new(settings)?;
//!
//! // Two calls at once, of which the first can be stopped from elsewhere.
//! let stop = CancellationToken::new();
//! let download = session.download(
//!     Call::default().stopped_by(stop.clone()),
//!     Selector::new("owner/repo:Q4_K_M")?,
//!     DownloadOptions::default(),
//! );
//! let list = session.run(Call::default(), |manager| manager.list(None));
//! let (downloaded, listed) = tokio::join!(download, list);
//!
//! // Nothing is here, and nobody may be asked.
//! assert_eq!(downloaded.unwrap_err().kind(), ErrorKind::Network);
//! assert!(listed?.is_empty());
//! # Ok::<(), model_manager::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Hearing what happens
//!
//! A reporter is any function that takes an [`Event`]. It is called from any thread and must return soon.
//!
//! ```
//! use model_manager::{Call, Event, Session, Settings};
//! use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
//!
//! let fetched = Arc::new(AtomicU64::new(0));
//! let sum = fetched.clone();
//! let call = Call::new(move |event: &Event| match event {
//!     Event::FileFinished { fetched, .. } => drop(sum.fetch_add(*fetched, Ordering::Relaxed)),
//!     Event::Progress { file, done, size, .. } => println!("{file}: {done} of {size} bytes"),
//!     _ => {}
//! });
//! # let folder = tempfile::tempdir().unwrap();
//! # let models = folder.path().join("models");
//! let session = Session::new(Settings::new(models))?;
//! assert!(session.blocking(call).list(None)?.is_empty());
//! assert_eq!(fetched.load(Ordering::Relaxed), 0);
//! # Ok::<(), model_manager::Error>(())
//! ```
//!
//! # A source of its own
//!
//! A program may have its models elsewhere than on the Hub: [`Session::with_sources`] takes any [`Source`](sources::Source).
//! What it lists is planned, verified, shared and locked as what the Hub lists. Here it is a table in memory, whose files are
//! fetched from a server.
//!
//! ```
//! use model_manager::{
//!     Call, DownloadOptions, RelPath, Revision, Selector, Session, Settings, SourceId,
//!     causes::SourceError,
//!     sources::{FileFacts, FileList, Location, Locator, Pinned, Source, Sources},
//! };
//! use std::{collections::BTreeMap, pin::Pin};
//!
//! /// The files of one repository, and its version as 40 hexadecimal digits.
//! #[derive(Debug)]
//! struct Shelf {
//!     repo: SourceId,
//!     version: Revision,
//!     files: BTreeMap<RelPath, FileFacts>,
//! }
//!
//! type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;
//!
//! impl Source for Shelf {
//!     fn pin<'a>(&'a self, id: &'a SourceId, _revision: Option<&'a Revision>) -> Answer<'a, Pinned> {
//!         Box::pin(async move {
//!             if *id != self.repo {
//!                 return Err(SourceError::Own { id: id.clone(), why: "it is not on the shelf".into() });
//!             }
//!             Ok(Pinned::open(id.clone(), Some(self.version.clone())))
//!         })
//!     }
//!
//!     fn list<'a>(&'a self, _pinned: &'a Pinned, _named: &'a [RelPath]) -> Answer<'a, FileList> {
//!         Box::pin(async move { Ok(FileList::new(self.files.values().cloned().collect(), "https://models.example/shelf")) })
//!     }
//!
//!     fn locate(&self, _id: &SourceId, _at: Option<&Revision>, file: &RelPath, _version: Option<&str>) -> Vec<Locator> {
//!         let address = format!("https://models.example/shelf/{file}").parse();
//!         address.map(|address| Locator::Http(Location::plain(address))).into_iter().collect()
//!     }
//! }
//!
//! let mut file = FileFacts::named("tiny.Q4_K_M.gguf".parse()?);
//! file.size = Some(5000);
//! file.sha256 = Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".parse()?);
//! let shelf = Shelf {
//!     repo: "team/tiny".parse()?,
//!     version: "0123456789abcdef0123456789abcdef01234567".parse()?,
//!     files: BTreeMap::from([(file.path.clone(), file)]),
//! };
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let models = folder.path().join("models");
//! let session = Session::new(Settings::new(models))?.with_sources(Sources::new().for_repositories(shelf));
//! let plan = session.blocking(Call::default()).plan_download(&Selector::new("team/tiny")?, &DownloadOptions::default())?;
//! assert_eq!(plan.download_bytes, 5000);
//! # Ok::<(), model_manager::Error>(())
//! ```
//!
//! # What is stable
//!
//! The names below are. Structs and enums to which more may be added are `#[non_exhaustive]`: make them by their constructors
//! or from their defaults, and match with a last arm. With the feature `unstable` the rooms of the crate are public too, for
//! its own tests, benches and fuzz targets; they change without notice. `ARCHITECTURE.md` draws the rooms and the arrows
//! between them, and `store-layout.md` specifies the format on disk.
#![cfg_attr(not(feature = "unstable"), deny(unnameable_types))]
// What only tests and benches use is public in the rooms.
#![cfg_attr(not(feature = "unstable"), allow(unused_imports))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bounds;
#[cfg(all(feature = "cli", not(feature = "unstable")))]
mod cli;
#[cfg(all(feature = "cli", feature = "unstable"))]
pub mod cli;
#[cfg(not(feature = "unstable"))]
mod config;
#[cfg(feature = "unstable")]
pub mod config;
#[cfg(not(feature = "unstable"))]
mod digest;
#[cfg(feature = "unstable")]
pub mod digest;
#[cfg(not(feature = "unstable"))]
mod disk;
#[cfg(feature = "unstable")]
pub mod disk;
#[cfg(not(feature = "unstable"))]
mod error;
#[cfg(feature = "unstable")]
pub mod error;
#[cfg(not(feature = "unstable"))]
mod event;
#[cfg(feature = "unstable")]
pub mod event;
#[cfg(not(feature = "unstable"))]
mod facts;
#[cfg(feature = "unstable")]
pub mod facts;
#[cfg(not(feature = "unstable"))]
mod foreign;
#[cfg(feature = "unstable")]
pub mod foreign;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(not(feature = "unstable"))]
mod hint;
#[cfg(feature = "unstable")]
pub mod hint;
#[cfg(not(feature = "unstable"))]
mod http;
#[cfg(feature = "unstable")]
pub mod http;
mod json;
#[cfg(not(feature = "unstable"))]
mod manager;
#[cfg(feature = "unstable")]
pub mod manager;
#[cfg(not(feature = "unstable"))]
mod names;
#[cfg(feature = "unstable")]
pub mod names;
#[cfg(not(feature = "unstable"))]
mod notice;
#[cfg(feature = "unstable")]
pub mod notice;
#[cfg(not(feature = "unstable"))]
mod registry;
#[cfg(feature = "unstable")]
pub mod registry;
#[cfg(not(feature = "unstable"))]
mod settings;
#[cfg(feature = "unstable")]
pub mod settings;
#[cfg(not(feature = "unstable"))]
mod source;
#[cfg(feature = "unstable")]
pub mod source;
#[cfg(not(feature = "unstable"))]
mod store;
#[cfg(feature = "unstable")]
pub mod store;
#[cfg(not(feature = "unstable"))]
mod text;
#[cfg(feature = "unstable")]
pub mod text;
#[cfg(not(feature = "unstable"))]
mod transfer;
#[cfg(feature = "unstable")]
pub mod transfer;
#[cfg(not(feature = "unstable"))]
mod view;
#[cfg(feature = "unstable")]
pub mod view;
#[cfg(not(feature = "unstable"))]
mod weights;
#[cfg(feature = "unstable")]
pub mod weights;
mod yaml;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::{main as command_line, run as run_command_line};

pub use config::{Layer, LockTimeout, Overrides, Resolved, settings_for};
pub use digest::{GitSha1, Sha256Digest};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Reporter, Silent, Warning};
pub use manager::{
    AddRequest, AdoptOptions, Call, Companions, DedupeOptions, DedupePlan, DownloadOptions, EvictionOptions, EvictionPlan,
    ExposeTarget, ListDetails, ListFilter, ListOrder, ListQuery, LockOptions, ModelManager, ModelName, SearchLimit, SearchOrder,
    SearchQuery, Selector, Session, StoreSwitch, SyncOptions, UseOptions, UsePlan,
};
pub use names::{App, Format, ModelId, Quant, RelPath, RepoId, Revision, Role, SourceId, WebFolder};
pub use notice::Notice;
pub use registry::{Backend, Registry};
pub use settings::{AppPlace, Bounds, Connections, LinkMode, Network, Proxies, ProxyVariable, Settings, Token};
pub use source::hub::Companion;
pub use store::{CheckMode, GcOptions, Trust, ViewKey};
pub use tokio_util::sync::CancellationToken;

/// What the use-cases answer.
pub mod reports {
    pub use crate::{
        manager::{
            AddReport, AdoptReport, AdoptTotals, AdoptedFile, AdoptedModel, AppModelReport, AppProblem, AppReport, BlobReport,
            BlobUser, BorrowSource, ByteRange, ChangeKind, DedupeReport, DedupeTotals, DedupeUndoReport, DfReport, DfTotals,
            DoctorReport, DoctorTotals, DownloadReport, EvictedModel, EvictionReport, ExposeReport, ExposedModel, FailedBlob,
            FileChange, FileReport, FileSupply, FoundRepo, GcSummary, GcTotals, InfoForm, InfoModel, KeptFile, LabelInfo, LeftOut,
            LintReport, LintTotals, ListedFile, ListedFileState, ListedModel, ListedState, LockCheck, LockCheckTotals,
            LockEntryReport, LockProblem, LockProblemKind, LockReport, LockState, MemoryReport, MemoryVerdict, ModelOrigin,
            MovedProject, PartialReport, PlanReport, ProjectReport, ProjectState, RemoveReport, RemoveTotals, RepairReport,
            RepairedFile, ReplacedFile, RepoFile, RestoredFile, SharedBlob, StoreCopyReport, StoreCopyTotals, StoreList,
            StoreMoveReport, StoreReport, StoreState, SyncReport, SyncTotals, Timestamp, UnexposeReport, UnregisterReport,
            UnshownBlob, UsageGroup, UsageReport, UsageTotals, UseReport, VerifiedFile, VerifyState, WeightsInfo, WhyReport,
        },
        registry::{Finding, Level},
        store::{OpaqueJson, Provenance, RootOwner, Severity, Sharing, StoreFinding, TrustWord, Unreferenced, UpstreamFile},
    };
}

/// Where models come from: for programs with a [`Source`](sources::Source) of their own.
pub mod sources {
    pub use crate::{
        facts::FileFacts,
        http::Location,
        source::{FileList, Gate, Locator, Pinned, Source, Sources},
    };
}

/// What a [`Registry`] holds.
pub mod entries {
    pub use crate::facts::FileFacts;
    pub use crate::registry::{Artifact, BadEntry, EntryRef, FormatEntry, Model, QuantEntry, Selection, Status, UnknownKey};
}

/// What to do next, as values: each interface words them in its own terms.
pub mod hints {
    pub use crate::hint::{Accounts, Action, Argument, Hint, Operand, Parameter, Replacement, Setting, Terms, Verb, phrase, words};
}

/// The typed causes of an [`Error`], which its [`source`](std::error::Error::source) is, and what they are made of.
pub mod causes {
    pub use crate::{
        config::{Count, Endpoint, RateLimit, Timeout},
        digest::DigestError,
        disk::{
            DiskError,
            lock::{LockError, LockHeld},
        },
        http::{AuthCause, DenyCause, HttpError, NotFoundKind, Refusal, Retry},
        names::{NameError, UnknownApp},
        registry::{BadFile, EditError, RegistryError},
        settings::Misplaced,
        source::{Offer, SourceError},
        store::{IngestKey, StoreError, VersionKey, WhyReadOnly},
        transfer::TransferError,
        view::ViewError,
    };
}
