//! Files of weights made of tensors that are said: the same names and seeds give the same bytes, in whatever file.

use std::fmt::Write as _;

/// A tensor of 32-bit numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    pub seed: u64,
    pub len: usize,
}

/// So many tensors of `len` bytes.
pub fn tensors(count: u64, len: usize) -> Vec<Tensor> {
    (0..count).map(|seed| Tensor { name: format!("blk.{seed}.weight"), seed, len }).collect()
}

impl Tensor {
    /// Another content under the same name.
    pub fn changed(mut self) -> Self {
        self.seed += 1000;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut state = (self.seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut data = vec![0; self.len];
        for word in data.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
        }
        data
    }
}

/// A GGUF file with a text of so many bytes in its header.
pub fn gguf(text: usize, tensors: &[Tensor]) -> Vec<u8> {
    let string = |out: &mut Vec<u8>, text: &[u8]| {
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text);
    };
    let mut out = b"GGUF".to_vec();
    out.extend_from_slice(&3_u32.to_le_bytes());
    out.extend_from_slice(&(tensors.len() as u64).to_le_bytes());
    out.extend_from_slice(&2_u64.to_le_bytes());
    for (key, value) in [("general.architecture", b"llama".to_vec()), ("tokenizer.chat_template", vec![b'x'; text])] {
        string(&mut out, key.as_bytes());
        out.extend_from_slice(&8_u32.to_le_bytes());
        string(&mut out, &value);
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        string(&mut out, tensor.name.as_bytes());
        out.extend_from_slice(&1_u32.to_le_bytes());
        out.extend_from_slice(&(tensor.len as u64 / 4).to_le_bytes());
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(&offset.to_le_bytes());
        offset += (tensor.len as u64).next_multiple_of(32);
    }
    for tensor in tensors {
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend_from_slice(&tensor.bytes());
    }
    out
}

/// A safetensors file with a note of so many bytes.
pub fn safetensors(note: usize, tensors: &[Tensor]) -> Vec<u8> {
    let mut json = format!("{{\"__metadata__\":{{\"note\":\"{}\"}}", "x".repeat(note));
    let mut offset = 0;
    for tensor in tensors {
        let (name, end) = (&tensor.name, offset + tensor.len);
        write!(json, ",\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[{offset},{end}]}}", tensor.len / 4).unwrap();
        offset = end;
    }
    json.push('}');
    let mut out = (json.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(json.as_bytes());
    tensors.iter().for_each(|tensor| out.extend_from_slice(&tensor.bytes()));
    out
}
