//! The journal of a partial download, held against its description in `store-layout.md`, section 6.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::fuzzing::journal;
use std::collections::BTreeMap;

const BOOT: &str = "this boot";
const SEGMENT: u64 = 1 << 20;

fn sealed(mut record: [u8; 64]) -> [u8; 64] {
    let check = blake3::hash(&record[..56]);
    record[56..].copy_from_slice(&check.as_bytes()[..8]);
    record
}

fn header(size: u64) -> [u8; 64] {
    let mut record = [0; 64];
    record[..8].copy_from_slice(b"MMJRNL01");
    record[8..16].copy_from_slice(&size.to_le_bytes());
    record[16..24].copy_from_slice(&SEGMENT.to_le_bytes());
    sealed(record)
}

/// One record: kind, number, the byte that its value repeats, and in which boot it was written.
#[derive(Clone, Copy)]
struct Record {
    kind: u8,
    number: u64,
    value: u8,
    boot: u8,
    /// A byte of it that is damaged.
    damage: Option<usize>,
}

impl Record {
    /// Where the process of a mark began, in a journal of some records.
    fn begin(&self) -> u64 {
        u64::from(self.value % 16) * 64
    }

    fn bytes(&self) -> [u8; 64] {
        let mut record = [0; 64];
        record[0] = self.kind;
        record[8..16].copy_from_slice(&self.number.to_le_bytes());
        match self.kind {
            2 => record[16..24].copy_from_slice(&self.begin().to_le_bytes()),
            _ => record[16..48].fill(self.value),
        }
        let boot = match self.boot {
            0 => BOOT.to_owned(),
            other => format!("boot {other}"),
        };
        record[48..56].copy_from_slice(&blake3::hash(boot.as_bytes()).as_bytes()[..8]);
        let mut record = sealed(record);
        if let Some(at) = self.damage {
            record[at] ^= 0x55;
        }
        record
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, rest)) = data.split_first() else { return };
    let Some((size, rest)) = rest.split_first_chunk::<8>() else { return };
    // Files of up to 64 GiB.
    let size = u64::from_le_bytes(*size) >> 28;
    let records: Vec<Record> = rest
        .chunks_exact(6)
        .map(|chunk| Record {
            kind: chunk[0] % 6,
            number: match chunk[1] {
                0xff => u64::MAX - u64::from(chunk[2]),
                0xfe => size / SEGMENT + u64::from(chunk[2] % 3),
                high => u64::from(high % 4) << 8 | u64::from(chunk[2]),
            },
            value: chunk[3],
            boot: chunk[4] % 3,
            damage: (chunk[5] < 64).then_some(usize::from(chunk[5])),
        })
        .collect();
    let mut text = header(size).to_vec();
    text.extend(records.iter().flat_map(Record::bytes));
    match mode % 4 {
        // Bytes of anything behind a good header, and of anything alone.
        0 => text.extend_from_slice(rest),
        1 => {
            assert!(journal(rest, size, BOOT).is_none() || rest.starts_with(&header(size)));
            return;
        }
        // A torn end.
        2 => text.extend_from_slice(&rest[..rest.len().min(63)]),
        _ => {}
    }
    assert!(journal(&text, size ^ 1, BOOT).is_none(), "the journal of another file");
    let (claims, notes) = journal(&text, size, BOOT).expect("its header is good");
    assert_eq!(claims.len() as u64, size.div_ceil(SEGMENT));
    if mode % 4 == 0 {
        return;
    }

    let sound: Vec<(u64, &Record)> = (1..).map(|at| at * 64).zip(&records).filter(|(_, record)| record.damage.is_none()).collect();
    let holds = |at: u64, record: &Record| {
        let covered = |(_, mark): &(u64, &Record)| {
            let same_boot = mark.kind == 2 && mark.boot == record.boot;
            same_boot && mark.begin() <= at && at < mark.number
        };
        record.boot == 0 || sound.iter().any(covered)
    };
    let held: Vec<(u64, &Record)> = sound.iter().copied().filter(|(at, record)| holds(*at, record)).collect();
    let mut wanted: BTreeMap<u64, (u64, u8)> = BTreeMap::new();
    for (at, record) in held.iter().filter(|(_, record)| matches!(record.kind, 1 | 4) && record.number < claims.len() as u64) {
        wanted.insert(record.number, (*at, record.value));
    }
    for (index, claim) in claims.iter().enumerate().filter_map(|(index, claim)| Some((index as u64, claim.as_ref()?))) {
        assert_eq!(wanted.get(&index).map(|(_, value)| [*value; 32]), Some(*claim.as_bytes()), "segment {index}");
    }
    assert_eq!(claims.iter().flatten().count(), wanted.len());
    let mut expected: BTreeMap<u64, u8> = BTreeMap::new();
    for (at, record) in held.iter().filter(|(_, record)| record.kind == 3) {
        let sees_all = (0..record.number).all(|index| wanted.get(&index).is_some_and(|(claim, _)| claim < at));
        if (1..=size / SEGMENT).contains(&record.number) && sees_all {
            expected.insert(record.number, record.value);
        }
    }
    let read: BTreeMap<u64, [u8; 32]> = notes.iter().map(|note| (note.segments, note.words)).collect();
    assert_eq!(read, expected.into_iter().map(|(segments, value)| (segments, [value; 32])).collect());
});
