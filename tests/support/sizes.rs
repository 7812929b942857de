//! File sizes at which something changes, each with the reason.

const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;

/// `(size in bytes, why it is interesting)`, ascending. All together about 60 MiB.
pub const INTERESTING_SIZES: &[(u64, &str)] = &[
    (0, "empty: a range request for it is an error, and a part file of it is already complete"),
    (1, "the smallest body: first byte is last byte"),
    (4 * KIB - 1, "one byte short of a page"),
    (4 * KIB, "exactly a page"),
    (4 * KIB + 1, "one byte over a page"),
    (16 * KIB, "a TLS record, and the usual read size of HTTP libraries"),
    (64 * KIB + 1, "over one chunk of most copy loops"),
    (MIB - 1, "one byte short of a hashing block"),
    (MIB, "exactly one block"),
    (MIB + 1, "one block and one byte: the last range is one byte long"),
    (4 * MIB, "exactly one checksum range"),
    (4 * MIB + 1, "one checksum range and one byte"),
    (8 * MIB - 1, "just too small for a second range of 8 MiB"),
    (8 * MIB, "exactly one range of 8 MiB"),
    (8 * MIB + 3, "a range and a crumb, not a multiple of anything"),
    (16 * MIB + 5, "several ranges, the last one odd"),
];

/// Sizes for tests that repeat much work per size.
pub const SMALL_SIZES: &[(u64, &str)] = &[
    (0, "empty: no range may be asked"),
    (1, "the smallest body"),
    (4 * KIB + 1, "over one page"),
    (64 * KIB + 1, "over one chunk of most copy loops"),
    (MIB + 1, "over one block"),
];
