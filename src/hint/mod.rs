//! What to do after an error or a finding, as values. A hint names actions, settings and paths; it has no words of an
//! interface. [`words()`] makes sentences of hints, and an interface says through [`Terms`] how it writes actions and settings.

mod action;
mod examples;
mod words;

pub use action::{Action, Argument, Operand, Parameter, Setting, Verb};
pub(crate) use action::{Invocation, repair, view_name};
pub use words::{Terms, phrase, words};

use crate::{names::App, settings::LinkMode};
use std::path::PathBuf;

macro_rules! hints {
    ($(#[$meta:meta])* pub enum Hint { $($(#[$doc:meta])* $name:ident $({ $($field:tt)* })? $(( $($inner:ty),* $(,)? ))?,)* }) => {
        $(#[$meta])*
        pub enum Hint {
            $($(#[$doc])* $name $({ $($field)* })? $(( $($inner),* ))?,)*
        }

        impl Hint {
            /// The names of all variants.
            #[cfg(test)]
            const NAMES: &[&str] = &[$(stringify!($name)),*];

            fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => stringify!($name),)*
                }
            }
        }
    };
}

hints! {
/// One thing to do next, or one fact that matters for it. An error has a list of them, in the order of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    // What was done, and what to do with the same call.
    /// Nothing was changed.
    NothingChanged,
    /// Nothing was removed.
    NothingRemoved,
    /// The same call again.
    RunAgain,
    /// The same call again; it resumes where it stopped.
    Resume,
    /// The same call again, which makes a new plan: a pinned entry may need another revision or size.
    PlanAgain,
    /// The same call with the network.
    RunWithNetwork,
    /// This command line, which resumes where it was interrupted.
    GoOn(String),
    /// The help of the interface.
    SeeHelp,
    /// One of these words.
    ChooseOne(Vec<&'static str>),
    /// A value that need not be given.
    OmitValue,
    /// A fault in this program, to be reported.
    ReportBug,
    /// A newer version of this program is needed.
    UpdateProgram {
        /// Whether the store can be listed, verified and used until then; else it was not touched.
        is_readable: bool,
    },

    // Actions.
    /// This action.
    Run(Action),
    /// One of these actions. Each is the same one with a whole name.
    NameOne(Vec<Action>),
    /// One of these actions, whose digests are longer.
    MoreDigits(Vec<Action>),
    /// This action, for example.
    ForExample(Action),
    /// The model may be one of these.
    DidYouMean {
        /// The names, the nearest first.
        names: Vec<String>,
        /// The action with each of them; empty where a name alone is meant.
        actions: Vec<Action>,
    },
    /// This action may have been meant.
    DidYouMeanAction(Action),
    /// Otherwise this action.
    Otherwise(Action),
    /// The action that downloads it.
    DownloadedBy(Action),
    /// It came from the Hub; this action downloads it again.
    CameFromHub(Action),
    /// A download of another form than the one that is here.
    DownloadOther(Action),
    /// Which forms are here, and the action for each.
    FormsHere {
        /// The forms.
        forms: String,
        /// The action for each.
        actions: Vec<Action>,
    },
    /// A form is chosen by format and quantization, or by its name.
    ChooseForm(Vec<Action>),
    /// The registry has what is not here.
    RegistryHas(Action),
    /// List the models that are here.
    ListModels,
    /// List the models that are here, with their paths.
    ListPaths,
    /// List what is here, and the models of the registry.
    ListModelsAndRegistry,
    /// List the models of the registry.
    ListRegistry,
    /// Show what the registry has of a model.
    ShowModel(String),
    /// Show what the Hub has of a repository.
    ShowRepository(String),
    /// Name the model that is meant; this shows which there are.
    NameModel(String),
    /// A label of this model; the registry or the Hub lists them.
    WriteLabel(String),
    /// What is known of a model.
    ShowChecked(Action),
    /// What needs a blob.
    ShowUsers(String),
    /// Remove what is here of a model.
    RemovesFromProject(Action),
    /// What is here shows other content than is locked.
    ShowLocked,
    /// A download takes a plain file into the store.
    TakesIn(Action),
    /// A repair puts a link in the place of what is not ours.
    LinksAgain(Action),
    /// Remove all of the files that belong together.
    RemoveAll(Action),
    /// It is an entry of the built-in registry.
    IsBuiltIn,
    /// Take the entry out of the registry, or download it.
    UnregisterOrDownload {
        /// The one.
        unregister: Action,
        /// The other.
        download: Action,
    },
    /// A project makes a registry of its own when a model is added.
    MakeRegistry,
    /// A model that is here without an entry: what takes it, and what makes an entry.
    WithoutEntry(String),
    /// Only one of two that contradict each other.
    GiveOnlyOne,
    /// A digest.
    WriteDigest {
        /// What stands before the digits.
        scheme: &'static str,
        /// The fewest digits.
        least: usize,
        /// All digits.
        most: usize,
    },
    /// A reference to a model: a registry id or a repository.
    WriteReference,
    /// A reference to a repository.
    WriteRepository,
    /// A repository with a quantization.
    NameQuantization,
    /// The action that pins an entry again.
    PinAgain(String),
    /// Which quantizations there are, with their sizes, or one of them where one is to be named.
    Labels {
        /// The action and the size in bytes of each.
        labels: Vec<(Action, u64)>,
        /// Whether one has to be named.
        is_choice: bool,
    },
    /// The repository has weights of another format.
    OtherFormat {
        /// That format.
        format: String,
        /// The action for it.
        action: Action,
    },
    /// What there is in place of what was named.
    ThereIs(Vec<String>),
    /// One of several companions.
    NameCompanion(Argument),
    /// A role of a companion, with or without its name.
    WriteCompanion,
    /// A companion for a format that has none.
    OmitCompanion(Argument),
    /// One file of a repository, by its name.
    FileByName(Action),
    /// The format of a file, whose name does not tell it.
    NameFormat(Action),
    /// The action without a quantization.
    WithoutQuant(Action),

    // Network, servers and access.
    /// Requests have to be allowed.
    AllowNetwork,
    /// The address of the Hub or a mirror.
    SetEndpoint,
    /// The server does not behave like a Hub.
    NotAHub,
    /// The server does not answer as one of files does.
    UnexpectedAnswer,
    /// Another address, where it does not help to try again.
    TryOtherAddress,
    /// Another endpoint, where it does not help to try again.
    TryOtherEndpoint,
    /// The server has trouble: later, or a mirror.
    ServerTrouble,
    /// The connection or the proxy.
    CheckConnection,
    /// The proxy and its account.
    CheckProxy,
    /// A variable of the environment that names a proxy.
    CorrectProxy {
        /// The variable.
        variable: String,
    },
    /// The system has no certificates.
    InstallCertificates,
    /// A proxy opens HTTPS, or the clock is wrong.
    TrustProxy,
    /// The file of certificates.
    CheckCertificates,
    /// An address that no source explains.
    CheckAddress,
    /// A login page may be in the way.
    LoginPage,
    /// The server allows no more requests for now.
    Wait {
        /// Where a token allows more.
        accounts: Option<Accounts>,
    },
    /// The token was not sent to a server that the user did not name.
    TrustEndpoint {
        /// Its origin.
        origin: String,
    },
    /// The token is not sent to a server, unless the user names it.
    SendToken {
        /// Its origin.
        origin: String,
    },
    /// A wrong name, a private repository, or no good token.
    CheckNameAndToken {
        /// The repository, where it is known.
        repo: Option<String>,
        /// Whose tokens.
        accounts: Accounts,
    },
    /// A gated repository and no good token.
    RequestAccess {
        /// Where access is asked for.
        page: String,
        /// Whether a token was sent.
        had_token: bool,
        /// Whose tokens.
        accounts: Accounts,
    },
    /// A gated repository, of which access was not granted yet.
    AwaitAccess {
        /// Where access is asked for.
        page: String,
        /// Whose tokens.
        accounts: Accounts,
    },
    /// The token is wrong or has expired.
    ReplaceToken {
        /// Whose tokens.
        accounts: Accounts,
    },
    /// The token may not read this repository.
    CheckTokenRights {
        /// Whose tokens.
        accounts: Accounts,
    },
    /// The Hub has disabled the repository.
    RepositoryDisabled {
        /// The repository's page.
        page: String,
    },
    /// The name of a repository, or a token that may read it.
    CheckRepository {
        /// The repository, where it is known.
        repo: Option<String>,
    },
    /// The branches and tags on a page.
    SeeBranches {
        /// The page.
        page: String,
    },
    /// The files on a page.
    SeeFiles {
        /// The page.
        page: String,
    },
    /// Repository, revision or file.
    CheckReference {
        /// The repository's page.
        page: String,
    },
    /// The repository's page.
    SeeRepository,
    /// The upload is broken or unfinished.
    TryOtherRevision,
    /// A file of the repository is not what it should be, and was not kept.
    CheckRepositoryFile,
    /// The repository has paths that are an attack.
    DoNotUse,
    /// The file was changed in the repository since it was pinned.
    UpdatePin {
        /// The model.
        model: String,
    },
    /// The nearest name of a file that the registry names.
    NearestFile(String),

    // Disk and system.
    /// More open files.
    RaiseOpenFiles,
    /// More processes or threads.
    RaiseProcesses,
    /// Larger files, or another file system.
    RaiseFileSize,
    /// More inodes.
    FreeInodes,
    /// More space.
    FreeSpace {
        /// The folder whose volume is full.
        dir: PathBuf,
        /// Bytes that are needed, where that is known.
        needed: Option<u64>,
    },
    /// Links in place of copies.
    UseLinks,
    /// A file that is open in a program.
    CloseFile,
    /// Owner, mode and mount of a folder, or another place.
    CheckWritable {
        /// What names other places.
        settings: Vec<Setting>,
    },
    /// Something is in the way: it has to be moved, or another place chosen.
    ClearTheWay,
    /// Something of another kind is in the way.
    OtherKindInTheWay,
    /// A shorter name.
    ShortenName,
    /// What belongs to another user is given back.
    GiveBack {
        /// Its owner.
        by: String,
        /// Whose it should be.
        owner: String,
        /// The command of the system.
        command: String,
    },
    /// The target of a link.
    MountTarget,
    /// A folder that exists.
    ChangeFolder,
    /// A name for a folder, or another models directory.
    RenameFolder,

    // Store.
    /// The folder of a store.
    ChooseStore,
    /// The place that a store was moved to.
    UseMovedStore {
        /// Its folder.
        to: PathBuf,
    },
    /// Projects that would lose their store.
    ReachProjectsFirst,
    /// Commands that use a store.
    EndCommandsFirst,
    /// A folder that is not in the store, nor the store in it.
    NameFolderElsewhere,
    /// The applications and their models.
    ListApps,
    /// The application that is meant.
    NameApp,
    /// The folder of an application.
    AddApp {
        /// The application.
        app: App,
    },
    /// Another user whose project uses a store.
    AskOwnerToMove,
    /// A store on the volume of an application.
    MoveStoreThere,
    /// To copy what cannot be shared.
    CopyInstead,
    /// Damage that is to be repaired first.
    RepairFirst,
    /// There is no store yet, or it is elsewhere.
    NoStoreYet,
    /// A record that cannot be read.
    RestoreRecord,
    /// The store is mounted read-only.
    WriteElsewhere,
    /// This user may not write the store.
    AskForAccess,
    /// The store's folder of locks.
    RestoreLocks,
    /// Another process holds a lock.
    WaitForLock,
    /// The size that the registry, the lock file or the server gives.
    CheckSize,
    /// Other bytes came than are pinned.
    DownloadAgain,
    /// Collect while no other host uses the store.
    OnlyThisHost,
    /// A group of this system.
    NameGroup,
    /// Which projects there are, and how one is named.
    NameProject,
    /// Which stores are known, and how one is named.
    NameStore,
    /// A store whose volume does not answer.
    ForgetStore {
        /// Its folder.
        path: PathBuf,
    },
    /// A project that is in use.
    ForgetLiveProject {
        /// Its uuid.
        uuid: String,
    },
    /// A file without a source.
    DownloadFromRepository,

    // Views.
    /// A foreign file in the place of one of a view.
    MoveForeign {
        /// It.
        path: PathBuf,
    },
    /// A file of a view that was edited.
    MoveEdited {
        /// It.
        path: PathBuf,
    },
    /// A plain file that is not the model's.
    MovePlain {
        /// It.
        path: PathBuf,
    },
    /// A blob is missing.
    DownloadMissing {
        /// The file of the view.
        path: PathBuf,
    },
    /// The patterns of a registry entry.
    CheckPatterns,
    /// The patterns of a registry entry that select nothing.
    CheckIncludes,
    /// One of two files that collide.
    ExcludeOne,
    /// Another link mode.
    OtherLinkMode {
        /// The mode that does not work.
        failed: LinkMode,
    },
    /// Copies, or another place.
    AllowCopies,

    // Files of the project and of the user.
    /// A line of a file of the registry.
    CorrectLine {
        /// The file.
        file: String,
        /// The line, from one.
        line: usize,
    },
    /// A file of the registry as a whole.
    CorrectFile {
        /// The file.
        file: String,
    },
    /// A line of a settings file.
    CorrectSetting {
        /// The file.
        file: String,
        /// The line, from one.
        line: usize,
    },
    /// A value of a setting.
    CorrectValue,
    /// A setting that has to be taken out of a file by hand.
    RemoveSetting {
        /// Its key.
        key: String,
    },
    /// The names of the settings that there are.
    SettingsAre(Vec<&'static str>),
    /// A variable of the environment.
    CorrectVariable {
        /// The variable.
        variable: String,
    },
    /// A path in full.
    WriteFullPath,
    /// A line that has to be written by hand.
    WriteLine {
        /// Below what, and in which file; `None` where there is but one place.
        place: Option<String>,
        /// The line.
        line: String,
    },
    /// A file that this user can read, or another way out.
    MakeReadable(Replacement),
    /// A file in UTF-8.
    SaveAsUtf8 {
        /// Whether it is the registry, for which another file can be named; else the settings.
        is_registry: bool,
    },
    /// A link to a registry that leads nowhere.
    RestoreRegistryLink,
    /// Another registry, or the built-in one.
    NameRegistry,
    /// The registry that a lock was made with.
    RestoreRegistry {
        /// The lock file.
        lock_file: PathBuf,
    },
    /// A link out of the project.
    RemoveLink,
    /// A link to a file of settings.
    RemoveSettingsLink,
    /// Places outside of the project.
    AllowPlaces(Vec<PathBuf>),
    /// The file that a link leads to, by name.
    UseThatFile(Action),
    /// A project of another user.
    TrustProject {
        /// Its folder.
        folder: PathBuf,
    },
    /// A project of another user that was passed over.
    WorkInProject {
        /// Its folder.
        folder: PathBuf,
    },
    /// A setting that a project may not make.
    GrantOrRemove {
        /// The project's file.
        file: PathBuf,
        /// The line, from one.
        line: usize,
        /// The setting and its values.
        grant: Action,
    },
    /// The folder of the user.
    SetHome,
    /// Settings of another user.
    UseOwnSettings,
    /// Settings that others may have changed.
    ReviewSettings,
    /// Settings for another backend.
    OtherBackend(Argument),
    /// A format that the backend can load, or another backend.
    FormatOrBackend {
        /// The format.
        format: Argument,
        /// The backend.
        backend: Argument,
    },

    // Lock file.
    /// The lock file from version control, or a new one.
    RestoreLock {
        /// The file, as it is named.
        file: Option<String>,
    },
    /// Lock what is used, or a model.
    MakeLock,
    /// Lock this model.
    LockIt(Action),
    /// A model for options that say which one.
    NameModelToLock,
    /// Lock what the registry says now.
    LockAgain,
    /// A lock that contradicts what is here.
    ContradictingLock {
        /// Removes the first view that contradicts it.
        remove: Action,
    },
    /// What is locked has no published hash.
    DownloadToLock(Action),
    /// Repair with the network.
    RepairWithNetwork(Action),

    // Registry.
    /// An entry that is there already: pin it again, or choose another id.
    PinOrOtherId(String),
    /// Add it, or name the entry.
    AddOrName,
    /// An entry that has to be taken out by hand.
    TakeOutByHand,
    /// Text that has to be written by hand.
    WriteByHand {
        /// Where.
        below: String,
        /// The text.
        text: String,
    },
    /// The key `models`.
    AddModelsKey,
    /// No description, or another id.
    OmitDescription,
    /// A quantization.
    GiveQuant,
    /// Another id.
    GiveId,
    /// Another id for a file that is named by its address, where another model has the name that it would get.
    OtherName {
        /// The address.
        address: String,
    },
    /// The address of a file with weights.
    WeightsAddress,
    /// No digest, where others give one.
    OmitDigest,
    /// No patterns, where files are chosen otherwise.
    OmitPatterns,
    /// Another program, or another address.
    DownloadOtherwise,
    /// A newer version of this program wrote a name.
    NewerVersionKnows,
    /// Another id than the one that exists.
    GiveOtherId,
    /// The entry by hand, or another id.
    CorrectOrOtherId,
    /// The file by hand, or another id.
    WriteFileOrOtherId,
    /// A line about the model.
    Describe,
    /// No questions to the Hub, or the network.
    OmitOnline,
    /// An entry of the registry, and its check.
    CorrectEntry,
    /// All entries that cannot be used.
    ListBadEntries,
    /// A key that nothing reads, or that another program reads.
    CorrectKey,
    /// A key that nothing reads.
    RemoveKey,
    /// The licence of a model.
    WriteLicence,
    /// The commit of an entry.
    WriteCommit {
        /// Pins the entry.
        update: Action,
    },
    /// What the Hub says of an entry.
    AskHub {
        /// Writes what it says.
        update: Action,
    },
    /// Keys of an entry.
    WriteKeys {
        /// The lines.
        lines: Vec<String>,
        /// Writes them instead.
        update: Option<Action>,
        /// Whether the Hub may be wrong.
        is_doubtful: bool,
    },
    /// Another repository.
    OtherRepository,
    /// The commit that the branch is at now.
    FollowBranch {
        /// Pins the entry.
        update: Action,
    },
    /// The file of an entry, or the name of its quantization.
    RenameQuant {
        /// The quantization that the file's name says.
        quant: String,
    },
    /// All parts of a split file.
    ListParts,
    /// An entry of two models.
    SplitEntry,
    /// A shorter id.
    ShortenId,
    /// The successor of an entry.
    CorrectSuccessor {
        /// The model that it names.
        model: String,
    },
    /// A successor that is the entry itself.
    NameSuccessor,
    /// A successor that has one itself.
    NameLastSuccessor,
    /// Two entries of one file.
    RemoveDuplicate,
    /// Two sizes of one content.
    CorrectSizes,
    /// Nothing has to be done.
    NothingToDo,

    // Findings about the store.
    /// A command of the system.
    SystemCommand(String),
    /// Something that does not belong there.
    MoveElsewhere,
    /// Something that this user cannot read.
    MakeReadableOrMove,
    /// A link in the place of a folder of the store.
    ReplaceLink,
    /// Something else in the place of a folder of the store.
    RestoreFolder,
    /// Modes of a shared store.
    ShareAsOwner,
    /// A record that a check writes again.
    RewriteRecord,
    /// A blob that was a file of another application too, and can be written.
    VerifyProtects,
    /// A blob that nothing needs.
    CollectUnneeded,
    /// Blobs that could not be removed yet.
    CollectLater,
    /// A damaged blob that nothing needs.
    CollectNow,
    /// A damaged blob that a project needs.
    RepairInProject {
        /// The repair.
        repair: Action,
        /// The project's folder, where it is known.
        project: Option<String>,
    },
    /// A damaged blob that some project needs.
    FindAndRepair {
        /// The blob.
        digest: String,
    },
    /// A project without a record.
    RegisterOrForget {
        /// Its uuid.
        project: String,
    },
    /// A project whose record cannot be read.
    RestoreOrForget {
        /// The record.
        path: PathBuf,
        /// The project's uuid.
        project: String,
    },
    /// A blob that a project needs is gone.
    DownloadInProject(Action),
    /// A root of another owner than a view.
    LeaveToOwner,
    /// A root that a newer version made.
    LeaveToVersion,
    /// A root that cannot be read.
    RestoreRoot,
    /// Damaged content that was put aside.
    RemoveWhenUnused,
    /// The store is missing or has no marker.
    FindStore {
        /// Whether a new one can be made there.
        can_be_made: bool,
    },
    /// There is no store yet.
    StoreIsMade,
    /// The marker of the store cannot be read.
    RestoreMarker,
    /// The store is mounted read-only.
    RunWhereWritable,
    /// A user who is not in the group of the store.
    JoinGroup {
        /// The group.
        group: String,
    },
    /// A store that only its owner writes.
    AskOwnerToShare,
    /// File locks do nothing.
    MoveToLocalDisk,
    /// The record of this project cannot be read.
    RestartProject {
        /// The record.
        path: PathBuf,
        /// Downloads what is here.
        downloads: Vec<Action>,
    },
    /// A link of somebody else leads nowhere.
    RestoreLinkTarget,
    /// A project that is gone.
    ForgetProject {
        /// Its uuid.
        project: String,
    },
}
}

impl Hint {
    /// A stable word for programs, such as `free_space`.
    pub fn kind(&self) -> String {
        let mut word = String::new();
        for c in self.name().chars() {
            if c.is_ascii_uppercase() && !word.is_empty() {
                word.push('_');
            }
            word.push(c.to_ascii_lowercase());
        }
        word
    }

    /// One hint of each kind, for tests of interfaces.
    #[doc(hidden)]
    pub fn examples() -> Vec<Self> {
        examples::examples()
    }
}

/// Whose accounts and tokens a server takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// The address of the server.
    pub server: String,
    /// The page where tokens are made; `None` where nobody knows it.
    pub tokens_page: Option<String>,
    /// Whether it is a mirror, which has no accounts of its own.
    pub is_mirror: bool,
}

/// What helps against a file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// Remove it.
    Remove,
    /// Another registry file.
    OtherRegistry,
    /// Another settings file of a backend.
    OtherBackendFile,
}
