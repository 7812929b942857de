//! Reading the values of a GGUF header, however little of the file is there.

use super::super::HeaderError;

pub(in crate::weights) const NAME: &str = "GGUF";
/// Arrays in arrays; the format allows any depth, real files have none.
pub(in crate::weights) const DEEPEST_ARRAY: u32 = 4;
/// The longest text that is kept.
const LONGEST_TEXT: u64 = 4 << 20;

/// Why reading stopped before the end.
pub(in crate::weights) enum Stop {
    More(u64),
    Bad(HeaderError),
}

/// What is wrong with the file, as an error.
pub(in crate::weights) fn bad<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Bad(HeaderError::Damaged { format: NAME, why: why.into() }))
}

/// A value that is kept.
pub(in crate::weights) enum MetadataValue {
    Number(u64),
    Text(String),
}

impl MetadataValue {
    pub(in crate::weights) fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
    pub(super) fn text(&self) -> Option<String> {
        if let Self::Text(text) = self { Some(text.clone()) } else { None }
    }
}

/// What is there of the file, and how far it was read.
pub(in crate::weights) struct HeaderCursor<'a> {
    pub(in crate::weights) bytes: &'a [u8],
    /// Where `bytes` begin in the file.
    pub(in crate::weights) base: u64,
    /// How far the file was read.
    pub(in crate::weights) at: u64,
    /// Of the whole file.
    pub(in crate::weights) len: u64,
}

impl<'a> HeaderCursor<'a> {
    pub(in crate::weights) fn left(&self) -> u64 {
        self.len.saturating_sub(self.at)
    }

    /// Refuses a number of things that cannot be in the rest of the file.
    pub(in crate::weights) fn hold(&self, count: u64, least: u64, what: &str) -> Result<u64, Stop> {
        match count.checked_mul(least) {
            Some(bytes) if bytes <= self.left() => Ok(bytes),
            _ => bad(format!("it announces {count} {what}, and only {} bytes are left", self.left())),
        }
    }

    pub(in crate::weights) fn take(&mut self, bytes: u64) -> Result<&'a [u8], Stop> {
        if bytes > self.left() {
            return bad("it ends in the middle of its header");
        }
        let end = self.at + bytes;
        let index = |at: u64| at.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        let range = index(self.at).zip(index(end));
        let Some(slice) = range.and_then(|(start, end)| self.bytes.get(start..end)) else { return Err(Stop::More(end)) };
        self.at = end;
        Ok(slice)
    }

    pub(in crate::weights) fn u32(&mut self) -> Result<u32, Stop> {
        let mut number = [0; 4];
        number.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(number))
    }

    pub(in crate::weights) fn u64(&mut self) -> Result<u64, Stop> {
        let mut number = [0; 8];
        number.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(number))
    }

    fn string(&mut self, what: &str) -> Result<&'a [u8], Stop> {
        let len = self.u64()?;
        if len > self.left() {
            return bad(format!("{what} is {len} bytes long, and only {} are left", self.left()));
        }
        self.take(len)
    }

    /// A text that is not too long to be kept.
    pub(super) fn text(&mut self, what: &str) -> Result<Option<String>, Stop> {
        let bytes = self.string(what)?;
        Ok((bytes.len() as u64 <= LONGEST_TEXT).then(|| String::from_utf8_lossy(bytes).into_owned()))
    }

    /// Reads a value; gives it back if it is `wanted` and of a kind that can be.
    pub(in crate::weights) fn value(&mut self, kind: u32, wanted: bool, depth: u32) -> Result<Option<MetadataValue>, Stop> {
        match kind {
            8 if wanted => return Ok(self.text("a text")?.map(MetadataValue::Text)),
            8 => {
                self.string("a text")?;
            }
            9 => self.array(depth)?,
            _ => {
                let bytes = self.take(width(kind)?)?;
                let signed = matches!(kind, 1 | 3 | 5 | 11);
                let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                if wanted && !matches!(kind, 6 | 12) && !negative {
                    return Ok(Some(MetadataValue::Number(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))));
                }
            }
        }
        Ok(None)
    }

    fn array(&mut self, depth: u32) -> Result<(), Stop> {
        if depth >= DEEPEST_ARRAY {
            return bad(format!("arrays are nested more than {DEEPEST_ARRAY} deep"));
        }
        let (kind, count) = (self.u32()?, self.u64()?);
        match kind {
            8 => {
                self.hold(count, 8, "texts")?;
                for _ in 0..count {
                    self.string("a text")?;
                }
            }
            9 => {
                self.hold(count, 12, "arrays")?;
                for _ in 0..count {
                    self.array(depth + 1)?;
                }
            }
            _ => {
                let bytes = self.hold(count, width(kind)?, "numbers")?;
                self.take(bytes)?;
            }
        }
        Ok(())
    }
}

/// Bytes of a value that is no text and no array.
pub(in crate::weights) fn width(kind: u32) -> Result<u64, Stop> {
    match kind {
        0 | 1 | 7 => Ok(1),
        2 | 3 => Ok(2),
        4..=6 => Ok(4),
        10..=12 => Ok(8),
        _ => Err(Stop::Bad(HeaderError::Unknown(format!("type {kind} of GGUF values")))),
    }
}
