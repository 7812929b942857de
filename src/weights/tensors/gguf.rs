//! The table of a GGUF file, from a stream. Values of key-values, such as a tokenizer's vocabulary, are passed over.

use super::{
    super::{
        HeaderError,
        gguf::{
            Preamble, TensorEntry,
            cursor::{DEEPEST_ARRAY, HeaderCursor, Stop, bad, width},
            data_offset,
        },
    },
    ALL_NAMES, LONGEST_NAME, MOST_TENSORS, Tensor, TensorKind, TensorTable, too_large,
};

/// The longest key of a key-value; the format's own limit.
const LONGEST_KEY: u64 = 1 << 16;
const ALIGNMENT: &[u8] = b"general.alignment";

pub(super) struct Reader {
    len: u64,
    /// What was pushed and not read yet: less than one key or one tensor's entry.
    rest: Vec<u8>,
    /// Where `rest` begins in the file.
    base: u64,
    /// Bytes of a value that are passed over.
    skip: u64,
    /// Arrays that are being passed over, the outermost first: the type of their elements, and how many are left.
    arrays: Vec<(u32, u64)>,
    next: Next,
    tensors: u64,
    alignment: Option<u64>,
    names: u64,
    table: Vec<Tensor>,
    /// Tensors of a type whose block is not known; they end where the next one begins.
    unknown: Vec<bool>,
}

#[derive(Clone, Copy)]
enum Next {
    Preamble,
    Pair(u64),
    Tensor(u64),
}

impl Reader {
    pub(super) fn new(len: u64) -> Self {
        Self {
            len,
            rest: Vec::new(),
            base: 0,
            skip: 0,
            arrays: Vec::new(),
            next: Next::Preamble,
            tensors: 0,
            alignment: None,
            names: 0,
            table: Vec::new(),
            unknown: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<Option<TensorTable>, HeaderError> {
        if self.rest.is_empty() {
            bytes = self.pass(bytes);
        }
        let rest = std::mem::take(&mut self.rest);
        let whole = match rest.is_empty() {
            true => bytes.into(),
            false => std::borrow::Cow::Owned([&rest, bytes].concat()),
        };
        let mut at = self.base;
        let done = loop {
            let mut cursor = HeaderCursor { bytes: &whole, base: self.base, at, len: self.len };
            match self.step(&mut cursor) {
                Ok(done) => {
                    at = cursor.at;
                    let here = usize::try_from(at - self.base).unwrap_or(usize::MAX);
                    let left = whole.len().saturating_sub(here) as u64;
                    at += self.skip.min(left);
                    self.skip -= self.skip.min(left);
                    if done.is_some() || self.skip > 0 {
                        break done;
                    }
                }
                Err(Stop::More(_)) => break None,
                Err(Stop::Bad(error)) => return Err(error),
            }
        };
        let read = usize::try_from(at - self.base).unwrap_or(usize::MAX);
        self.rest = if done.is_some() { Vec::new() } else { whole.get(read..).unwrap_or_default().to_vec() };
        self.base = at;
        Ok(done)
    }

    /// How many bytes of the file it keeps.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.rest.len()
    }

    /// Passes over what is to be skipped of `bytes`; the others.
    fn pass<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= skipped as u64;
        self.base += skipped as u64;
        &bytes[skipped..]
    }

    /// Reads one thing: a key, an element of an array, an entry of the table.
    fn step(&mut self, cursor: &mut HeaderCursor<'_>) -> Result<Option<TensorTable>, Stop> {
        if let Some((kind, left)) = self.arrays.last().copied() {
            if left == 0 {
                self.arrays.pop();
                return Ok(None);
            }
            // An element that is an array is pushed behind this one.
            let this = self.arrays.len() - 1;
            match kind {
                9 => self.array(cursor)?,
                _ => self.text(cursor)?,
            }
            self.arrays[this].1 = left - 1;
            return Ok(None);
        }
        match self.next {
            Next::Preamble => {
                let Preamble { tensors, pairs, .. } = Preamble::read(cursor)?;
                if tensors > MOST_TENSORS {
                    return Err(Stop::Bad(too_large("more tensors")));
                }
                (self.tensors, self.next) = (tensors, Next::Pair(pairs));
            }
            Next::Pair(0) => self.next = Next::Tensor(self.tensors),
            Next::Pair(left) => {
                self.pair(cursor)?;
                self.next = Next::Pair(left - 1);
            }
            Next::Tensor(0) => return self.finish(cursor.at).map(Some),
            Next::Tensor(left) => {
                self.tensor(cursor)?;
                self.next = Next::Tensor(left - 1);
            }
        }
        Ok(None)
    }

    fn pair(&mut self, cursor: &mut HeaderCursor<'_>) -> Result<(), Stop> {
        let len = cursor.u64()?;
        if len > LONGEST_KEY {
            return bad(format!("a key is {len} bytes long"));
        }
        let key = cursor.take(len)?;
        let kind = cursor.u32()?;
        match kind {
            8 => self.text(cursor),
            9 => self.array(cursor),
            _ if key == ALIGNMENT => {
                let value = cursor.value(kind, true, 0)?;
                self.alignment = self.alignment.or(value.and_then(|value| value.number()));
                Ok(())
            }
            _ => cursor.take(width(kind)?).map(drop),
        }
    }

    fn text(&mut self, cursor: &mut HeaderCursor<'_>) -> Result<(), Stop> {
        let len = cursor.u64()?;
        self.skip = cursor.hold(len, 1, "bytes of a text")?;
        Ok(())
    }

    fn array(&mut self, cursor: &mut HeaderCursor<'_>) -> Result<(), Stop> {
        if self.arrays.len() >= DEEPEST_ARRAY as usize {
            return bad(format!("arrays are nested more than {DEEPEST_ARRAY} deep"));
        }
        let (kind, count) = (cursor.u32()?, cursor.u64()?);
        match kind {
            8 | 9 => {
                cursor.hold(count, if kind == 8 { 8 } else { 12 }, "elements of an array")?;
                self.arrays.push((kind, count));
            }
            _ => self.skip = cursor.hold(count, width(kind)?, "numbers")?,
        }
        Ok(())
    }

    fn tensor(&mut self, cursor: &mut HeaderCursor<'_>) -> Result<(), Stop> {
        let len = cursor.u64()?;
        if len > LONGEST_NAME {
            return Err(Stop::Bad(too_large("longer names")));
        }
        let name = String::from_utf8_lossy(cursor.take(len)?);
        let entry = TensorEntry::read(cursor, &name)?;
        self.names += len;
        if self.names > ALL_NAMES {
            return Err(Stop::Bad(too_large("longer names")));
        }
        self.unknown.push(entry.is_of_unknown_type());
        self.table.push(Tensor {
            name: name.into(),
            kind: TensorKind::Gguf(entry.kind),
            shape: entry.shape().into(),
            offset: entry.offset,
            len: entry.end - entry.offset,
        });
        Ok(())
    }

    fn finish(&mut self, end: u64) -> Result<TensorTable, Stop> {
        let (header_len, alignment) = data_offset(end, self.alignment)?;
        let mut tensors = std::mem::take(&mut self.table);
        for tensor in &mut tensors {
            if tensor.offset % alignment != 0 {
                return bad(format!("a tensor does not begin at a multiple of {alignment} bytes"));
            }
            let place = header_len.checked_add(tensor.offset);
            match place.filter(|offset| offset.checked_add(tensor.len).is_some_and(|end| end <= self.len)) {
                Some(offset) => tensor.offset = offset,
                None => return bad("a tensor ends behind the end of the file"),
            }
        }
        if self.unknown.contains(&true) {
            let mut starts: Vec<u64> = tensors.iter().map(|tensor| tensor.offset).chain([self.len]).collect();
            starts.sort_unstable();
            for (tensor, _) in tensors.iter_mut().zip(&self.unknown).filter(|(_, unknown)| **unknown) {
                let next = starts.partition_point(|start| *start <= tensor.offset);
                tensor.len = starts.get(next).map_or(0, |next| next - tensor.offset);
            }
        }
        Ok(TensorTable { tensors, header_len, file_len: self.len })
    }
}
