//! What is kept of a table to find files with equal tensors among many: some of its tensors, as numbers.

use super::{
    borrow::{SMALLEST_TENSOR, usable},
    tensors::{Tensor, TensorKind, TensorTable},
};

/// Tensors that are kept of a table.
pub const SKETCH_LEN: usize = 16;

/// Some tensors of a table, chosen so that the same ones are chosen of similar tables, and large ones rather than small ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableSketch {
    /// The bytes of all tensors that can be borrowed.
    pub bytes: u64,
    /// How many there are.
    pub tensors: u32,
    /// The keys of those that are kept; of fewer tensors than there are keys, the first as many count.
    pub keys: [u64; SKETCH_LEN],
}

impl TensorTable {
    /// The key and the bytes of every tensor that can be borrowed.
    pub fn keys(&self) -> Vec<(u64, u64)> {
        usable(self, SMALLEST_TENSOR).into_iter().map(|(tensor, _)| (key_of(tensor), tensor.len)).collect()
    }

    /// What is kept of it.
    pub fn sketch(&self) -> TableSketch {
        let keys = self.keys();
        let bytes = keys.iter().map(|(_, len)| *len).fold(0, u64::saturating_add);
        let mut ranked: Vec<(f64, u64)> = keys.into_iter().map(|(key, len)| (rank(key, len), key)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut sketch = TableSketch { bytes, tensors: u32::try_from(ranked.len()).unwrap_or(u32::MAX), keys: [0; SKETCH_LEN] };
        sketch.keys.iter_mut().zip(&ranked).for_each(|(slot, (_, key))| *slot = *key);
        sketch
    }
}

/// A number for all that must be equal for a tensor to be borrowed: the first eight bytes, little-endian, of the BLAKE3 hash
/// of its kind, its dimensions, its length and its name.
fn key_of(tensor: &Tensor) -> u64 {
    let mut hasher = blake3::Hasher::new();
    match &tensor.kind {
        TensorKind::Gguf(number) => hasher.update(b"g").update(&number.to_le_bytes()),
        TensorKind::Safetensors(dtype) => hasher.update(b"s").update(&(dtype.len() as u32).to_le_bytes()).update(dtype.as_bytes()),
    };
    hasher.update(&(tensor.shape.len() as u32).to_le_bytes());
    for dimension in &tensor.shape {
        hasher.update(&dimension.to_le_bytes());
    }
    hasher.update(&tensor.len.to_le_bytes()).update(tensor.name.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// The place of a tensor in a sample where each is drawn as its bytes are many: the same for the same tensor in every table.
fn rank(key: u64, len: u64) -> f64 {
    const STEPS: f64 = (1_u64 << 53) as f64;
    let drawn = ((key >> 11) as f64 + 1.0) / STEPS;
    -drawn.ln() / len as f64
}

#[cfg(test)]
mod tests {
    use super::{super::borrow::tests::file, *};

    const MIB: u64 = 1 << 20;

    fn table(tensors: u64, kind: impl Fn(u64) -> u32) -> TensorTable {
        let all: Vec<(String, u32, u64)> = (0..tensors).map(|at| (format!("t{at}"), kind(at), (1 + at % 7) * MIB)).collect();
        file(64, &all.iter().map(|(name, kind, len)| (name.as_str(), *kind, *len)).collect::<Vec<_>>())
    }

    fn kept(sketch: &TableSketch) -> &[u64] {
        &sketch.keys[..SKETCH_LEN.min(sketch.tensors as usize)]
    }

    /// How many of the tensors that are kept of one table are in the other.
    fn common(held: &TensorTable, wanted: &TensorTable) -> usize {
        let wanted: Vec<u64> = wanted.keys().into_iter().map(|(key, _)| key).collect();
        kept(&held.sketch()).iter().filter(|key| wanted.contains(key)).count()
    }

    #[test]
    fn as_many_of_a_sketch_are_in_another_table_as_its_bytes_are() {
        let held = table(300, |_| 12);
        assert_eq!(kept(&held.sketch()).len(), SKETCH_LEN);
        assert_eq!(common(&held, &held), SKETCH_LEN);
        let half = common(&held, &table(300, |at| if at % 2 == 0 { 12 } else { 14 }));
        assert!((4..=12).contains(&half), "{half}");
        assert_eq!(common(&held, &table(300, |_| 14)), 0);
        // Where there are few, all are kept.
        let few = table(3, |_| 12);
        assert_eq!((few.sketch().tensors, few.sketch().bytes, kept(&few.sketch()).len()), (3, 6 * MIB, 3));
        assert_eq!(TensorTable::default().sketch(), TableSketch::default());
    }

    #[test]
    fn what_a_key_is_made_of_does_not_change() {
        // Other programs compute it too.
        let tensor = &file(64, &[("token_embd.weight", 12, MIB)]).tensors[0];
        assert_eq!(key_of(tensor), KEY);
    }

    const KEY: u64 = 9_198_957_737_617_862_621;
}
