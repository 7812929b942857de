//! Everything a run may be told, as one typed value. It is passed in; the environment is read in `cli/` only.

use crate::names::App;
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How a view shows a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LinkMode {
    /// Probe the models directory and take the first that works: symlink, hardlink, reflink, copy.
    #[default]
    Auto,
    /// A symbolic link, relative inside the models directory.
    Symlink,
    /// A second name of the blob; same volume only.
    Hardlink,
    /// A copy that shares its extents until one side is written; some file systems only.
    Reflink,
    /// A second copy of the bytes.
    Copy,
}

impl LinkMode {
    /// The word for this mode on the command line and in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Symlink => "symlink",
            Self::Hardlink => "hardlink",
            Self::Reflink => "reflink",
            Self::Copy => "copy",
        }
    }
}

impl std::str::FromStr for LinkMode {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Self::Auto, Self::Symlink, Self::Hardlink, Self::Reflink, Self::Copy];
        all.into_iter().find(|known| known.as_str() == word).ok_or_else(|| format!("`{word:.40}` is no link mode"))
    }
}

impl fmt::Display for LinkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A Hub token. It has no `Display`, and `Debug` hides it, so that it cannot reach a log, an error or a file by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a token; white space around it is dropped, and an empty one is none.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The secret itself, for the one place that writes the `Authorization` header.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// The Hub that is asked when nothing else is named.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// How many connections may be open at once, over all files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Where they share what the line and the server give.
    pub usual: usize,
    /// Where they are the limit themselves: while only files of one segment come, which take nearly nothing of the line and
    /// a round trip each, and while each is so slow that more of them are seen to bring more.
    pub most: usize,
}

impl Connections {
    /// So many, whatever comes.
    pub const fn exactly(most: usize) -> Self {
        Self { usual: most, most }
    }

    /// The same, but never more than so many.
    pub fn at_most(self, most: usize) -> Self {
        Self { usual: self.usual.min(most), most: self.most.min(most) }
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self { usual: 8, most: 16 }
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { usual, most } = self;
        match usual == most {
            true => write!(f, "{usual} connections"),
            false => write!(f, "{usual} connections (up to {most} for small files and slow servers)"),
        }
    }
}

/// A variable that names a proxy. Its value may hold a password, so nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyVariable {
    /// The variable's name.
    pub name: String,
    value: String,
}

impl ProxyVariable {
    /// A variable and what it says.
    pub fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned() }
    }

    /// What it says, for the one place that reads it.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for ProxyVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyVariable({})", self.name)
    }
}

/// The proxies that the environment names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxies {
    /// For `http://` addresses.
    pub http: Option<ProxyVariable>,
    /// For `https://` addresses.
    pub https: Option<ProxyVariable>,
    /// Hosts that are reached without one.
    pub exceptions: String,
}

/// Settings of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// Base addresses of the Hub and its mirrors, without a trailing slash, in the order in which they are tried.
    pub endpoints: Vec<String>,
    /// Sent to the Hub's own origins and to those of `token_endpoints`, and to no other.
    pub token: Option<Token>,
    /// Addresses that the user named: by a flag, a variable or the user's own file, and not only by a project's file.
    pub token_endpoints: Vec<String>,
    /// Those of them that may see the token although nothing is encrypted on the way.
    pub clear_text_endpoints: Vec<String>,
    /// No request at all.
    pub offline: bool,
    /// Connections open at once.
    pub connections: Connections,
    /// Bytes per second over all connections; `None` is no limit.
    pub limit_rate: Option<u64>,
    /// A range that delivers nothing for this long, or less than 1 KiB a second on its average, is asked for again.
    pub stall_timeout: Duration,
    /// Time to reach a server.
    pub connect_timeout: Duration,
    /// The proxies; `None` leaves them to what the system has set.
    pub proxies: Option<Proxies>,
    /// More trusted certificates, as a PEM file.
    pub ca_file: Option<PathBuf>,
    /// Tries of one request without any progress before the run gives up.
    pub tries: u32,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            endpoints: vec![DEFAULT_ENDPOINT.to_owned()],
            token: None,
            token_endpoints: Vec::new(),
            clear_text_endpoints: Vec::new(),
            offline: false,
            connections: Connections::default(),
            limit_rate: None,
            stall_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
            proxies: None,
            ca_file: None,
            tries: 6,
        }
    }
}

/// A folder in which another application may have models.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppPlace {
    /// The application.
    pub app: App,
    /// The folder.
    pub dir: PathBuf,
    /// The variable that names it, or `settings`; `None` for the application's default.
    pub named_by: Option<String>,
}

impl AppPlace {
    /// A folder that this program's user named.
    pub fn new(app: App, dir: impl Into<PathBuf>) -> Self {
        Self { app, dir: dir.into(), named_by: Some("settings".to_owned()) }
    }
}

/// Settings of one manager.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The visible tree; `<project root>/models` unless told otherwise.
    pub models_dir: PathBuf,
    /// The registry file; `None` is the built-in one.
    pub config: Option<PathBuf>,
    /// The lock file, which need not be there; beside the registry, else `<project root>/configs/models.lock`.
    pub lock_file: PathBuf,
    /// The store; `None` is `<models_dir>/.blobs`.
    pub store: Option<PathBuf>,
    /// How views show blobs.
    pub link: LinkMode,
    /// How long a command waits in all for locks of others; `None` waits for ever, no time at all tries once.
    pub lock_timeout: Option<Duration>,
    /// The folder in which the stores that this user opened are remembered, so that what one of them has is not fetched for
    /// another; `None` remembers none and looks in none.
    pub known_stores: Option<PathBuf>,
    /// Where other applications may have models.
    pub apps: Vec<AppPlace>,
    /// Whether nothing is taken from them in place of a download.
    pub no_apps: bool,
    /// Whether tensors of similar files in the store are used in place of a download.
    pub borrow: bool,
    /// Settings of the network.
    pub network: Network,
    /// Where files of the project may be written; `None` where the program that uses this crate decides that itself.
    pub bounds: Option<Bounds>,
}

/// Folders of programs that keep versions.
const VERSION_CONTROL: [&str; 4] = [".git", ".hg", ".svn", ".jj"];

/// Folders of programs that keep what they run.
const OF_PROGRAMS: [&str; 2] = ["node_modules", "site-packages"];

/// Marks a folder as a Python environment, whose files Python runs.
const PYTHON_ENVIRONMENT: &str = "pyvenv.cfg";

/// The one hidden folder of our own: the store of a models directory.
const OWN_HIDDEN: &str = ".blobs";

/// Where files may be that the user did not name: in the project, and in places that the user allowed. All as real
/// paths, without links.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// The project's folder.
    pub root: PathBuf,
    /// The user's home; no hint suggests to allow it as a whole.
    pub home: Option<PathBuf>,
    /// Places that the user allowed.
    pub allowed: Vec<PathBuf>,
}

/// Why files of a project may not be at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misplaced {
    /// It is outside of the project.
    Outside,
    /// It is in this folder of a version control system, which may run files in it.
    VersionControl(PathBuf),
    /// It is in this folder, where other programs keep what they run.
    Programs(PathBuf),
}

impl Misplaced {
    /// The end of a sentence that begins with the path by which one gets there.
    pub fn words(&self, real: &Path) -> String {
        match self {
            Self::Outside => format!("leads out of the project, to {}", real.display()),
            Self::VersionControl(folder) => format!("leads into {}, where version control keeps its own files", folder.display()),
            Self::Programs(folder) => format!("leads into {}, where other programs keep what they run", folder.display()),
        }
    }
}

impl Bounds {
    /// Why a real path is not within them; `is_there` looks at the disk. Below the project, what holds a folder of other
    /// programs is no word for that folder: only what is allowed in it is.
    pub fn misplaced(&self, real: &Path, is_there: &dyn Fn(&Path) -> bool) -> Option<Misplaced> {
        let mut allowing = self.allowed.iter().filter(|place| real.starts_with(place));
        let Ok(below) = real.strip_prefix(&self.root) else {
            return allowing.next().is_none().then_some(Misplaced::Outside);
        };
        let mut folder = self.root.clone();
        for part in below.components() {
            folder.push(part);
            let name = part.as_os_str().to_string_lossy();
            let is_one_of = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
            let why = if is_one_of(&VERSION_CONTROL) {
                Misplaced::VersionControl
            } else if (name.starts_with('.') && name != OWN_HIDDEN)
                || is_one_of(&OF_PROGRAMS)
                || is_there(&folder.join(PYTHON_ENVIRONMENT))
            {
                Misplaced::Programs
            } else {
                continue;
            };
            if !allowing.clone().any(|place| place.starts_with(&folder)) {
                return Some(why(folder));
            }
        }
        None
    }

    /// Whether a hint may suggest to allow a place: not one that holds the home folder or the project.
    pub fn may_offer(&self, place: &Path) -> bool {
        place.parent().is_some() && !self.root.starts_with(place) && !self.home.as_ref().is_some_and(|home| home.starts_with(place))
    }
}

impl Settings {
    /// Default settings for a models directory; the project root is the folder above it.
    pub fn new(models_dir: impl Into<PathBuf>) -> Self {
        let models_dir = models_dir.into();
        Self {
            lock_file: models_dir.parent().unwrap_or(&models_dir).join("configs/models.lock"),
            models_dir,
            config: None,
            store: None,
            link: LinkMode::Auto,
            lock_timeout: Some(Duration::from_secs(3600)),
            known_stores: None,
            apps: Vec::new(),
            no_apps: false,
            borrow: true,
            network: Network::default(),
            bounds: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_project_without_folders_of_other_programs_and_what_was_allowed() {
        let allowed = ["/srv/store", "/", "/p/.mine/models"].map(PathBuf::from);
        let bounds = |allowed: &[PathBuf]| Bounds { root: "/p".into(), home: None, allowed: allowed.to_vec() };
        let bounds = [bounds(&allowed[..1]), bounds(&allowed[1..])];
        let is_there = |path: &Path| path == Path::new("/p/env/pyvenv.cfg");
        let git = |folder: &str| Some(Misplaced::VersionControl(folder.into()));
        let programs = |folder: &str| Some(Misplaced::Programs(folder.into()));
        for (path, why) in [
            ("/p", None),
            ("/p/models/x", None),
            ("/p/models/.blobs/sha256", None),
            ("/p/.git/hooks", git("/p/.git")),
            ("/p/sub/.GIT", git("/p/sub/.GIT")),
            ("/p/.github/x", programs("/p/.github")),
            ("/p/.venv/lib/python3.11", programs("/p/.venv")),
            ("/p/env", programs("/p/env")),
            ("/p/env/lib/python3.11", programs("/p/env")),
            ("/p/a/node_modules", programs("/p/a/node_modules")),
            ("/p/lib/site-packages/x", programs("/p/lib/site-packages")),
            ("/p/environment/lib", None),
        ] {
            for bounds in &bounds {
                assert_eq!(bounds.misplaced(Path::new(path), &is_there), why, "{path}");
            }
        }
        for (path, why) in [("/pp", Some(Misplaced::Outside)), ("/srv", Some(Misplaced::Outside)), ("/srv/store/.x", None)] {
            assert_eq!(bounds[0].misplaced(Path::new(path), &is_there), why, "{path}");
        }
        assert_eq!(bounds[1].misplaced(Path::new("/p/.mine/models/x"), &is_there), None);
        assert_eq!(bounds[1].misplaced(Path::new("/p/.mine/models/.git"), &is_there), git("/p/.mine/models/.git"));
    }

    #[test]
    fn nobody_is_asked_to_allow_what_holds_the_home_folder_or_the_project() {
        let bounds = Bounds { root: "/data/p".into(), home: Some("/home/me".into()), allowed: Vec::new() };
        for (place, is_offered) in
            [("/", false), ("/home", false), ("/home/me", false), ("/home/me/x", true), ("/data", false), ("/srv", true)]
        {
            assert_eq!(bounds.may_offer(Path::new(place)), is_offered, "{place}");
        }
    }
}
