//! Reads a file from its beginning until its header is complete, with bytes from wherever they come.

use super::{
    FileKind, GgufHeader, HeaderError, Parsed, SafetensorsHeader,
    settings::{LONGEST_TEMPLATE, ModelConfig, TokenizerConfig, read_json},
};
use std::ops::Range;

/// How much of a file is asked for first, and how long a header may be.
const FIRST_READ: u64 = 256 << 10;
const LONGEST_HEADER: u64 = 64 << 20;

/// What the beginning of a file says.
#[derive(Debug)]
#[non_exhaustive]
pub enum Header {
    /// Of a GGUF file.
    Gguf(GgufHeader),
    /// Of a safetensors file.
    Safetensors(SafetensorsHeader),
    /// `config.json`.
    Config(Box<ModelConfig>),
    /// The chat template in `tokenizer_config.json`.
    TokenizerConfig(Option<String>),
    /// The chat template in a file of its own.
    ChatTemplate(String),
    /// Any other small file, whole.
    Text(Vec<u8>),
}

impl Header {
    /// Whether a file of this kind has a header that is understood.
    pub fn is_in(kind: FileKind) -> bool {
        use FileKind::{ChatTemplate, Config, Gguf, Safetensors, TokenizerConfig};
        matches!(kind, Gguf | Safetensors | Config | TokenizerConfig | ChatTemplate)
    }

    /// Reads what the first bytes of a file of `len` bytes say; without a kind, all of it as text.
    fn parse(kind: Option<FileKind>, head: &[u8], len: u64) -> Result<Parsed<Self>, String> {
        let text = |error: HeaderError| error.to_string();
        Ok(match kind {
            Some(FileKind::Gguf) => GgufHeader::parse(head, len).map_err(text)?.map(Self::Gguf),
            Some(FileKind::Safetensors) => SafetensorsHeader::parse(head, len).map_err(text)?.map(Self::Safetensors),
            _ if len > HeaderReader::LONGEST_TEXT => return Err("is longer than such a file can be".into()),
            _ if (head.len() as u64) < len => Parsed::NeedMore(len),
            Some(FileKind::ChatTemplate) if len > LONGEST_TEMPLATE => return Err("is longer than such a file can be".into()),
            Some(FileKind::ChatTemplate) => Parsed::Done(Self::ChatTemplate(String::from_utf8_lossy(head).into_owned())),
            Some(FileKind::Config) => Parsed::Done(Self::Config(read_json(head)?)),
            Some(FileKind::TokenizerConfig) => {
                Parsed::Done(Self::TokenizerConfig(read_json::<TokenizerConfig>(head)?.into_chat_template()))
            }
            _ => Parsed::Done(Self::Text(head.to_vec())),
        })
    }
}

/// The bytes of one file's beginning that are here, and which are needed next.
pub struct HeaderReader {
    name: String,
    kind: Option<FileKind>,
    len: u64,
    head: Vec<u8>,
    needed: u64,
}

impl HeaderReader {
    /// The longest file of settings that is read, in bytes.
    pub const LONGEST_TEXT: u64 = 32 << 20;

    /// Reads the header of a file of `len` bytes, of the kind that its name says.
    pub fn new(name: &str, len: u64) -> Self {
        Self { name: name.to_owned(), kind: FileKind::of(name), len, head: Vec::new(), needed: FIRST_READ.min(len) }
    }

    /// Reads all of a small file as text, whatever its name says.
    pub fn whole(name: &str, len: u64) -> Self {
        Self { kind: None, needed: len.min(Self::LONGEST_TEXT), ..Self::new(name, len) }
    }

    /// The name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The length of the whole file in bytes.
    pub fn file_len(&self) -> u64 {
        self.len
    }

    /// The bytes that are needed next.
    pub fn needed(&self) -> Range<u64> {
        let have = self.head.len() as u64;
        have..self.needed.max(have)
    }

    /// Takes bytes that follow those that are here.
    pub fn push(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(bytes);
    }

    /// Forgets the bytes that are here, for a source that only sends a file from its beginning.
    pub fn restart(&mut self) {
        self.head.clear();
    }

    /// Takes what `read` puts into a buffer for the bytes that are needed, from this place of the file; it says how many
    /// there were.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fill<E>(&mut self, read: impl FnOnce(&mut [u8], u64) -> Result<usize, E>) -> Result<(), E> {
        let Range { start, end } = self.needed();
        let have = self.head.len();
        self.head.resize(have + (end - start) as usize, 0);
        let got = read(&mut self.head[have..], start);
        self.head.truncate(have + got.as_ref().map_or(0, |got| *got));
        got.map(drop)
    }

    /// The header, an error that names the file, or nothing if more bytes are needed now.
    pub fn header(&mut self) -> Option<Result<Header, String>> {
        let fail = |why: &str| Some(Err(format!("{} {why}", self.name)));
        match Header::parse(self.kind, &self.head, self.len) {
            Err(why) => fail(&why),
            Ok(Parsed::Done(header)) => Some(Ok(header)),
            Ok(Parsed::NeedMore(bytes)) if bytes > LONGEST_HEADER => fail("has a longer header than is read"),
            Ok(Parsed::NeedMore(_)) if (self.head.len() as u64) < self.needed => fail("ended early"),
            Ok(Parsed::NeedMore(bytes)) => {
                self.needed = bytes.max(2 * self.needed).min(self.len).min(LONGEST_HEADER);
                self.head.reserve_exact((self.needed as usize).saturating_sub(self.head.len()));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::gguf::tests::REAL, *};

    /// Reads a file in memory; the ranges that were asked for, and what came of them.
    fn read(mut reader: HeaderReader, file: &[u8]) -> (Vec<Range<u64>>, Result<Header, String>) {
        let mut asked = Vec::new();
        loop {
            asked.push(reader.needed());
            let filled = reader.fill(|buffer, at| {
                let rest = file.get(at as usize..).unwrap_or_default();
                let got = rest.len().min(buffer.len());
                buffer[..got].copy_from_slice(&rest[..got]);
                Ok::<_, ()>(got)
            });
            filled.unwrap();
            if let Some(header) = reader.header() {
                return (asked, header);
            }
        }
    }

    #[test]
    fn a_header_is_read_by_what_the_name_says() {
        let (asked, header) = read(HeaderReader::new("a/x.GGUF", REAL.len() as u64), REAL);
        assert_eq!(asked, vec![0..REAL.len() as u64]);
        assert!(matches!(header, Ok(Header::Gguf(_))));
        let config = br#"{"architectures":["LlamaForCausalLM"],"text_config":{"max_position_embeddings":7}}"#;
        let (_, header) = read(HeaderReader::new("config.json", config.len() as u64), config);
        let Ok(Header::Config(config)) = header else { panic!("{header:?}") };
        assert_eq!((config.architecture().as_deref(), config.context_length()), (Some("LlamaForCausalLM"), Some(7)));
        assert!(matches!(read(HeaderReader::whole("x.gguf", 4), b"text").1, Ok(Header::Text(text)) if text == b"text"));
    }

    #[test]
    fn a_longer_header_is_asked_for_in_growing_steps_and_a_cut_file_is_an_error() {
        let body = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
        let mut file = (body.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(body.as_bytes());
        let (asked, _) = read(HeaderReader::new("x.safetensors", file.len() as u64), &file);
        assert_eq!(asked.last().map(|range| range.end), Some(file.len() as u64));
        assert!(asked.windows(2).all(|pair| pair[0].end == pair[1].start), "nothing is read twice: {asked:?}");
        let (_, cut) = read(HeaderReader::new("x.safetensors", file.len() as u64), &file[..1000]);
        assert_eq!(cut.unwrap_err(), "x.safetensors ended early");
        let (_, long) = read(HeaderReader::new("x.safetensors", u64::MAX), &(1_u64 << 40).to_le_bytes());
        assert!(long.unwrap_err().starts_with("x.safetensors "));
    }
}
