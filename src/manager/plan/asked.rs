//! What a download is asked for besides its model: a digest, and patterns of file names.

use super::target::{Target, Wanted, view_id};
use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    hint::Hint,
    manager::DownloadOptions,
    names::{Format, NameError, Quant, Revision},
    store::ViewKey,
};

impl Target {
    /// The same with what a download was asked for besides.
    pub(in crate::manager) fn with_options(self, options: &DownloadOptions) -> Result<Self> {
        self.with_digest(options.sha256)?.with_patterns(&options.include, &options.exclude)
    }

    /// The same with only those files of its repository that patterns select: of the set of its format, or, where no format was
    /// named, of all files.
    fn with_patterns(mut self, include: &[String], exclude: &[String]) -> Result<Self> {
        if include.is_empty() && exclude.is_empty() {
            return Ok(self);
        }
        let is_reference = self.source.repo().is_some_and(|repo| view_id(repo).is_ok_and(|id| id == self.view.model));
        if self.open_format && is_reference {
            self.open_format = false;
            let quant = Some(files_label(self.revision.as_ref())?);
            self.view = ViewKey { format: Format::files(), quant, model: self.view.model };
            self.wanted = Wanted::Set { include: Vec::new(), exclude: Vec::new(), expect: Vec::new() };
        }
        let Wanted::Set { include: chosen, exclude: left_out, expect } = &mut self.wanted else {
            return Err(Error::new(ErrorKind::Usage, "patterns select among the files of a repository, and one model is named")
                .hint(Hint::OmitPatterns));
        };
        if !is_reference || !chosen.is_empty() || !left_out.is_empty() || !expect.is_empty() {
            return Err(Error::new(
                ErrorKind::Usage,
                "patterns select among the files of a repository, and the registry selects those",
            )
            .hint(Hint::OmitPatterns));
        }
        (*chosen, *left_out) = (include.to_vec(), exclude.to_vec());
        self.adds = true;
        Ok(self)
    }

    /// Whether its view can have a part of what is wanted, without a sign of it: files of any kind, or those that patterns select.
    pub(in crate::manager) fn is_open_set(&self) -> bool {
        matches!(self.wanted, Wanted::Set { .. }) && (self.adds || self.view.format.is_files())
    }

    /// The same with the SHA-256 that the user has of its file.
    pub(in crate::manager) fn with_digest(mut self, sha256: Option<Sha256Digest>) -> Result<Self> {
        let Some(sha256) = sha256 else { return Ok(self) };
        match &mut self.wanted {
            Wanted::Files(files) if self.source.web().is_some() && files.len() == 1 => {
                if let Some(known) = files.iter().find_map(|file| file.sha256).filter(|known| *known != sha256) {
                    let text = format!("the registry pins the sha256 {known} for {}, and {sha256} was given", self.view);
                    return Err(Error::new(ErrorKind::Usage, text).hint(Hint::OmitDigest));
                }
                files.iter_mut().for_each(|file| file.sha256 = Some(sha256));
                Ok(self)
            }
            _ => Err(Error::new(
                ErrorKind::Usage,
                "a digest can be given for one file only, which is named by its address on a web server",
            )
            .hint(Hint::OmitDigest)),
        }
    }
}

/// The label of a view of files of any kind: the revision, which is `main` where none is named. One that is no label as it is
/// gets a mark, so that no two share a label.
pub(in crate::manager) fn files_label(revision: Option<&Revision>) -> Result<Quant, NameError> {
    let Some(revision) = revision.map(Revision::as_str) else { return "main".parse() };
    if let Ok(label) = revision.parse::<Quant>()
        && label.as_str() == revision
    {
        return Ok(label);
    }
    let word = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c.to_ascii_lowercase() } else { '-' };
    let plain: String = revision.chars().map(word).take(24).collect();
    let mark = blake3::hash(revision.as_bytes()).to_hex();
    format!("{}-{}", plain.trim_matches(['-', '.']), &mark[..8]).trim_start_matches('-').parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_any_kind_are_labelled_with_their_revision() {
        let label = |revision: &str| files_label(Some(&revision.parse().unwrap())).unwrap().to_string();
        assert_eq!(files_label(None).unwrap().as_str(), "main");
        for plain in ["main", "v1.0", "0123456789abcdef0123456789abcdef01234567"] {
            assert_eq!(label(plain), plain);
        }
        for (one, other) in [("Main", "main"), ("refs/pr/1", "refs-pr-1"), ("a/b", "a-b"), ("-x", "x"), ("\u{e4}", "\u{f6}")] {
            assert_ne!(label(one), label(other), "{one} and {other}");
        }
        assert!(label("refs/pr/1").starts_with("refs-pr-1-"), "{}", label("refs/pr/1"));
    }
}
