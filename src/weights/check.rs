//! Whether the first bytes of a file can be what its name says, asked before the rest travels.
//!
//! Only what is certain is refused, for nobody can overrule it: a page, a message or a Git LFS pointer in the place of the
//! weights, and a header of the right format whose tensors do not fit the file. What is merely unknown, such as a version
//! to come or bytes without a magic, is left to the hash.

use super::{FileKind, GgufHeader, HeaderError, SafetensorsHeader, gguf};
use std::str;

/// Looks at the first bytes of a file of so many bytes; an error says what is wrong, and goes on after the file's name.
pub type HeadCheck = fn(&[u8], u64) -> Result<(), String>;

/// The check for a file of this name, if there is one.
pub fn head_check(name: &str) -> Option<HeadCheck> {
    match FileKind::of(name)? {
        FileKind::Gguf => Some(check_gguf),
        FileKind::Safetensors => Some(check_safetensors),
        _ => None,
    }
}

/// What kind of weights a file is by its first bytes, whatever its name says; `None` where they say nothing certain.
pub fn kind_by_content(head: &[u8]) -> Option<FileKind> {
    if head.starts_with(gguf::MAGIC) {
        Some(FileKind::Gguf)
    } else if SafetensorsHeader::begins(head) {
        Some(FileKind::Safetensors)
    } else {
        None
    }
}

fn check_gguf(head: &[u8], len: u64) -> Result<(), String> {
    if head.starts_with(gguf::MAGIC) { certain(GgufHeader::parse(head, len)) } else { refuse_text(head, "GGUF") }
}

fn check_safetensors(head: &[u8], len: u64) -> Result<(), String> {
    if SafetensorsHeader::begins(head) { certain(SafetensorsHeader::parse(head, len)) } else { refuse_text(head, "safetensors") }
}

fn certain<T>(parsed: Result<T, HeaderError>) -> Result<(), String> {
    match parsed {
        Err(error) if error.is_certain() => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Refuses what people and servers put in the place of weights.
fn refuse_text(head: &[u8], format: &'static str) -> Result<(), String> {
    match text_kind(head) {
        Some(kind) => Err(HeaderError::NotThis { format, why: format!("it begins like {kind}") }.to_string()),
        None => Ok(()),
    }
}

fn text_kind(head: &[u8]) -> Option<&'static str> {
    const LOOK: usize = 512;
    let look = &head[..head.len().min(LOOK)];
    let text = match str::from_utf8(look) {
        Ok(text) => text,
        // A character may be cut at the end of the look.
        Err(error) if error.error_len().is_none() => str::from_utf8(&look[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace()) {
        return None;
    }
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.get(..text.len().min(14)).unwrap_or_default().to_ascii_lowercase();
    let after = |open: char| text.strip_prefix(open).map(|rest| rest.trim_start().chars().next());
    if text.starts_with("version https://git-lfs") {
        Some("a Git LFS pointer, which stands for a file and is not that file")
    } else if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        Some("an HTML page")
    } else if after('<').is_some_and(|next| next.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '?' | '!'))) {
        Some("an XML or HTML document")
    } else if after('{').is_some_and(|next| matches!(next, Some('"' | '}'))) || text.starts_with("[{") {
        Some("a JSON document")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{gguf::tests as gguf_files, safetensors::tests as safetensors_files};
    use super::*;

    fn gguf(head: &[u8]) -> Result<(), String> {
        head_check("a/b.GGUF").unwrap()(head, head.len() as u64)
    }

    fn safetensors(head: &[u8]) -> Result<(), String> {
        head_check("model-00001-of-00002.safetensors").unwrap()(head, head.len() as u64)
    }

    #[test]
    fn good_files_pass_and_cut_ones_do_not() {
        let real = gguf_files::REAL;
        gguf(real).unwrap();
        assert!(head_check("x.gguf").unwrap()(&real[..100], real.len() as u64).is_ok(), "a longer header is fine");
        let error = gguf(&real[..real.len() - 100]).unwrap_err();
        assert!(error.starts_with("is a damaged GGUF file: tensor `"), "{error}");
        safetensors(&safetensors_files::file(safetensors_files::GOOD, 16)).unwrap();
        let error = safetensors(&safetensors_files::file(safetensors_files::GOOD, 15)).unwrap_err();
        assert!(error.starts_with("is a damaged safetensors file: "), "{error}");
    }

    #[test]
    fn pages_messages_and_pointers_are_refused_for_what_they_are() {
        for (text, kind) in [
            ("\u{feff}  <!DOCTYPE html><title>Log in</title>", "an HTML page"),
            ("<HTML lang=en>", "an HTML page"),
            ("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "an XML"),
            ("<Error>", "an XML"),
            ("{\"error\":\"Invalid token\"}\n", "a JSON"),
            ("[{\"a\":1}]", "a JSON"),
            ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "a Git LFS pointer"),
        ] {
            for check in [gguf, safetensors] {
                let error = check(text.as_bytes()).unwrap_err();
                assert!(error.contains(&format!("file: it begins like {kind}")), "{error}");
            }
        }
    }

    #[test]
    fn what_is_only_unknown_is_left_to_the_hash() {
        for head in
            [&b""[..], b"G", b"\0\0\0\0<html>", b"{\"a\":\x01", b"some words", b"< 5", b"{x}", &[0xff; 64], b"GGUF\x04\0\0\0"]
        {
            gguf(head).unwrap();
            safetensors(head).unwrap();
        }
        let mut bytes = gguf_files::REAL.to_vec();
        bytes[4..8].copy_from_slice(&3_u32.to_be_bytes());
        gguf(&bytes).unwrap();
        assert!(head_check("config.json").is_none() && head_check("gguf").is_none());
    }
}
