//! What people write where a model is named: a registry id, a repository, a file, or an address pasted from a browser.

use super::{SourceError, hosts::is_public_hub};
use crate::{
    http::Origin,
    names::{ModelId, NameError, Quant, RelPath, RepoId, Revision, WebFolder},
    text::redacted_address,
    weights::FileKind,
};
use percent_encoding::percent_decode_str;
use std::str::FromStr;
use url::Url;

/// A model as somebody named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// An entry of the registry.
    Registry {
        /// The entry.
        id: ModelId,
        /// The quantization, if one was named.
        quant: Option<Quant>,
    },
    /// A repository on the Hub, or one file in it.
    Hub {
        /// The repository.
        repo: RepoId,
        /// The revision, if one was named.
        revision: Option<Revision>,
        /// The quantization, if one was named.
        quant: Option<Quant>,
        /// The file, or folder, if one was named.
        path: Option<RelPath>,
    },
    /// A file on a web server.
    Web {
        /// The folder that has it.
        folder: WebFolder,
        /// Its name there.
        path: RelPath,
    },
}

/// First parts of an address that are no owner of models.
const OTHER_KINDS: [&str; 8] = ["datasets", "spaces", "kernels", "buckets", "collections", "papers", "docs", "api"];

#[cfg(feature = "unstable")]
impl Reference {
    /// Reads a reference; `endpoints` are addresses whose pages may be pasted too.
    pub fn parse(text: &str, endpoints: &[Url]) -> Result<Self, SourceError> {
        WrittenReference::parse(text)?.with_endpoints(endpoints)
    }
}

/// A reference as it is written. What an address in it means depends on the endpoints in use.
#[derive(Debug, Clone)]
pub struct WrittenReference {
    /// The text, made printable and without secrets.
    shown: String,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// Means the same whatever the endpoints are.
    Settled(Reference),
    /// An address of HTTP.
    Address(Url),
    /// An address without its scheme, if it begins with the host of an endpoint or of the Hub.
    OfHost {
        text: String,
        /// What it is otherwise; of the Hub's own hosts always an address.
        otherwise: Option<Result<Reference, String>>,
    },
}

impl WrittenReference {
    /// Reads what does not depend on the endpoints.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let text = text.trim();
        let shown = redacted_address(text).chars().take(200).flat_map(char::escape_default).collect();
        match read(text) {
            Ok(form) => Ok(Self { shown, form }),
            Err(why) => Err(SourceError::Reference { text: shown, why }),
        }
    }

    /// What it means where these endpoints are in use, whose pages may be pasted too.
    pub fn with_endpoints(&self, endpoints: &[Url]) -> Result<Reference, SourceError> {
        let meaning = match &self.form {
            Form::Settled(reference) => Ok(reference.clone()),
            Form::Address(url) => address(url, endpoints),
            Form::OfHost { text, otherwise } => {
                let host = text.split([':', '/']).next().unwrap_or(text);
                let own = endpoints.iter().find(|url| url.host_str().is_some_and(|own| own.eq_ignore_ascii_case(host)));
                match (own, otherwise) {
                    (None, Some(otherwise)) => otherwise.clone(),
                    _ => {
                        let scheme = own.map_or("https", Url::scheme);
                        parsed(&format!("{scheme}://{text}")).and_then(|url| address(&url, endpoints))
                    }
                }
            }
        };
        meaning.map_err(|why| SourceError::Reference { text: self.shown.clone(), why })
    }
}

impl From<ModelId> for WrittenReference {
    fn from(id: ModelId) -> Self {
        Self { shown: id.to_string(), form: Form::Settled(Reference::Registry { id, quant: None }) }
    }
}

fn read(text: &str) -> Result<Form, String> {
    if let Some(rest) = text.strip_prefix("hf://") {
        return hf_scheme(rest.strip_prefix("models/").unwrap_or(rest)).map(Form::Settled);
    }
    if text.contains("://") {
        let url = parsed(text)?;
        return match Origin::of(&url) {
            Some(_) => Ok(Form::Address(url)),
            None => Err("only addresses of HTTP are read".into()),
        };
    }
    let Some((first, _)) = text.split_once('/') else { return registry(text).map(Form::Settled) };
    if is_public_hub(first) {
        return Ok(Form::OfHost { text: text.to_owned(), otherwise: None });
    }
    // A name without a dot or a port is that of an owner.
    if first.contains(['.', ':']) {
        return Ok(Form::OfHost { text: text.to_owned(), otherwise: Some(repository(text)) });
    }
    repository(text).map(Form::Settled)
}

fn parsed(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("it is not an address ({error})"))
}

/// `owner/repo` and what may follow it.
fn repository(text: &str) -> Result<Reference, String> {
    let parts: Vec<&str> = text.split('/').collect();
    refuse_other_kinds(&parts)?;
    // The tag may hold a path, the revision may hold `/`: both come after the name of the repository.
    let (owner, rest) = (parts[0], &text[parts[0].len() + 1..]);
    match rest.find([':', '@', '/']) {
        Some(at) if rest.as_bytes()[at] == b'/' => Err("a file in a repository is written `hf://owner/repo/path`".into()),
        Some(at) => tagged(&format!("{owner}/{}", &rest[..at]), &rest[at..]),
        None => tagged(text, ""),
    }
}

/// `id` or `id:quant`.
fn registry(text: &str) -> Result<Reference, String> {
    let (id, quant) = match text.split_once(':') {
        Some((id, quant)) => (id, Some(name(quant)?)),
        None => (text, None),
    };
    Ok(Reference::Registry { id: name(id)?, quant })
}

/// What follows `owner/repo`: `:QUANT`, `:file.gguf`, `@revision`, `@quant` as LM Studio writes it, or `@revision:QUANT`.
fn tagged(repo: &str, tail: &str) -> Result<Reference, String> {
    let (mut revision, mut quant, mut path) = (None, None, None);
    let (at, tag) = match tail.strip_prefix('@') {
        Some(rest) => match rest.split_once(':') {
            Some((at, tag)) => (Some(at), Some(tag)),
            None => (Some(rest), None),
        },
        None => (None, tail.strip_prefix(':')),
    };
    if let Some(at) = at {
        match Quant::of_gguf_name(&format!("m-{at}.gguf")) {
            // `@q6_k`: the whole text must be the name, or a branch such as `fix-q6_k` would be taken for one.
            Some(known) if known.as_str().eq_ignore_ascii_case(at) && tag.is_none() => quant = Some(known),
            _ => revision = Some(name(at)?),
        }
    }
    match tag {
        Some(tag) if FileKind::of(tag) == Some(FileKind::Gguf) => path = Some(name(tag)?),
        // As Ollama writes "whichever is usual".
        Some(tag) if tag.eq_ignore_ascii_case("latest") => {}
        Some(tag) => quant = Some(name(without_matrix(tag))?),
        None => {}
    }
    Ok(Reference::Hub { repo: name(repo)?, revision, quant, path })
}

/// `i1-Q4_K_M` says how it was made, and the repositories of its maker hold no others: it is the quantization behind it.
fn without_matrix(tag: &str) -> &str {
    let rest = tag.get(3..).filter(|_| tag[..3].eq_ignore_ascii_case("i1-"));
    rest.filter(|rest| Quant::of_gguf_name(&format!("{rest}.gguf")).is_some()).unwrap_or(tag)
}

/// `owner/repo[@rev][/path]`, as in Python's file system.
fn hf_scheme(text: &str) -> Result<Reference, String> {
    let parts: Vec<&str> = text.split('/').collect();
    refuse_other_kinds(&parts)?;
    let [owner, rest @ ..] = parts.as_slice() else { return Err("expected `hf://owner/repo`".into()) };
    let [name_and_revision, rest @ ..] = rest else { return Err("expected `hf://owner/repo`".into()) };
    let (repo_name, revision) = match name_and_revision.split_once('@') {
        Some((repo, revision)) => (repo, Some(revision)),
        None => (*name_and_revision, None),
    };
    if revision.is_none() && rest.is_empty() && repo_name.contains(':') {
        let at = repo_name.find(':').unwrap_or(repo_name.len());
        return tagged(&format!("{owner}/{}", &repo_name[..at]), &repo_name[at..]);
    }
    let (revision, rest) = match revision {
        Some(first) => {
            let (revision, used) = revision_of(first, rest);
            (Some(name(&decoded(&revision)?)?), &rest[used..])
        }
        None => (None, rest),
    };
    Ok(Reference::Hub {
        repo: name(&format!("{owner}/{repo_name}"))?,
        revision,
        quant: None,
        path: path_of(rest.iter().map(|p| Ok((*p).to_owned())))?,
    })
}

/// `refs/pr/1` and `refs/convert/parquet` are revisions of three parts; the second value says how many of `rest` belong.
fn revision_of(first: &str, rest: &[&str]) -> (String, usize) {
    match (first, rest) {
        ("refs", [kind @ ("pr" | "convert"), which, ..]) => (format!("refs/{kind}/{which}"), 2),
        _ => (first.to_owned(), 0),
    }
}

/// An address of the Hub or of an endpoint.
fn address(url: &Url, endpoints: &[Url]) -> Result<Reference, String> {
    let origin = Origin::of(url).ok_or("only addresses of HTTP are read")?;
    let endpoint = endpoints.iter().find(|own| Origin::of(own).as_ref() == Some(&origin));
    if endpoint.is_none() && !is_public_hub(origin.host()) {
        return file_on_web(url, &origin);
    }
    let base = endpoint.map_or("", |own| own.path().trim_end_matches('/'));
    // `Url` resolves `..` itself; what it leaves is decoded part by part, so that an encoded `/` cannot make a new part.
    let path = url.path().strip_prefix(base).unwrap_or(url.path());
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    refuse_other_kinds(&parts)?;
    let [owner, second, rest @ ..] = parts.as_slice() else {
        return Err("expected an address of a model: https://huggingface.co/owner/repo".into());
    };
    let second = decoded(second)?;
    let file_shown = url.query_pairs().find(|(name, _)| name == "show_file_info").map(|(_, value)| value.into_owned());
    let shown = || file_shown.as_deref().map(name::<RelPath>).transpose();
    match rest {
        [] => {
            let at = second.find([':', '@']).unwrap_or(second.len());
            let mut reference = tagged(&format!("{owner}/{}", &second[..at]), &second[at..])?;
            if let Reference::Hub { path: path @ None, .. } = &mut reference {
                *path = shown()?;
            }
            Ok(reference)
        }
        ["blob" | "resolve" | "tree" | "raw" | "blame", first, rest @ ..] => {
            let (revision, used) = revision_of(first, rest);
            let path = path_of(rest[used..].iter().map(|part| decoded(part)))?;
            let path = if path.is_none() { shown()? } else { path };
            Ok(Reference::Hub {
                repo: name(&format!("{owner}/{second}"))?,
                revision: Some(name(&decoded(&revision)?)?),
                quant: None,
                path,
            })
        }
        [page, ..] => Err(format!("the page `{page}` of a repository names no model file")),
    }
}

/// A weights file of any other server.
fn file_on_web(url: &Url, origin: &Origin) -> Result<Reference, String> {
    if !matches!(FileKind::of(url.path()), Some(FileKind::Gguf | FileKind::Safetensors)) {
        return Err(format!(
            "`{}` is neither the Hub nor an endpoint in use, and the address ends with no name of a `.gguf` or `.safetensors` file",
            origin.host()
        ));
    }
    let (folder, path) = WebFolder::of_file(url).map_err(|error| error.to_string())?;
    Ok(Reference::Web { folder, path })
}

fn path_of(parts: impl Iterator<Item = Result<String, String>>) -> Result<Option<RelPath>, String> {
    let parts: Vec<String> = parts.collect::<Result<_, _>>()?;
    if let Some(bad) = parts.iter().find(|part| part.contains('/')) {
        return Err(format!("`{}` is no name of a file", bad.escape_default()));
    }
    match parts.as_slice() {
        [] => Ok(None),
        [only] if only.is_empty() => Ok(None),
        parts => name(parts.join("/").trim_end_matches('/')).map(Some),
    }
}

fn refuse_other_kinds(parts: &[&str]) -> Result<(), String> {
    match parts.first() {
        Some(first) if OTHER_KINDS.contains(first) => {
            Err(format!("`{first}/` holds no models; only model repositories can be fetched"))
        }
        _ => Ok(()),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "its encoding is not UTF-8")?;
    Ok(text.into_owned())
}

fn name<T: FromStr<Err = NameError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: NameError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Reference, SourceError> {
        Reference::parse(text, &[Url::parse("http://mirror.lan:8090/hf").unwrap()])
    }

    /// `repo|revision|quant|path`, or `id:quant` of the registry.
    fn short(text: &str) -> String {
        let show = |value: Option<String>| value.unwrap_or_default();
        match parse(text) {
            Err(error) => format!("error: {error}"),
            Ok(Reference::Registry { id, quant }) => format!("{id}:{}", show(quant.map(|q| q.to_string()))),
            Ok(Reference::Web { folder, path }) => format!("web {folder} {path}"),
            Ok(Reference::Hub { repo, revision, quant, path }) => format!(
                "{repo}|{}|{}|{}",
                show(revision.map(|r| r.to_string())),
                show(quant.map(|q| q.to_string())),
                show(path.map(|p| p.to_string()))
            ),
        }
    }

    #[test]
    fn every_usual_way_to_name_a_model_is_read() {
        for (text, wanted) in [
            ("phi-2", "phi-2:"),
            (" phi-2:Q4_K_M ", "phi-2:q4_k_m"),
            ("o/r", "o/r|||"),
            ("o/r:Q4_K_M", "o/r||q4_k_m|"),
            ("o/r@q6_k", "o/r||q6_k|"),
            ("o/r@v1.0", "o/r|v1.0||"),
            ("o/r@fix-q6_k", "o/r|fix-q6_k||"),
            ("o/r@refs/pr/2:Q8_0", "o/r|refs/pr/2|q8_0|"),
            ("o/r:x.Q4_K_M.gguf", "o/r|||x.Q4_K_M.gguf"),
            ("hf.co/o/r", "o/r|||"),
            ("hf.co/o/r:UD-Q4_K_XL", "o/r||ud-q4_k_xl|"),
            ("huggingface.co/o/r:IQ4_XS", "o/r||iq4_xs|"),
            ("hf.co/o/r:i1-Q4_K_M", "o/r||q4_k_m|"),
            ("hf.co/o/r:latest", "o/r|||"),
            ("hf.co/o/r/blob/main/c.gguf", "o/r|main||c.gguf"),
            ("HuggingFace.co/o/r", "o/r|||"),
            ("gpt2:q8_0", "gpt2:q8_0"),
            ("hf://o/r", "o/r|||"),
            ("hf://o/r:q8_0", "o/r||q8_0|"),
            ("hf://models/o/r@main/a/b.gguf", "o/r|main||a/b.gguf"),
            ("hf://o/r@refs/pr/7/b.gguf", "o/r|refs/pr/7||b.gguf"),
            ("hf://o/r@refs%2Fpr%2F7/b.gguf", "o/r|refs/pr/7||b.gguf"),
            ("https://huggingface.co/o/r", "o/r|||"),
            ("https://huggingface.co/o/r/", "o/r|||"),
            ("https://huggingface.co/o/r/blob/main/a%20b/c.gguf", "o/r|main||a b/c.gguf"),
            ("https://huggingface.co/o/r/resolve/abc/c.gguf?download=true", "o/r|abc||c.gguf"),
            ("https://huggingface.co/o/r/tree/refs%2Fpr%2F1", "o/r|refs/pr/1||"),
            ("https://huggingface.co/o/r/tree/refs/pr/1/sub", "o/r|refs/pr/1||sub"),
            ("https://huggingface.co/o/r?show_file_info=c.gguf", "o/r|||c.gguf"),
            ("https://huggingface.co/o/r/tree/main?show_file_info=UD-Q4_K_XL%2Fc.gguf", "o/r|main||UD-Q4_K_XL/c.gguf"),
            ("http://huggingface.co/o/r/raw/main/c.gguf#L1", "o/r|main||c.gguf"),
            ("https://hf.co/o/r:Q8_0", "o/r||q8_0|"),
            ("http://mirror.lan:8090/hf/o/r/resolve/main/c.gguf", "o/r|main||c.gguf"),
            ("mirror.lan:8090/hf/o/r", "o/r|||"),
            ("https://example.com/a/x.Q4_K_M.gguf?key=1", "web https://example.com/a x.Q4_K_M.gguf"),
            ("http://127.0.0.1:9/x.safetensors", "web http://127.0.0.1:9 x.safetensors"),
            ("http://mirror.lan:8091/hf/x.GGUF", "web http://mirror.lan:8091/hf x.GGUF"),
        ] {
            assert_eq!(short(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_model_is_refused_with_a_reason() {
        for (text, reason) in [
            ("datasets/o/r", "holds no models"),
            ("hf://datasets/o/r", "holds no models"),
            ("https://huggingface.co/spaces/o/r", "holds no models"),
            ("https://example.com/o/r", "neither the Hub"),
            ("ftp://huggingface.co/o/r", "HTTP"),
            ("https://me:secret@example.com/x.gguf?key=secret", "user or a password"),
            ("https://example.com/x.zip?key=secret", "`.gguf`"),
            ("o/r/file.gguf", "hf://owner/repo/path"),
            ("o--x/r", "`--`"),
            ("o/r:Q4/K", "`/`"),
            ("https://huggingface.co/o", "owner/repo"),
            ("https://huggingface.co/o/r/discussions/1", "discussions"),
            ("https://huggingface.co/o/r/resolve/main/%2e%2e%2fx", "no name of a file"),
            ("https://huggingface.co/o/r/resolve/main/..%2fx", "no name of a file"),
            ("hf://o/r/../../x", "`..`"),
            ("C:\\models\\x.gguf", ""),
            ("", ""),
            ("hf://", "expected"),
        ] {
            let error = short(text);
            assert!(error.starts_with("error") && error.contains(reason), "{text}: {error}");
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}", tail in "[a-z:@/%.]{0,20}") {
            for text in [text.clone(), tail.clone(), format!("hf://{tail}"), format!("https://hf.co/{tail}"), format!("o/{tail}"), format!("o/{text}")] {
                let _ = parse(&text);
            }
        }
    }
}
