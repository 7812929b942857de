//! The name of a model as somebody wrote it, read once: all that its text alone decides.

use crate::{
    digest::DigestPrefix,
    error::{Error, ErrorKind, Result},
    hint::Hint,
    names::{Format, ModelId, NameError, Quant},
    source::{SourceError, hub::WrittenReference},
    text,
};
use std::{
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

/// Says that digits are those of a digest.
const SCHEME: &str = "sha256:";

/// A name by which people and programs call a model: an id, a repository such as `owner/repo:Q4_K_M`, an address, a path, or
/// the first digits of a digest.
///
/// It is read when it is made. What the text alone leaves open is decided when it is used: whether `phi/gguf` is a form of a
/// model or a repository depends on the registry and on what is here.
#[derive(Clone)]
pub struct ModelName {
    text: String,
    form: NameForm,
}

/// What a text can mean.
#[derive(Clone)]
pub(in crate::manager) enum NameForm {
    /// An address, of the Hub or of a file on a web server.
    Address(WrittenReference),
    /// Digits that are said to be those of a digest.
    Digest(DigestPrefix),
    /// What can only be a path.
    Path(PathBuf),
    /// What the registry and the disk decide.
    Open(Box<Readings>),
}

/// What a text can mean that more than one thing may be called. The first of these that is known or here is meant, and else
/// the reference.
#[derive(Debug, Clone)]
pub(in crate::manager) struct Readings {
    pub(super) id: Option<IdForm>,
    pub(super) digest: Option<DigestPrefix>,
    pub(super) path: PathBuf,
    pub(super) reference: Result<WrittenReference, SourceError>,
}

/// `id`, `id:quant`, `id/format` or `id/format/quant`.
#[derive(Debug, Clone)]
pub(in crate::manager) struct IdForm {
    pub(super) id: ModelId,
    /// What follows the id. Its error matters only where the id is known.
    pub(super) form: Result<(Option<Format>, Option<Quant>), NameError>,
}

impl ModelName {
    pub(in crate::manager) fn form(&self) -> &NameForm {
        &self.form
    }

    /// Whether it has one part, as an id has, and no repository.
    pub(in crate::manager) fn is_one_part(&self) -> bool {
        !self.text.contains('/')
    }
}

/// Reads a name.
///
/// # Errors
/// A [usage](ErrorKind::Usage) error that says what is wrong with a text that can name nothing.
impl FromStr for ModelName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        Ok(Self { text: text.to_owned(), form: read(text)? })
    }
}

fn read(text: &str) -> Result<NameForm> {
    if text.contains("://") {
        return Ok(NameForm::Address(WrittenReference::parse(text)?));
    }
    if let Some(scheme) = text.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME)) {
        return DigestPrefix::parse(&text[scheme.len()..]).map(NameForm::Digest).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("`{}` is no digest", text::short(text, 120))).hint(Hint::WriteDigest {
                scheme: SCHEME,
                least: DigestPrefix::LEAST,
                most: DigestPrefix::MOST,
            })
        });
    }
    if begins_as_path(text) {
        return Ok(NameForm::Path(text.into()));
    }
    Ok(NameForm::Open(Box::new(Readings {
        id: IdForm::read(text),
        digest: DigestPrefix::parse(text),
        path: text.into(),
        reference: WrittenReference::parse(text),
    })))
}

impl IdForm {
    fn read(text: &str) -> Option<Self> {
        let (first, rest) = match text.find([':', '/']) {
            Some(at) => (&text[..at], Some((&text[at..=at], &text[at + 1..]))),
            None => (text, None),
        };
        let (format, quant) = match rest {
            None => (None, None),
            Some((":", quant)) => (None, Some(quant)),
            Some((_, form)) => match form.trim_end_matches('/').split_once('/') {
                Some((format, quant)) => (Some(format), Some(quant)),
                None => (Some(form.trim_end_matches('/')), None),
            },
        };
        let form = match (format.map(str::parse).transpose(), quant.map(str::parse).transpose()) {
            (Ok(format), Ok(quant)) => Ok((format, quant)),
            // Of an id that is known this is a slip, and of an owner a repository.
            (Ok(None), Err(error)) => Err(error),
            _ => return None,
        };
        Some(Self { id: first.parse().ok()?, form })
    }
}

/// Whether a text can only be a path.
fn begins_as_path(text: &str) -> bool {
    let mut parts = Path::new(text).components();
    let first = parts.next();
    let is_dotted = matches!(first, Some(Component::CurDir | Component::ParentDir));
    matches!(first, Some(Component::RootDir | Component::Prefix(_))) || is_dotted || (cfg!(windows) && text.contains('\\'))
}

impl From<ModelId> for ModelName {
    fn from(id: ModelId) -> Self {
        let readings = Readings {
            digest: None,
            path: id.as_str().into(),
            reference: Ok(WrittenReference::from(id.clone())),
            id: Some(IdForm { id: id.clone(), form: Ok((None, None)) }),
        };
        Self { text: id.to_string(), form: NameForm::Open(Box::new(readings)) }
    }
}

/// The text without surrounding blanks; an address shows no user, password and query.
impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            NameForm::Address(_) => f.pad(&text::redacted_address(&self.text)),
            _ => f.pad(&self.text),
        }
    }
}

impl fmt::Debug for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelName({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The form of a name; of an open one what it can be beside a path.
    fn form(text: &str) -> String {
        match text.parse::<ModelName>() {
            Err(error) => format!("{:?}: {error}", error.kind()),
            Ok(ModelName { form, .. }) => match form {
                NameForm::Address(_) => "address".to_owned(),
                NameForm::Digest(prefix) => format!("digest {prefix}"),
                NameForm::Path(path) => format!("path {}", path.display()),
                NameForm::Open(readings) => {
                    let id = readings.id.map(|id| match id.form {
                        Ok((format, quant)) => {
                            let part = |part: Option<String>| part.unwrap_or("-".to_owned());
                            format!("id {} {} {}", id.id, part(format.map(|f| f.to_string())), part(quant.map(|q| q.to_string())))
                        }
                        Err(_) => format!("id {} with a bad label", id.id),
                    });
                    let digest = readings.digest.map(|prefix| format!("digest {prefix}"));
                    let reference = readings.reference.ok().map(|_| "reference".to_owned());
                    [id, digest, reference].into_iter().flatten().collect::<Vec<_>>().join(", ")
                }
            },
        }
    }

    #[test]
    fn a_name_is_read_as_all_that_its_text_can_mean() {
        for (text, wanted) in [
            ("phi-2", "id phi-2 - -, reference"),
            (" phi-2:Q4_K_M\n", "id phi-2 - q4_k_m, reference"),
            ("phi-2/gguf", "id phi-2 gguf -, reference"),
            ("phi-2/gguf/", "id phi-2 gguf -"),
            ("phi-2/gguf/q4_k_m", "id phi-2 gguf q4_k_m"),
            ("phi-2:Q4*", "id phi-2 with a bad label"),
            ("o/r:Q4_K_M", "reference"),
            ("deadbeef", "id deadbeef - -, digest deadbeef, reference"),
            ("sha256:DEADBEEF", "digest deadbeef"),
            ("./phi-2", "path ./phi-2"),
            ("..", "path .."),
            ("hf://o/r", "address"),
            ("https://example.com/x.gguf?key=1", "address"),
            ("a|b", ""),
        ] {
            assert_eq!(form(text), wanted, "{text}");
        }
        #[cfg(unix)]
        assert_eq!(form("/models/phi"), "path /models/phi");
    }

    #[test]
    fn what_can_name_nothing_is_refused_without_its_secret() {
        for text in ["sha256:xyz", "sha256:dead", "ftp://host/x.gguf", "https://[x/y.gguf?key=secret", "hf://o"] {
            let read = form(text);
            assert!(read.starts_with("Usage: ") && !read.contains("secret"), "{text}: {read}");
        }
    }

    #[test]
    fn a_name_that_is_shown_has_no_secret() {
        let name: ModelName = "https://example.com/x.gguf?key=secret".parse().unwrap();
        assert!(name.to_string().starts_with("https://example.com/x.gguf"), "{name}");
        assert!(!format!("{name} {name:?}").contains("secret"), "{name:?}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}", tail in "[a-zA-Z0-9:@/%.]{0,20}") {
            for text in [&text, &tail, &format!("sha256:{text}"), &format!("id/{text}"), &format!("hf://{tail}")] {
                let _ = form(text);
            }
        }
    }
}
