//! Hints as sentences. The sentences are the same for all interfaces; what an interface calls an action or a setting, it says
//! itself.

use super::{Accounts, Action, Argument, Hint, Operand, Parameter, Replacement, Setting, Verb};
use crate::{
    settings::{DEFAULT_ENDPOINT, LinkMode},
    text::{self, list, list_whole},
};
use std::path::Path;

/// What an interface calls actions and settings, with the quotes that they need in a sentence.
pub trait Terms {
    /// An action, as a user of this interface starts it.
    fn action(&self, action: &Action) -> String;

    /// A parameter of an action.
    fn argument(&self, argument: &Argument) -> String;

    /// A setting.
    fn setting(&self, setting: Setting) -> String;

    /// To do the same once more, as the end of a sentence: "run the command again".
    fn again(&self) -> &'static str;
}

/// The hints as a text of sentences.
pub fn words(hints: &[Hint], terms: &dyn Terms) -> String {
    hints.iter().map(|hint| sentence(hint, terms)).collect::<Vec<_>>().join(" ")
}

/// The hints as a part of a sentence: without a capital and a full stop.
pub fn phrase(hints: &[Hint], terms: &dyn Terms) -> String {
    let text = words(hints, terms);
    let text = text.strip_suffix('.').unwrap_or(&text);
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// A name of a repository in a sentence.
fn repository(repo: Option<&str>) -> String {
    repo.map_or_else(|| "of this address".to_owned(), quoted)
}

impl Accounts {
    /// Which token is good, behind the words "a token".
    fn token(&self) -> String {
        match &self.tokens_page {
            Some(page) => format!("from {page}"),
            None => format!("that {} accepts", self.server),
        }
    }

    /// A sentence about mirrors, with a space before it, where the server is one or may be.
    fn about_mirrors(&self) -> String {
        match (self.is_mirror, &self.tokens_page) {
            (true, _) => format!(" {} is a mirror: it has no accounts of its own and passes the token on.", self.server),
            (false, Some(_)) => String::new(),
            (false, None) => format!(" If {} is a mirror, access and tokens are those of the Hub that it mirrors.", self.server),
        }
    }
}

/// The commands that move a file aside: its path, and the new one.
fn aside(path: &Path) -> (String, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (text::shell_path(path), text::shell_path(&path.with_file_name(format!("{name}.mine"))))
}

#[allow(clippy::too_many_lines, reason = "one arm for each hint")]
fn sentence(hint: &Hint, terms: &dyn Terms) -> String {
    let action = |action: &Action| terms.action(action);
    let actions = |all: &[Action]| all.iter().map(|one| terms.action(one)).collect::<Vec<_>>();
    let verb = |verb| terms.action(&Action::new(verb));
    let any_model = |verb| terms.action(&Action::new(verb).any_model());
    let argument = |argument: &Argument| terms.argument(argument);
    let parameter = |parameter| terms.argument(&Argument::of(parameter));
    let setting = |setting| terms.setting(setting);
    let again = terms.again();
    // "run the command again" where a sentence begins with it.
    let begin_again = || {
        let mut chars = again.chars();
        chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
    };
    let endpoint = || format!("HF_ENDPOINT or {}", setting(Setting::Endpoint));
    match hint {
        Hint::NothingChanged => "Nothing was changed.".into(),
        Hint::NothingRemoved => format!("Nothing was removed; run {} to list what is here.", verb(Verb::List)),
        Hint::RunAgain => format!("{}.", begin_again()),
        Hint::Resume => format!("{}: it resumes where it stopped.", begin_again()),
        Hint::PlanAgain => format!("{} to plan anew; a pinned entry may need another revision or size.", begin_again()),
        Hint::RunWithNetwork => format!("With the network, {again}."),
        Hint::GoOn(command) => format!("Continue with: `{command}`."),
        Hint::SeeHelp => format!("Run {} to see commands and options.", verb(Verb::Help)),
        Hint::ChooseOne(all) => match all.split_last() {
            Some((last, [])) => format!("Choose {last}."),
            Some((last, others)) => format!("Choose {} or {last}.", others.join(", ")),
            None => "There is nothing to choose.".into(),
        },
        Hint::OmitValue => "Leave it out to use the default.".into(),
        Hint::ReportBug => "This is a bug; please report it.".into(),
        Hint::UpdateProgram { is_readable: true } => {
            "Update model-manager; until then the store can be listed, verified and used.".into()
        }
        Hint::UpdateProgram { is_readable: false } => "Update model-manager; the store was not touched.".into(),

        Hint::Run(one) => format!("Run {}.", action(one)),
        Hint::NameOne(all) => format!("Name one: {}.", list_whole(&actions(all))),
        Hint::MoreDigits(all) => format!("Give more digits: {}.", list_whole(&actions(all))),
        Hint::ForExample(one) => format!("Run {}, for example.", action(one)),
        Hint::DidYouMean { names, actions: all } => {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            match all.is_empty() {
                true => format!("Did you mean {}?", names.join(" or ")),
                false => format!("Did you mean {}? Run {}.", names.join(" or "), actions(all).join(" or ")),
            }
        }
        Hint::DidYouMeanAction(one) => format!("Did you mean {}?", action(one)),
        Hint::Otherwise(one) => format!("Otherwise run {}.", action(one)),
        Hint::DownloadedBy(one) => format!("{} fetches it.", action(one)),
        Hint::CameFromHub(one) => format!("Run {} to fetch it again from the Hub.", action(one)),
        Hint::DownloadOther(one) => format!("For the other, run {}.", action(one)),
        Hint::FormsHere { forms, actions: all } => format!("Here is {forms}: {}.", list_whole(&actions(all))),
        Hint::ChooseForm(all) => {
            let (format, quant) = (parameter(Parameter::Format), parameter(Parameter::Quant));
            format!("Choose one with {format} and {quant}, or by its name: {}.", list_whole(&actions(all)))
        }
        Hint::RegistryHas(one) => format!("The registry has it: {}.", action(one)),
        Hint::ListModels => format!("{} shows the models that are here.", verb(Verb::List)),
        Hint::ListPaths => format!("{} shows the models that are here, with their paths.", verb(Verb::List)),
        Hint::ListModelsAndRegistry => {
            format!("Run {} to list what is here, {} to list the models of the registry.", verb(Verb::List), verb(Verb::Info))
        }
        Hint::ListRegistry => format!("Run {} to list the models of the registry.", verb(Verb::Info)),
        Hint::ShowModel(model) => format!("Run {} to see what it has.", action(&Action::new(Verb::Info).name(model))),
        Hint::ShowRepository(repo) => format!("{} lists what the Hub has.", action(&Action::new(Verb::Info).name(repo))),
        Hint::NameModel(model) => {
            format!("Name the model: {} shows what there is.", action(&Action::new(Verb::Info).name(model)))
        }
        Hint::WriteLabel(model) => {
            format!("Write `{model}:LABEL`; {} lists the labels.", action(&Action::new(Verb::Info).name(model)))
        }
        Hint::ShowChecked(one) => format!("{} says what is known of it.", action(one)),
        Hint::ShowUsers(digest) => format!("{} says who needs it.", action(&Action::new(Verb::Why).name(digest))),
        Hint::RemovesFromProject(one) => format!("{} removes what is here of it.", action(one)),
        Hint::ShowLocked => format!("{} shows what is locked.", action(&Action::new(Verb::Sync).with(Parameter::Locked))),
        Hint::TakesIn(one) => format!("{} takes it into the store.", action(one)),
        Hint::LinksAgain(one) => format!("{} puts a link of this program in its place.", action(one)),
        Hint::RemoveAll(one) => format!("To remove all of them, run {}.", action(one)),
        Hint::IsBuiltIn => format!(
            "Nothing was removed: it is an entry of the built-in registry, which stays as it is; run {} to list what is here.",
            verb(Verb::List)
        ),
        Hint::UnregisterOrDownload { unregister, download } => {
            format!("{} takes the entry out of the registry, {} fetches it.", action(unregister), action(download))
        }
        Hint::MakeRegistry => {
            let add = action(&Action::new(Verb::Add).any_repository());
            format!("A project has a registry of its own in configs/models.yaml: {add} makes one.")
        }
        Hint::WithoutEntry(model) => {
            let of = |verb| action(&Action::new(verb).name(model));
            let add = action(&Action::new(Verb::Add).any_repository().value(Parameter::Id, model));
            format!("{} and {} take it; {add} gives it an entry in the registry.", of(Verb::Path), of(Verb::Verify))
        }
        Hint::GiveOnlyOne => "Give only one of them.".into(),
        Hint::WriteDigest { scheme, least, most } => format!("Write `{scheme}` and {least} to {most} hexadecimal digits."),
        Hint::WriteReference => {
            "Write a registry id (`phi-2:q4_k_m`), `owner/repo:Q4_K_M`, `hf://owner/repo@revision/file`, an address of the Hub, \
             or `https://host/path/NAME.gguf`."
                .into()
        }
        Hint::WriteRepository => "Write `owner/repo:Q4_K_M`, `hf://owner/repo@revision/file` or an address of the Hub.".into(),
        Hint::NameQuantization => "Name the quantization that is wanted: `owner/repo:QUANT`.".into(),
        Hint::PinAgain(id) => {
            format!("To pin the entry anew: {}.", action(&Action::new(Verb::Add).name(id).with(Parameter::Update)))
        }
        Hint::Labels { labels, is_choice } => {
            let all: Vec<String> = labels.iter().map(|(one, bytes)| format!("{} ({})", action(one), text::size(*bytes))).collect();
            format!("{}: {}.", if *is_choice { "Name one" } else { "There is" }, list_whole(&all))
        }
        Hint::OtherFormat { format, action: one } => format!("It has {format} weights: {}.", action(one)),
        Hint::ThereIs(there) => format!("There is: {}.", list(there)),
        Hint::NameCompanion(one) => format!("Name one: {}.", argument(one)),
        Hint::WriteCompanion => "Write `draft`, or `draft=NAME` for the one with this file name, label or quantization.".into(),
        Hint::OmitCompanion(one) => format!("Leave {} out: a complete set has all that it needs.", argument(one)),
        Hint::FileByName(one) => format!("A file is taken by itself where it is named: {}.", action(one)),
        Hint::NameFormat(one) => format!("Name its format too: {}.", action(one)),
        Hint::WithoutQuant(one) => format!("Run {} without {}.", action(one), parameter(Parameter::Quant)),

        Hint::AllowNetwork => format!("To allow requests, drop {} and unset HF_HUB_OFFLINE.", setting(Setting::Offline)),
        Hint::SetEndpoint => format!("Set {} to an address such as {DEFAULT_ENDPOINT}.", endpoint()),
        Hint::NotAHub => {
            format!("Check HF_ENDPOINT and {}: the server does not behave like a Hub.", setting(Setting::Endpoint))
        }
        Hint::UnexpectedAnswer => "Check the address: the server does not answer as a server of files does.".into(),
        Hint::TryOtherAddress => format!("{}; if it fails again, use another address of the file.", begin_again()),
        Hint::TryOtherEndpoint => format!("{}; if it stays, use another endpoint ({}).", begin_again(), endpoint()),
        Hint::ServerTrouble => format!("The server has trouble: {again} later, or use a mirror ({}).", endpoint()),
        Hint::CheckConnection => format!(
            "Check the connection, and the proxy if HTTPS_PROXY, http_proxy or ALL_PROXY names one; behind a proxy set \
             HTTPS_PROXY; to use a mirror set {}.",
            endpoint()
        ),
        Hint::CheckProxy => "Check HTTPS_PROXY and NO_PROXY, and the proxy's user and password.".into(),
        Hint::CorrectProxy { variable } => {
            format!("Correct {variable}, or unset it; hosts that need no proxy are listed in NO_PROXY.")
        }
        Hint::InstallCertificates => format!(
            "Install the system's certificates (package `ca-certificates`), or name a PEM file with {}.",
            setting(Setting::CaFile)
        ),
        Hint::TrustProxy => format!(
            "A proxy that opens HTTPS needs its certificate named with {}; also check this machine's clock.",
            setting(Setting::CaFile)
        ),
        Hint::CheckCertificates => format!("Check {} and SSL_CERT_FILE.", setting(Setting::CaFile)),
        Hint::CheckAddress => "Check the address: open it in a browser. No password or token is sent to it.".into(),
        Hint::LoginPage => {
            "A login page of the network or a proxy may stand between: open the address in a browser, then try again.".into()
        }
        Hint::Wait { accounts: Some(accounts) } => {
            format!("Wait, then {again}; with a token {} (HF_TOKEN) more requests are allowed.", accounts.token())
        }
        Hint::Wait { accounts: None } => format!("Wait, then {again}: it resumes where it stopped."),
        Hint::TrustEndpoint { origin } => format!(
            "Your token was not sent to {origin}. If you trust it with that: {}.",
            action(&Action::grant("trusted_endpoints").name(origin))
        ),
        Hint::SendToken { origin } => {
            format!("If you trust it with the token: {}.", action(&Action::grant("trusted_endpoints").name(origin)))
        }
        Hint::CheckNameAndToken { repo, accounts } => format!(
            "Either the repository {} does not exist, or it is private, or the token is missing or wrong: check the name, then \
             set HF_TOKEN to a token {}.{}",
            repository(repo.as_deref()),
            accounts.token(),
            accounts.about_mirrors()
        ),
        Hint::RequestAccess { page, had_token, accounts } => format!(
            "The repository is gated and {}: ask for access at {page}, then set HF_TOKEN to a token {}.{}",
            if *had_token { "the token in use is not accepted" } else { "no token was sent" },
            accounts.token(),
            accounts.about_mirrors()
        ),
        Hint::AwaitAccess { page, accounts } => format!(
            "The token is good, but access is not granted yet: accept the licence or ask for access at {page}.{}",
            accounts.about_mirrors()
        ),
        Hint::ReplaceToken { accounts } => format!(
            "The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or \
             set it to a token {}.{}",
            accounts.token(),
            accounts.about_mirrors()
        ),
        Hint::CheckTokenRights { accounts } => format!(
            "Check that the token may read this repository (fine-grained tokens list them); it has to be one {}.{}",
            accounts.token(),
            accounts.about_mirrors()
        ),
        Hint::RepositoryDisabled { page } => {
            format!("The Hub has disabled this repository; {page} may say why. Use another one.")
        }
        Hint::CheckRepository { repo } => format!(
            "Check the name {}; a private repository needs a token that may read it (HF_TOKEN).",
            repository(repo.as_deref())
        ),
        Hint::SeeBranches { page } => format!("See the branches and tags at {page}."),
        Hint::SeeFiles { page } => format!("See the files at {page}."),
        Hint::CheckReference { page } => format!("Check the repository, revision and file; see {page}."),
        Hint::SeeRepository => "Look at the repository's page in a browser.".into(),
        Hint::TryOtherRevision => "The upload may be broken or unfinished: try another revision, or another repository.".into(),
        Hint::CheckRepositoryFile => {
            "Nothing of it was kept. A proxy or mirror may have sent something else, or the upload is broken: look at the file \
             in the repository, or try another revision."
                .into()
        }
        Hint::DoNotUse => "Nothing was fetched; do not use this repository, and report it to the Hub.".into(),
        Hint::UpdatePin { model } => format!(
            "The file was changed upstream. Correct the entry of `{model}`: pin a `revision`, or update `sha256` and `size`."
        ),
        Hint::NearestFile(name) => format!("The nearest name there is `{name}`: correct it in the registry."),

        Hint::RaiseOpenFiles => format!(
            "More files are needed than this process may have open at once. Allow more with `ulimit -n 4096`, or as many as \
             `ulimit -Hn` says, and {again}."
        ),
        Hint::RaiseProcesses => format!(
            "End other programs of this user, or allow more processes with `ulimit -u unlimited` or in the container's settings \
             (`pids.max`), and {again}."
        ),
        Hint::RaiseFileSize => format!(
            "No file may be so large here: allow larger ones with `ulimit -f unlimited`, or, where the file system itself holds \
             none (FAT32: 4 GiB), choose a place on another with {}.",
            setting(Setting::Store)
        ),
        Hint::FreeInodes => format!(
            "The volume has no inodes left for more files, as `df -i` shows: remove files or models ({}, {}), or choose a place \
             on another with {}.",
            verb(Verb::List),
            any_model(Verb::Remove),
            setting(Setting::Store)
        ),
        Hint::FreeSpace { needed: None, .. } => format!(
            "Free some space ({} shows what models take, {} removes one) and {again}; what was downloaded is kept.",
            verb(Verb::List),
            any_model(Verb::Remove)
        ),
        Hint::FreeSpace { needed: Some(_), .. } => format!(
            "Remove models you do not use ({}, then {}), or choose a smaller quantization.",
            verb(Verb::List),
            any_model(Verb::Remove)
        ),
        Hint::UseLinks => format!(
            "Links take no space: {again} with {}, or remove models you do not use.",
            setting(Setting::Link(Some(LinkMode::Auto)))
        ),
        Hint::CloseFile => format!("A program has the file open: end it and {again}."),
        Hint::CheckWritable { settings } => {
            let all: Vec<String> = settings.iter().map(|one| setting(*one)).collect();
            let (choose, places) = match all.len() {
                1 => ("chooses", "another place"),
                _ => ("choose", "other places"),
            };
            format!(
                "Check who owns the folder and whether the volume is mounted read-only; {} {choose} {places}.",
                all.join(" and ")
            )
        }
        Hint::ClearTheWay => {
            format!("Move it away, or choose another place with {} or {}.", setting(Setting::ModelsDir), setting(Setting::Store))
        }
        Hint::OtherKindInTheWay => format!(
            "Something of another kind is in the way: move it away, or choose another place with {} or {}.",
            setting(Setting::ModelsDir),
            setting(Setting::Store)
        ),
        Hint::ShortenName => {
            format!("Choose a place with a shorter name with {} or {}.", setting(Setting::ModelsDir), setting(Setting::Store))
        }
        Hint::GiveBack { by, owner, command } => {
            format!("It belongs to {by} and not to {owner}, as a run by {by} leaves it; `{command}` gives it back.")
        }
        Hint::MountTarget => {
            format!("Mount the volume that it leads to, or make that folder, and {again}. Nothing was changed.")
        }
        Hint::ChangeFolder => format!("Change to a folder that exists, and {again}."),
        Hint::RenameFolder => format!("Rename the folder, or name another with {}.", setting(Setting::ModelsDir)),

        Hint::ChooseStore => {
            format!("Choose an empty or new folder, or the folder of an existing store, with {}.", setting(Setting::Store))
        }
        Hint::UseMovedStore { to } => {
            format!("Name {} with {}, or as `store` in a settings file.", to.display(), setting(Setting::Store))
        }
        Hint::ReachProjectsFirst => "Make them reachable, so that their links can be made again.".into(),
        Hint::EndCommandsFirst => format!("Wait until they end, and {again}."),
        Hint::NameFolderElsewhere => "Name a folder that is not in the store, and that the store is not in.".into(),
        Hint::ListApps => format!("Run {} to list what applications have.", verb(Verb::Apps)),
        Hint::AddApp { app } => format!("Name it as `{app}=DIR` in `apps` of your settings file."),
        Hint::AskOwnerToMove => "Move the store as root, or ask its owner to remove its models first.".into(),
        Hint::MoveStoreThere => "Have the store on that volume, or copy the file there by hand.".into(),
        Hint::NameApp => format!("Write the whole name, or choose with {}.", parameter(Parameter::From)),
        Hint::CopyInstead => format!("To copy it, use {}.", parameter(Parameter::Copy)),
        Hint::RepairFirst => {
            format!("Run {}, then {again}.", action(&Action::new(Verb::Verify).with(Parameter::Repair)))
        }
        Hint::NoStoreYet => {
            format!("Download a model first, or name the store with {} or MODEL_MANAGER_STORE.", setting(Setting::Store))
        }
        Hint::RestoreRecord => format!("Restore the file from a backup or move it away, then {again}."),
        Hint::WriteElsewhere => format!(
            "Run it where the store is mounted writable, or name another store with {}; what is here can be listed, verified and \
             used.",
            setting(Setting::Store)
        ),
        Hint::AskForAccess => {
            format!("{} says who can let you write it; or name another store with {}.", verb(Verb::Doctor), setting(Setting::Store))
        }
        Hint::RestoreLocks => format!(
            "Move `lock` in the store's folder elsewhere, then run {}; until then the store can be listed, verified and used.",
            verb(Verb::Init)
        ),
        Hint::WaitForLock => format!(
            "Wait for the other process, or give a longer {}. A lock is released when its process ends.",
            setting(Setting::LockTimeout)
        ),
        Hint::CheckSize => "Check the `size` of the registry or the lock file, or what the server says of the file.".into(),
        Hint::DownloadAgain => {
            "Nothing was published and the wrong bytes were dropped. Run the download again; if it repeats, the source serves \
             another file than the registry pins: check its `sha256` and `revision`."
                .into()
        }
        Hint::OnlyThisHost => format!(
            "If no other host uses this store now, say so with {}.",
            action(&Action::new(Verb::Gc).with(Parameter::OnlyThisHost))
        ),
        Hint::NameGroup => "Name a group that `getent group` lists, or its number. Nothing was made.".into(),
        Hint::NameStore => format!("See {}; give the path or the whole uuid.", verb(Verb::Stores)),
        Hint::ForgetStore { path } => {
            format!("If it is gone for good, forget it with {}.", action(&Action::new(Verb::ForgetStore).path(path)))
        }
        Hint::NameProject => format!("See {}; give the path or the whole uuid.", verb(Verb::Projects)),
        Hint::ForgetLiveProject { uuid } => format!(
            "Remove its models there with {}, or break it: {}.",
            any_model(Verb::Remove),
            action(&Action::new(Verb::ForgetProject).name(uuid).with(Parameter::Force))
        ),
        Hint::DownloadFromRepository => format!(
            "Download it from its repository ({}), or put a whole copy in its place.",
            action(&Action::new(Verb::Download).any_repository())
        ),

        Hint::MoveForeign { path } => {
            let (from, to) = aside(path);
            format!(
                "Nothing was changed, and it is left alone: move it away (`mv {from} {to}`) and {again}. A plain file is \
                 replaced by a download with {}, after its content was kept in the store.",
                parameter(Parameter::Force)
            )
        }
        Hint::MoveEdited { path } => {
            let (from, to) = aside(path);
            let repair = action(&Action::new(Verb::Verify).path(path).with(Parameter::Repair));
            format!(
                "It may be an edit of yours, and is left alone. To keep it, move it away (`mv {from} {to}`) and {again}; \
                 {repair} puts the published file in its place."
            )
        }
        Hint::MovePlain { path } => format!(
            "It was left as it is. Move it away, or run {} and then {again}. With {} the download replaces it, after its \
             content was kept in the store.",
            action(&Action::new(Verb::Remove).path(path)),
            parameter(Parameter::Force)
        ),
        Hint::DownloadMissing { path } => {
            format!("Run {} to fetch it again.", action(&Action::new(Verb::Download).path(path)))
        }
        Hint::CheckPatterns => {
            format!("Check the entry's `file`, `include` and `exclude` in the registry ({}).", any_model(Verb::Info))
        }
        Hint::CheckIncludes => "Check `include` and `exclude` in the registry.".into(),
        Hint::ExcludeOne => "Leave one of them out with an `exclude` pattern in the registry.".into(),
        Hint::OtherLinkMode { failed } => {
            let link = |mode| setting(Setting::Link(Some(mode)));
            let other = match failed {
                LinkMode::Symlink => format!("{} needs the store on the same volume", link(LinkMode::Hardlink)),
                _ => format!("{} works everywhere and takes the space twice", link(LinkMode::Copy)),
            };
            format!("Nothing was changed. Take another mode: {} finds what works here, {other}.", link(LinkMode::Auto))
        }
        Hint::AllowCopies => format!(
            "{} with {} to have copies, which take the space twice, or choose another place with {}.",
            begin_again(),
            setting(Setting::Link(Some(LinkMode::Copy))),
            setting(Setting::ModelsDir)
        ),

        Hint::CorrectLine { file, line } => {
            format!("Correct line {line} of {file}, then run {} to check it.", verb(Verb::Lint))
        }
        Hint::CorrectFile { file } => format!("Correct it in {file}."),
        Hint::CorrectSetting { file, line } => format!("Correct line {line} of {file}; every key is optional."),
        Hint::CorrectValue => "Correct the value; nothing was written.".into(),
        Hint::RemoveSetting { key } => format!("Take `{key}` out by hand."),
        Hint::SettingsAre(keys) => format!("The settings are {}.", keys.join(", ")),
        Hint::CorrectVariable { variable } => format!("Correct {variable}, or unset it."),
        Hint::WriteFullPath => "Write it in full, or from `~/` on.".into(),
        Hint::WriteLine { place: Some(place), line } => format!("Write it by hand, {place}:  {line}"),
        Hint::WriteLine { place: None, line } => format!("Write it by hand: {line}"),
        Hint::MakeReadable(replacement) => format!(
            "Make it a file that this user can read, or {}.",
            match replacement {
                Replacement::Remove => "remove it".to_owned(),
                Replacement::OtherRegistry => format!("name another with {}", setting(Setting::Config)),
                Replacement::OtherBackendFile => format!("name another with {}", parameter(Parameter::File)),
            }
        ),
        Hint::SaveAsUtf8 { is_registry: true } => {
            format!("Save the registry as UTF-8, or name another file with {}.", setting(Setting::Config))
        }
        Hint::SaveAsUtf8 { is_registry: false } => "Save the settings as UTF-8.".into(),
        Hint::RestoreRegistryLink => {
            format!("Bring back what it leads to, or remove the link; {} names another registry.", setting(Setting::Config))
        }
        Hint::NameRegistry => {
            format!("Name another file with {}, or leave it out to use the built-in registry.", setting(Setting::Config))
        }
        Hint::RestoreRegistry { lock_file } => format!(
            "Bring back configs/models.yaml, or name the registry with {}; to drop the view, take it out of {}. {} locks other \
             models.",
            setting(Setting::Config),
            lock_file.display(),
            any_model(Verb::Lock)
        ),
        Hint::RemoveLink => "Remove the link, or name another place.".into(),
        Hint::RemoveSettingsLink => format!("Remove the link, or name another file with {}.", parameter(Parameter::File)),
        Hint::AllowPlaces(places) => {
            let grant = places.iter().fold(Action::grant("allowed_places"), Action::path);
            format!("If that is what you want, allow it once: {}.", action(&grant))
        }
        Hint::UseThatFile(one) => format!("If that is the file that you mean: {}.", action(one)),
        Hint::TrustProject { folder } => format!(
            "If you trust it: {}. Otherwise run the command elsewhere.",
            action(&Action::grant("safe_projects").path(folder))
        ),
        Hint::WorkInProject { folder } => {
            format!("To work in it: {}.", action(&Action::grant("safe_projects").path(folder)))
        }
        Hint::GrantOrRemove { file, line, grant } => {
            format!("Remove line {line} of {}. If you trust it: {}.", file.display(), action(grant))
        }
        Hint::SetHome => "Set HOME, or XDG_CONFIG_HOME to an absolute path.".into(),
        Hint::UseOwnSettings => "Run the command as that user, or set HOME to your own home.".into(),
        Hint::ReviewSettings => {
            "Remove every line that is not yours, run the commands that are named above, then this one again.".into()
        }
        Hint::OtherBackend(backend) => {
            format!("Use {}, or name another file with {}.", argument(backend), parameter(Parameter::File))
        }
        Hint::FormatOrBackend { format, backend } => format!("Choose {}, or {}.", argument(format), argument(backend)),

        Hint::RestoreLock { file: Some(file) } => {
            let path = text::shell_word(file);
            format!(
                "Take {file} from version control again; or move it away (`mv {path} {path}.old`) and make it anew: {}.",
                verb(Verb::Lock)
            )
        }
        Hint::RestoreLock { file: None } => {
            format!("Take it from version control again; or move it away and make it anew with {}.", verb(Verb::Lock))
        }
        Hint::MakeLock => {
            format!("Run {} to lock what this project uses, or {}.", verb(Verb::Lock), any_model(Verb::Lock))
        }
        Hint::LockIt(one) => format!("Run {} to lock it.", action(one)),
        Hint::NameModelToLock => format!(
            "Name one: {}. Without options, all that is here is locked.",
            action(&Action::new(Verb::Lock).any_model().value(Parameter::Quant, "q4_k_m"))
        ),
        Hint::LockAgain => {
            format!("Run {} to lock what the registry says now, and look at the difference.", verb(Verb::Lock))
        }
        Hint::ContradictingLock { remove } => format!(
            "Take the lock file from version control again, or run {} to lock what is here. If what is here is wrong, run {} \
             and then {}.",
            verb(Verb::Lock),
            action(remove),
            action(&Action::new(Verb::Sync).with(Parameter::Locked))
        ),
        Hint::DownloadToLock(one) => {
            format!("Run {} first: what is fetched has a hash, and then it can be locked.", action(one))
        }
        Hint::RepairWithNetwork(one) => format!("With the network, run this again, or {}.", action(one)),

        Hint::PinOrOtherId(name) => format!(
            "{} pins it anew at the present commit; {} adds it under another id.",
            action(&Action::new(Verb::Add).name(name).with(Parameter::Update)),
            parameter(Parameter::Id)
        ),
        Hint::AddOrName => format!(
            "Leave out {} to add it, or name the entry with {}, {} and {}.",
            parameter(Parameter::Update),
            parameter(Parameter::Id),
            parameter(Parameter::Format),
            parameter(Parameter::Quant)
        ),
        Hint::TakeOutByHand => format!("Take it out by hand, then run {}.", verb(Verb::Lint)),
        Hint::WriteByHand { below, text } => format!("Write it {below} by hand, then run {}:\n{text}", verb(Verb::Lint)),
        Hint::AddModelsKey => "Write `models:` at the top of the file.".into(),
        Hint::OmitDescription => format!(
            "Leave out {}, which is for a new model, or give another {}.",
            parameter(Parameter::Description),
            parameter(Parameter::Id)
        ),
        Hint::GiveQuant => format!("Name one with {}.", parameter(Parameter::Quant)),
        Hint::GiveId => format!("Give one with {}.", parameter(Parameter::Id)),
        Hint::GiveOtherId => format!("Give another id with {}.", parameter(Parameter::Id)),
        Hint::CorrectOrOtherId => {
            format!("Correct the entry by hand, or add the new files under another id with {}.", parameter(Parameter::Id))
        }
        Hint::WriteFileOrOtherId => format!(
            "Write the file below the entry's `files` by hand, or add the model under another id with {}.",
            parameter(Parameter::Id)
        ),
        Hint::Describe => "Say in a line what the model is.".into(),
        Hint::OtherName { address } => {
            let add = action(&Action::new(Verb::Add).name(address).value(Parameter::Id, "NAME"));
            format!("Give it another name: {add} makes an entry of that name in the registry, which can be downloaded.")
        }
        Hint::WeightsAddress => "Give the address of a file whose name ends with `.gguf` or `.safetensors`.".into(),
        Hint::OmitDigest => "Leave the digest out: for other models the Hub or the registry gives the hashes.".into(),
        Hint::OmitPatterns => format!(
            "Leave the patterns out, or name the repository alone, as `owner/repo`, where {} says of which files they select.",
            terms.argument(&Argument::with(Parameter::Format, "files"))
        ),
        Hint::DownloadOtherwise => "Fetch it with another program, or take another address.".into(),
        Hint::NewerVersionKnows => "A newer version of this program, such as the one that wrote it, can fetch it.".into(),
        Hint::OmitOnline => format!(
            "Leave out {}, or allow the network: no {}, no HF_HUB_OFFLINE.",
            parameter(Parameter::Online),
            setting(Setting::Offline)
        ),
        Hint::CorrectEntry => format!("Correct it, then run {}.", verb(Verb::Lint)),
        Hint::ListBadEntries => format!("{} lists all of them.", verb(Verb::Lint)),
        Hint::CorrectKey => "Correct it, or leave it if another program reads it.".into(),
        Hint::RemoveKey => "Remove it, or write it as a comment.".into(),
        Hint::WriteLicence => "Write the licence that the repository's page names.".into(),
        Hint::WriteCommit { update } => format!("Run {}, or write the commit.", action(update)),
        Hint::AskHub { update } => format!(
            "Run {} to see what the Hub says, or {}.",
            action(&Action::new(Verb::Lint).with(Parameter::Online)),
            action(update)
        ),
        Hint::WriteKeys { lines, update, is_doubtful } => {
            let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
            let update = update.as_ref().map_or_else(String::new, |update| format!(", or run {}", action(update)));
            let write = if *is_doubtful { "If the Hub's file is the right one, write" } else { "Write" };
            format!("{write} {}{update}.", lines.join(" and "))
        }
        Hint::OtherRepository => "Choose another repository.".into(),
        Hint::FollowBranch { update } => format!("To follow it, run {}.", action(update)),
        Hint::RenameQuant { quant } => format!("Correct the file, or rename the quantization to `{quant}`."),
        Hint::ListParts => "List every part under `files`.".into(),
        Hint::SplitEntry => "Make two entries of them.".into(),
        Hint::ShortenId => "Choose a shorter id.".into(),
        Hint::CorrectSuccessor { model } => {
            format!("Run {} to see what there is, and correct `superseded_by`.", action(&Action::new(Verb::Info).name(model)))
        }
        Hint::NameSuccessor => "Name what replaces it.".into(),
        Hint::NameLastSuccessor => "Name the entry at the end of the chain.".into(),
        Hint::RemoveDuplicate => "Remove one of the two, unless both names are wanted.".into(),
        Hint::CorrectSizes => "One content has one size: correct one of the two.".into(),
        Hint::NothingToDo => "Nothing has to be done: the store keeps it once.".into(),

        Hint::SystemCommand(command) => format!("`{command}`."),
        Hint::MoveElsewhere => "Move it elsewhere.".into(),
        Hint::MakeReadableOrMove => "Make it readable for this user, or move it elsewhere.".into(),
        Hint::ReplaceLink => {
            "Remove the link and put the folder that it leads to in its place; only the store as a whole may be linked.".into()
        }
        Hint::RestoreFolder => "Move it elsewhere, and put the folder back.".into(),
        Hint::ShareAsOwner => {
            format!("Run {} as its owner or as root.", action(&Action::new(Verb::Init).with(Parameter::Shared)))
        }
        Hint::RewriteRecord => format!("Run {}, which writes it again.", verb(Verb::Verify)),
        Hint::VerifyProtects => {
            format!("Run {}: it makes what no application shares any more read-only.", verb(Verb::Verify))
        }
        Hint::CollectUnneeded => format!("Nothing needs it: {} removes it.", verb(Verb::Gc)),
        Hint::CollectLater => format!("{} removes it later.", verb(Verb::Gc)),
        Hint::CollectNow => {
            format!("{} removes it with all else that nothing uses.", action(&Action::new(Verb::Gc).value(Parameter::Grace, "0")))
        }
        Hint::RepairInProject { repair, project } => {
            let place = project.as_ref().map_or_else(String::new, |project| format!(" in the project of {project}"));
            format!("Run {}{place}.", action(repair))
        }
        Hint::FindAndRepair { digest } => format!(
            "{} says which project does; run {} in its folder.",
            action(&Action::new(Verb::Why).name(digest)),
            action(&Action::new(Verb::Verify).with(Parameter::Repair))
        ),
        Hint::RegisterOrForget { project } => format!(
            "Run {} in the project, or, if it is gone, {}.",
            verb(Verb::Init),
            action(&Action::new(Verb::ForgetProject).name(project))
        ),
        Hint::RestoreOrForget { path, project } => format!(
            "Restore it from a backup; or move it away (`mv {0} {0}.old`) and run {1} in the project, or, if that is gone, {2}.",
            text::shell_path(path),
            verb(Verb::Init),
            action(&Action::new(Verb::ForgetProject).name(project))
        ),
        Hint::DownloadInProject(one) => format!("Run {} in that project.", action(one)),
        Hint::LeaveToOwner => "Leave it to the program that made it, or to a newer version of this one.".into(),
        Hint::LeaveToVersion => "Leave it to the version that made it.".into(),
        Hint::RestoreRoot => {
            "Restore it from a backup, or move it away and download the model again; until then nothing is collected.".into()
        }
        Hint::RemoveWhenUnused => "Remove it when it is of no more use.".into(),
        Hint::FindStore { can_be_made: true } => format!(
            "Mount its volume, or name it with {}; if it is gone, {} makes a new one.",
            setting(Setting::Store),
            verb(Verb::Init)
        ),
        Hint::FindStore { can_be_made: false } => {
            format!("Restore its STORE.json from a backup, mount its volume, or name it with {}.", setting(Setting::Store))
        }
        Hint::StoreIsMade => format!("The first download makes it, and so does {}.", verb(Verb::Init)),
        Hint::RestoreMarker => "Move it away and restore STORE.json from a backup; the blobs are untouched.".into(),
        Hint::RunWhereWritable => "It is mounted read-only here: run such commands where it is mounted writable.".into(),
        Hint::JoinGroup { group } => format!(
            "The members of the group {group} can: have this user added with `usermod -aG {group} <user>`, then log in anew."
        ),
        Hint::AskOwnerToShare => {
            let group = Argument { parameter: Parameter::Group, value: Some(Operand::AnyGroup) };
            let share = Action::new(Verb::Init).with(Parameter::Shared).with(group);
            format!("Ask its owner to run {}.", action(&share))
        }
        Hint::MoveToLocalDisk => "Put the store on a local disk, or mount it with working locks.".into(),
        Hint::RestartProject { path, downloads } => format!(
            "Move it away (`mv {0} {0}.old`), then fetch each model again: {1}. {2} shows the old project, to be forgotten.",
            text::shell_path(path),
            list_whole(&actions(downloads)),
            verb(Verb::Projects)
        ),
        Hint::RestoreLinkTarget => "Bring back what it leads to, or remove the link; nothing of the store is missing.".into(),
        Hint::ForgetProject { project } => {
            format!("If it will not come back, {}.", action(&Action::new(Verb::ForgetProject).name(project)))
        }
    }
}
