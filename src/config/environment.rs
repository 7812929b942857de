//! What environment variables say: our own, the Hub's, and those of the terminal.
//!
//! Nothing else of the program reads the environment (where no variable names a proxy, the HTTP crate asks the system). A
//! variable that is set to nothing counts as not set. A value that makes no sense is an error that names the variable; values are not repeated,
//! because one of them is a secret.

use super::value::SettingValue;
use crate::{
    disk::Disk,
    error::{Error, ErrorKind, Result},
    event::Warning,
    hint::Hint,
    settings::{Proxies, ProxyVariable, Token},
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Looks up one variable.
pub type LookUp<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What says the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOrigin {
    /// A variable that holds it.
    Variable(&'static str),
    /// A file.
    File(PathBuf),
}

/// The environment of a run.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    look_up: LookUp<'a>,
}

fn bad(name: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Usage, format!("the environment variable {name} cannot be used: {why}"))
        .hint(Hint::CorrectVariable { variable: name.to_owned() })
}

impl<'a> Environment<'a> {
    /// An environment that is looked up so.
    pub fn new(look_up: LookUp<'a>) -> Self {
        Self { look_up }
    }

    pub(super) fn raw(&self, name: &str) -> Option<OsString> {
        (self.look_up)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        let unreadable = |_| bad(name, "it is not Unicode text");
        self.raw(name).map(|value| value.into_string().map_err(unreadable)).transpose()
    }

    fn parsed<T: SettingValue>(&self, name: &str) -> Result<Option<T>> {
        self.raw(name).map(|value| T::of_variable(&value).map_err(|why| bad(name, why))).transpose()
    }

    /// The first of these variables that is set.
    pub(super) fn first_set(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.raw(name).is_some())
    }

    /// What the first of these variables that is set says.
    pub(super) fn first_of<T: SettingValue>(&self, names: &[&str]) -> Result<Option<T>> {
        names.iter().find_map(|name| self.parsed(name).transpose()).transpose()
    }

    /// Whether a switch is on; for output settings, where a strange value must not stop anything.
    fn is_on(&self, name: &str) -> bool {
        self.parsed::<bool>(name).ok().flatten() == Some(true)
    }

    /// The user's home.
    pub fn home(&self) -> Option<PathBuf> {
        self.raw("HOME").or_else(|| self.raw("USERPROFILE")).map(PathBuf::from)
    }

    /// A path as people write it: `~/` is the user's home.
    pub fn expand(&self, path: impl Into<PathBuf>) -> PathBuf {
        let path = path.into();
        match (path.strip_prefix("~"), self.home()) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path,
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(|path| self.expand(path))
    }

    /// The folder of this user's own settings: that of the platform, or of the XDG rules, where a relative path counts as none.
    pub fn settings_folder(&self) -> Option<PathBuf> {
        self.own_folder(("APPDATA", "AppData/Roaming"), ("XDG_CONFIG_HOME", ".config"))
    }

    /// The folder in which this program remembers things of this user between its runs: that of the platform, or of the XDG
    /// rules.
    pub fn state_folder(&self) -> Option<PathBuf> {
        self.own_folder(("LOCALAPPDATA", "AppData/Local"), ("XDG_STATE_HOME", ".local/state"))
    }

    /// A folder of this program: that of a variable, else below the user's home. A relative path counts as none.
    fn own_folder(&self, windows: (&str, &str), xdg: (&str, &str)) -> Option<PathBuf> {
        let (variable, usual) = match () {
            () if cfg!(windows) => windows,
            () if cfg!(target_os = "macos") => (xdg.0, "Library/Application Support"),
            () => xdg,
        };
        let absolute = |path: &PathBuf| path.is_absolute();
        let named = self.raw(variable).map(PathBuf::from).filter(absolute);
        let folder = named.or_else(|| self.home().filter(absolute).map(|home| home.join(usual)))?;
        Some(folder.join("model-manager"))
    }

    /// The folder in which the user's stores are remembered.
    pub fn known_stores(&self) -> Option<PathBuf> {
        self.state_folder().map(|folder| folder.join("stores"))
    }

    /// The store for all projects of this user, unless another place is named: in the platform's folder for data, or that of
    /// the XDG rules.
    pub fn user_store(&self) -> Option<PathBuf> {
        self.own_folder(("LOCALAPPDATA", "AppData/Local"), ("XDG_DATA_HOME", ".local/share")).map(|folder| folder.join("store"))
    }

    /// The user who became root by `sudo`.
    pub fn sudo_user(&self) -> Option<u32> {
        self.raw("SUDO_UID")?.to_str()?.parse().ok()
    }

    /// The registry file.
    pub fn config(&self) -> Option<PathBuf> {
        self.path("MODEL_MANAGER_CONFIG")
    }

    /// The Hub token, as [`Self::token_and_origin`].
    pub fn token(&self, disk: &dyn Disk, warnings: &mut Vec<Warning>) -> Result<Option<Token>> {
        self.token_and_origin(disk, warnings).map(|found| found.map(|(token, _)| token))
    }

    /// The Hub token, and what says it: a variable, else the file `hf auth login` writes. That file is nobody's order to this
    /// program, so one that cannot be used is only worth a warning.
    pub fn token_and_origin(&self, disk: &dyn Disk, warnings: &mut Vec<Warning>) -> Result<Option<(Token, TokenOrigin)>> {
        if self.parsed::<bool>("HF_HUB_DISABLE_IMPLICIT_TOKEN")? == Some(true) {
            return Ok(None);
        }
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            if let Some(token) = self.text(name)?.as_deref().and_then(Token::new) {
                return checked(token).map(|token| Some((token, TokenOrigin::Variable(name)))).map_err(|why| bad(name, why));
            }
        }
        let named = self.path("HF_TOKEN_PATH");
        let Some(path) = named.clone().or_else(|| self.hub_home().map(|home| home.join("token"))) else { return Ok(None) };
        match (read_token(disk, &path), named) {
            (Ok(token), _) => Ok(token.map(|token| (token, TokenOrigin::File(path)))),
            (Err(why), Some(_)) => Err(bad("HF_TOKEN_PATH", why)),
            (Err(why), None) => {
                warnings.push(format!("the saved Hub token is not used: {why}; run `hf auth login` to save it again").into());
                Ok(None)
            }
        }
    }

    /// The proxies as curl takes them from these variables; `None` where there are none. A name in capitals counts where the
    /// other is not set, but not `HTTP_PROXY`: a server that runs programs sets it to what a stranger sent.
    pub fn proxies(&self) -> Result<Option<Proxies>> {
        let named = |names: &[&str]| {
            let found = names.iter().find_map(|name| self.text(name).transpose().map(|text| text.map(|text| (*name, text))));
            found.transpose().map(|found| found.map(|(name, text)| ProxyVariable::new(name, &text)))
        };
        let all = named(&["all_proxy", "ALL_PROXY"])?;
        let (http, https) = (named(&["http_proxy"])?, named(&["https_proxy", "HTTPS_PROXY"])?);
        if http.is_none() && https.is_none() && all.is_none() && self.raw("HTTP_PROXY").is_none() {
            return Ok(None);
        }
        let exceptions = named(&["no_proxy", "NO_PROXY"])?.map(|list| list.value().to_owned()).unwrap_or_default();
        Ok(Some(Proxies { http: http.or_else(|| all.clone()), https: https.or(all), exceptions }))
    }

    fn hub_home(&self) -> Option<PathBuf> {
        self.path("HF_HOME").or_else(|| {
            let cache = self.path("XDG_CACHE_HOME").or_else(|| self.home().map(|home| home.join(".cache")));
            cache.map(|cache| cache.join("huggingface"))
        })
    }

    /// Whether bars are unwanted.
    pub fn no_progress(&self) -> bool {
        self.is_on("HF_HUB_DISABLE_PROGRESS_BARS")
    }

    /// Whether the terminal can only append text.
    pub fn is_dumb(&self) -> bool {
        self.raw("TERM").is_some_and(|term| term == "dumb")
    }

    /// Whether to use colour on a stream; <https://no-color.org> and <https://bixense.com/clicolors/>.
    pub fn wants_color(&self, is_terminal: bool) -> bool {
        if self.raw("NO_COLOR").is_some() {
            return false;
        }
        let forced = self.raw("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        forced || (is_terminal && !self.is_dumb())
    }
}

/// A token goes into a header: anything but visible ASCII is a slip, for example a second line.
pub fn checked(token: Token) -> Result<Token, &'static str> {
    if token.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(token)
    } else {
        Err("a token is letters, digits and signs without a space or a line break")
    }
}

fn read_token(disk: &dyn Disk, path: &Path) -> Result<Option<Token>, String> {
    let Some(content) = disk.read_small(path).map_err(|error| error.to_string())? else { return Ok(None) };
    let text = String::from_utf8(content).map_err(|_| format!("{} is not text", path.display()))?;
    Token::new(&text).map(checked).transpose().map_err(|why| format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Layer, disk::RealDisk};

    fn with<T>(variables: &[(&str, &str)], check: impl FnOnce(Environment<'_>) -> T) -> T {
        let look_up = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        check(Environment::new(&look_up))
    }

    #[test]
    fn offline_is_true_in_every_spelling_of_the_hubs_client_and_no_other() {
        for yes in ["1", "ON", "Yes", "true"] {
            assert_eq!(with(&[("HF_HUB_OFFLINE", yes)], |env| Layer::of_variables(&env).expect(yes).offline), Some(true));
            assert_eq!(with(&[("TRANSFORMERS_OFFLINE", yes)], |env| Layer::of_variables(&env).expect(yes).offline), Some(true));
        }
        assert_eq!(with(&[("HF_HUB_OFFLINE", "0")], |env| Layer::of_variables(&env).expect("taken").offline), Some(false));
        assert_eq!(with(&[("HF_HUB_OFFLINE", "")], |env| Layer::of_variables(&env).expect("taken").offline), None);
        let error = with(&[("HF_HUB_OFFLINE", "maybe")], |env| Layer::of_variables(&env).expect_err("refused"));
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains("HF_HUB_OFFLINE"), "{error}");
    }

    #[test]
    fn bad_values_name_their_variable() {
        for (name, value) in
            [("HF_ENDPOINT", "huggingface.co"), ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"), ("HF_HUB_DOWNLOAD_TIMEOUT", "NaN")]
        {
            let error = with(&[(name, value)], |env| Layer::of_variables(&env).expect_err("refused"));
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn a_token_comes_from_the_first_source_that_has_one() {
        let home = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, text).expect("a file");
            path.to_str().expect("Unicode").to_owned()
        };
        let file = write("named", " hf_named\n");
        write("hf/token", "hf_saved\n");
        write(".cache/huggingface/token", "hf_default");
        let root = home.path().to_str().expect("Unicode");
        let hf = format!("{root}/hf");
        let token = |variables: &[(&str, &str)]| {
            let token = with(variables, |env| env.token(&RealDisk, &mut Vec::new())).expect("readable");
            token.map(|token| token.reveal().to_owned())
        };
        let all =
            [("HF_TOKEN", "hf_a"), ("HUGGING_FACE_HUB_TOKEN", "hf_b"), ("HF_TOKEN_PATH", &file), ("HF_HOME", &hf), ("HOME", root)];
        for (from, expected) in ["hf_a", "hf_b", "hf_named", "hf_saved", "hf_default"].into_iter().enumerate() {
            assert_eq!(token(&all[from..]).as_deref(), Some(expected));
        }
        assert_eq!(token(&[("HF_TOKEN", "hf_a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(token(&[("HF_TOKEN", "  ")]), None);
    }

    #[test]
    fn proxies_are_named_by_the_variables_that_curl_reads() {
        let proxies = |variables: &[(&str, &str)]| with(variables, |env| env.proxies()).expect("readable");
        let names = |variables: &[(&str, &str)]| {
            let found = proxies(variables).expect("proxies");
            let text = |variable: Option<ProxyVariable>| variable.map(|v| format!("{}={}", v.name, v.value()));
            (text(found.http), text(found.https), found.exceptions)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(proxies(&[]), None);
        assert_eq!(proxies(&[("http_proxy", ""), ("NO_PROXY", "*")]), None);
        assert_eq!(names(&[("HTTP_PROXY", "x")]), (None, None, String::new()), "not even by the HTTP crate");
        assert_eq!(
            names(&[("http_proxy", "a"), ("HTTPS_PROXY", "b")]),
            (some("http_proxy=a"), some("HTTPS_PROXY=b"), String::new())
        );
        assert_eq!(names(&[("https_proxy", "a"), ("HTTPS_PROXY", "b")]).1, some("https_proxy=a"));
        assert_eq!(names(&[("ALL_PROXY", "a"), ("http_proxy", "")]), (some("ALL_PROXY=a"), some("ALL_PROXY=a"), String::new()));
        assert_eq!(names(&[("ALL_PROXY", "a"), ("all_proxy", "b"), ("http_proxy", "c")]).1, some("all_proxy=b"));
        assert_eq!(names(&[("all_proxy", "a"), ("NO_PROXY", "*"), ("no_proxy", "x")]).2, "x");
        assert_eq!(names(&[("all_proxy", "a"), ("NO_PROXY", "*"), ("no_proxy", "")]).2, "*");
        let shown = format!("{:?}", proxies(&[("all_proxy", "http://me:secret@h")]));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_bad_token_is_never_repeated() {
        let error = with(&[("HF_TOKEN", "hf_secret\nhf_other")], |env| env.token(&RealDisk, &mut Vec::new()).expect_err("refused"));
        assert!(error.message().contains("HF_TOKEN") && !format!("{error:?}").contains("hf_secret"), "{error:?}");
        let mut warnings = Vec::new();
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join("token"), "hf_secret hf_other").expect("a file");
        let token = with(&[("HF_HOME", home.path().to_str().expect("Unicode"))], |env| env.token(&RealDisk, &mut warnings));
        assert_eq!(token.expect("only a warning"), None);
        assert!(warnings.len() == 1 && !warnings[0].message.contains("hf_secret"), "{warnings:?}");
        let error = with(&[("HF_TOKEN_PATH", "/")], |env| env.token(&RealDisk, &mut Vec::new()).expect_err("refused"));
        assert!(error.message().contains("HF_TOKEN_PATH"), "{error}");
    }

    #[test]
    fn colour_follows_the_terminal_unless_a_variable_decides() {
        let wants = |variables: &[(&str, &str)], terminal| with(variables, |env| env.wants_color(terminal));
        assert!(wants(&[], true) && !wants(&[], false));
        assert!(!wants(&[("NO_COLOR", "1")], true));
        assert!(!wants(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(wants(&[("CLICOLOR_FORCE", "1")], false) && !wants(&[("CLICOLOR_FORCE", "0")], false));
        assert!(!wants(&[("TERM", "dumb")], true));
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_text_is_an_error_and_not_ignored() {
        use std::os::unix::ffi::OsStringExt;
        let look_up = |name: &str| (name == "HF_ENDPOINT").then(|| OsString::from_vec(vec![0xff]));
        let error = Layer::of_variables(&Environment::new(&look_up)).expect_err("refused");
        assert!(error.message().contains("HF_ENDPOINT"), "{error}");
    }
}
