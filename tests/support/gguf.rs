//! Writes small but real llama models in GGUF, so that loaders can be asked whether a download is one.
//!
//! Same structure as gguf-py's writer gives: version 3, llama metadata, a byte-level vocabulary, F16 matrices
//! and F32 norms, everything aligned to 32. Same [`Spec`], same bytes.

const EMBEDDING: u64 = 64;
const HEADS: u32 = 4;
const CONTEXT: u32 = 256;
const ALIGNMENT: usize = 32;
const F32: u32 = 0;
const F16: u32 = 1;

/// Which model to write.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Width of the feed-forward layers: what makes the file big.
    pub feed_forward: u64,
    pub layers: u32,
    /// Other seed, other weights, other hash.
    pub seed: u64,
}

impl Spec {
    /// About 0.24 MiB.
    pub fn tiny() -> Self {
        Self { feed_forward: 128, layers: 2, seed: 1 }
    }

    /// About so many MiB.
    pub fn mib(mib: u64) -> Self {
        let tiny = Self::tiny();
        let one_column = 3 * 2 * EMBEDDING * u64::from(tiny.layers);
        Self { feed_forward: ((mib << 20) / one_column / 32 * 32).max(tiny.feed_forward), ..tiny }
    }

    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The whole model in one file.
    pub fn bytes(&self) -> Vec<u8> {
        let tensors = self.tensors();
        file(&self.metadata(), &tensors, &mut Weights::new(self.seed))
    }

    /// A file of the same tensors whose header says that it is of this type and architecture.
    pub fn bytes_as(&self, kind: &str, architecture: &str) -> Vec<u8> {
        let mut metadata = Metadata::default();
        metadata.string("general.type", kind);
        metadata.string("general.architecture", architecture);
        metadata.u32("general.file_type", 1);
        file(&metadata, &self.tensors(), &mut Weights::new(self.seed))
    }

    /// The model in `parts` files, named as llama.cpp wants: `stem-00001-of-00003.gguf`.
    pub fn split(&self, stem: &str, parts: usize) -> Vec<(String, Vec<u8>)> {
        let tensors = self.tensors();
        let mut weights = Weights::new(self.seed);
        let share = tensors.len().div_ceil(parts);
        assert!(parts > 0 && tensors.chunks(share).len() == parts, "{} tensors do not make {parts} parts", tensors.len());
        let file = |(i, part): (usize, &[Tensor])| {
            let mut metadata = if i == 0 { self.metadata() } else { Metadata::default() };
            metadata.u16("split.no", i as u16);
            metadata.u16("split.count", parts as u16);
            metadata.i32("split.tensors.count", tensors.len() as i32);
            (format!("{stem}-{:05}-of-{parts:05}.gguf", i + 1), file(&metadata, part, &mut weights))
        };
        tensors.chunks(share).enumerate().map(file).collect()
    }

    fn metadata(&self) -> Metadata {
        let tokens = vocabulary();
        let mut m = Metadata::default();
        m.string("general.architecture", "llama");
        m.string("general.name", "tiny-random");
        m.string("general.license", "mit");
        m.u32("llama.block_count", self.layers);
        m.u32("llama.context_length", CONTEXT);
        m.u32("llama.embedding_length", EMBEDDING as u32);
        m.u32("llama.feed_forward_length", self.feed_forward as u32);
        m.u32("llama.attention.head_count", HEADS);
        m.u32("llama.attention.head_count_kv", HEADS);
        m.f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
        m.u32("llama.rope.dimension_count", EMBEDDING as u32 / HEADS);
        m.u32("llama.vocab_size", tokens.len() as u32);
        m.u32("general.file_type", 1);
        m.string("tokenizer.ggml.model", "llama");
        m.array("tokenizer.ggml.tokens", 8, &tokens, |out, (text, _)| put_string(out, text));
        m.array("tokenizer.ggml.scores", 6, &tokens, |out, (_, kind)| {
            let score: f32 = if matches!(kind, 2 | 3) { 0.0 } else { -1.0 };
            out.extend_from_slice(&score.to_le_bytes());
        });
        m.array("tokenizer.ggml.token_type", 5, &tokens, |out, (_, kind)| out.extend_from_slice(&kind.to_le_bytes()));
        m.u32("tokenizer.ggml.bos_token_id", 1);
        m.u32("tokenizer.ggml.eos_token_id", 2);
        m.u32("tokenizer.ggml.unknown_token_id", 0);
        m
    }

    fn tensors(&self) -> Vec<Tensor> {
        let vocabulary = vocabulary().len() as u64;
        let matrix = |name: String, rows: u64, columns: u64| Tensor { name, shape: vec![columns, rows] };
        let norm = |name: String| Tensor { name, shape: vec![EMBEDDING] };
        let mut all = vec![
            matrix("token_embd.weight".into(), vocabulary, EMBEDDING),
            norm("output_norm.weight".into()),
            matrix("output.weight".into(), vocabulary, EMBEDDING),
        ];
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            all.extend(["attn_norm", "ffn_norm"].map(|part| norm(name(part))));
            all.extend(["attn_q", "attn_k", "attn_v", "attn_output"].map(|part| matrix(name(part), EMBEDDING, EMBEDDING)));
            all.push(matrix(name("ffn_gate"), self.feed_forward, EMBEDDING));
            all.push(matrix(name("ffn_up"), self.feed_forward, EMBEDDING));
            all.push(matrix(name("ffn_down"), EMBEDDING, self.feed_forward));
        }
        all
    }
}

/// Text and kind: 2 unknown, 3 control, 6 byte, 1 normal.
fn vocabulary() -> Vec<(String, i32)> {
    let special = [("<unk>", 2), ("<s>", 3), ("</s>", 3)].map(|(text, kind)| (text.to_owned(), kind));
    let bytes = (0..=255_u8).map(|b| (format!("<0x{b:02X}>"), 6));
    let normal = std::iter::once('\u{2581}').chain('a'..='z').map(|c| (c.to_string(), 1));
    special.into_iter().chain(bytes).chain(normal).collect()
}

struct Tensor {
    name: String,
    /// Fastest dimension first. Vectors are F32 ones, matrices F16 noise.
    shape: Vec<u64>,
}

impl Tensor {
    fn kind(&self) -> u32 {
        if self.shape.len() == 1 { F32 } else { F16 }
    }

    fn size(&self) -> usize {
        let elements: u64 = self.shape.iter().product();
        elements as usize * if self.kind() == F32 { 4 } else { 2 }
    }
}

fn file(metadata: &Metadata, tensors: &[Tensor], weights: &mut Weights) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(b"GGUF");
    out.extend_from_slice(&3_u32.to_le_bytes());
    out.extend_from_slice(&(tensors.len() as u64).to_le_bytes());
    out.extend_from_slice(&metadata.count.to_le_bytes());
    out.extend_from_slice(&metadata.bytes);
    let mut offset = 0_u64;
    for tensor in tensors {
        put_string(&mut out, &tensor.name);
        out.extend_from_slice(&(tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
        out.extend_from_slice(&tensor.kind().to_le_bytes());
        out.extend_from_slice(&offset.to_le_bytes());
        offset += tensor.size().next_multiple_of(ALIGNMENT) as u64;
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    out.reserve(offset as usize);
    for tensor in tensors {
        match tensor.kind() {
            F32 => (0..tensor.size() / 4).for_each(|_| out.extend_from_slice(&1_f32.to_le_bytes())),
            _ => weights.fill(&mut out, tensor.size()),
        }
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    }
    out
}

#[derive(Default)]
struct Metadata {
    count: u64,
    bytes: Vec<u8>,
}

impl Metadata {
    fn key(&mut self, key: &str, kind: u32) {
        self.count += 1;
        put_string(&mut self.bytes, key);
        self.bytes.extend_from_slice(&kind.to_le_bytes());
    }

    fn u16(&mut self, key: &str, value: u16) {
        self.key(key, 2);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, key: &str, value: u32) {
        self.key(key, 4);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn i32(&mut self, key: &str, value: i32) {
        self.key(key, 5);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn f32(&mut self, key: &str, value: f32) {
        self.key(key, 6);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn string(&mut self, key: &str, value: &str) {
        self.key(key, 8);
        put_string(&mut self.bytes, value);
    }

    fn array<T>(&mut self, key: &str, kind: u32, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
        self.key(key, 9);
        self.bytes.extend_from_slice(&kind.to_le_bytes());
        self.bytes.extend_from_slice(&(items.len() as u64).to_le_bytes());
        items.iter().for_each(|item| put(&mut self.bytes, item));
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// F16 noise of about ±0.1. One mebibyte is drawn; further ones are the same turned by an odd step, so that
/// hundreds of mebibytes are quick to write and no two ranges of a file are alike.
struct Weights {
    block: Vec<u8>,
    turn: usize,
}

impl Weights {
    const BLOCK: usize = 1 << 20;

    fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut block = Vec::with_capacity(Self::BLOCK);
        while block.len() < Self::BLOCK {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Sign, an exponent of 2^-8 to 2^-4, ten bits of fraction.
            let (sign, exponent, fraction) = (state >> 63, 7 + (state >> 40) % 5, state >> 20 & 0x3ff);
            block.extend_from_slice(&((sign << 15 | exponent << 10 | fraction) as u16).to_le_bytes());
        }
        Self { block, turn: 0 }
    }

    fn fill(&mut self, out: &mut Vec<u8>, mut bytes: usize) {
        while bytes > 0 {
            let from = self.turn % Self::BLOCK;
            let n = (Self::BLOCK - from).min(bytes);
            out.extend_from_slice(&self.block[from..from + n]);
            bytes -= n;
            self.turn = (from + n + 2 * 7919) % Self::BLOCK;
        }
    }
}
