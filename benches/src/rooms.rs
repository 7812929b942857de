//! Micro-benches of the rooms through which every byte and every name goes.
//!
//! ```text
//! cargo bench -p model-manager-benches [-- FILTER]
//! ```
//! Files are in memory where the machine has `/dev/shm`, so that the program is measured and not the disk.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use model_manager::{
    digest::{SEGMENT_LEN, SequentialHasher, Sha256Digest, merge_segments, segment_value, sha256_of},
    disk::RealDisk,
    event::Silent,
    http::{Http, Location},
    registry::Registry,
    settings::Connections,
    settings::{LinkMode, Network},
    store::{
        Acquired, BlobRequest, BlobWriter, GcOptions, IngestKey, Project, Store, Trust, UpstreamFile, ViewFile, ViewKey, Wait,
    },
    transfer::{self, Job, TransferOptions},
    view::Views,
    weights::GgufHeader,
};
use std::{
    fs,
    hint::black_box,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
const FILE_LEN: u64 = 64 * MIB;

struct Home {
    dir: tempfile::TempDir,
    store: Store,
}

impl Home {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let store = Store::open_or_init(Arc::new(RealDisk), &dir.path().join("models/.blobs"), false).unwrap();
        Self { dir, store }
    }

    fn models(&self) -> PathBuf {
        self.dir.path().join("models")
    }

    fn writer(&self, key: IngestKey, size: u64) -> BlobWriter {
        let lease = Arc::new(self.store.lease().unwrap());
        let request = BlobRequest { key, size, what: "model.gguf".into(), trust: Trust::Sha256Upstream };
        match self.store.begin_replace(request, &lease, &Wait::silent(None)).unwrap() {
            Acquired::Writer(writer) => *writer,
            Acquired::Present(_) => unreachable!("it is asked for anew"),
        }
    }

    /// Empty blobs under made-up names: planning and listing never read them.
    fn blobs(&self, count: u64) -> Vec<Sha256Digest> {
        let digests: Vec<Sha256Digest> = (0..count).map(|n| sha256_of(&n.to_le_bytes())).collect();
        digests.iter().for_each(|digest| drop(fs::File::create(self.store.layout().blob(digest)).unwrap()));
        digests
    }

    fn views(&self) -> Views {
        Views::new(Arc::new(RealDisk), self.models(), Some(self.store.clone()))
    }
}

fn random(len: u64) -> Vec<u8> {
    let mut data = vec![0; len as usize];
    fastrand::Rng::with_seed(7).fill(&mut data);
    data
}

fn source() -> UpstreamFile {
    UpstreamFile {
        endpoint: "https://huggingface.co".into(),
        repo: Some("a/b".into()),
        commit: None,
        path: None,
        git_sha1: None,
        xet_hash: None,
    }
}

fn segments(data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    (0..).zip(data.chunks(SEGMENT_LEN as usize))
}

fn hashing(c: &mut Criterion) {
    let data = random(16 * MIB);
    let len = data.len() as u64;
    let mut group = c.benchmark_group("hashing, 16 MiB");
    group.throughput(Throughput::Bytes(len));
    group.bench_function("SHA-256", |b| {
        b.iter(|| {
            let mut hasher = SequentialHasher::new(len, false);
            hasher.update(black_box(&data));
            hasher.finish()
        });
    });
    group.bench_function("BLAKE3 of segments, merged", |b| {
        b.iter(|| {
            let values: Vec<_> = segments(black_box(&data)).map(|(index, data)| segment_value(index, len, data)).collect();
            merge_segments(&values, len)
        });
    });
    group.finish();
}

fn writer(c: &mut Criterion) {
    let home = Home::new();
    let data = random(FILE_LEN);
    let key = IngestKey::Sha256(sha256_of(&data));
    let mut group = c.benchmark_group("writer");
    group.sample_size(10).throughput(Throughput::Bytes(FILE_LEN));
    group.bench_function("64 MiB written, hashed, journalled, committed", |b| {
        b.iter(|| {
            let writer = home.writer(key, FILE_LEN);
            for (index, segment) in segments(&data) {
                writer.write_and_hash(index, segment).unwrap();
            }
            writer.commit(None, source()).unwrap()
        });
    });
    let small = random(2000);
    let key = IngestKey::Sha256(sha256_of(&small));
    group.throughput(Throughput::Elements(1));
    group.bench_function("a small file", |b| {
        b.iter(|| {
            let writer = home.writer(key, 2000);
            writer.write_and_hash(0, &small).unwrap();
            writer.commit(None, source()).unwrap()
        });
    });
    group.finish();
}

/// A server that knows ranges and nothing else.
fn serve(data: Arc<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let data = data.clone();
            // The client hangs up when it has what it wants.
            thread::spawn(move || drop(answer(&stream, &data)));
        }
    });
    address
}

fn answer(mut stream: &TcpStream, data: &[u8]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let mut range = None;
    while let Some(line) = lines.next().transpose()? {
        if let Some(asked) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            range = asked.split_once('-').map(|(start, end)| (start.parse::<usize>().unwrap(), end.parse::<usize>().unwrap() + 1));
        }
        if line.is_empty() {
            let (start, end) = range.take().unwrap();
            let (len, last, total) = (end - start, end - 1, data.len());
            write!(
                stream,
                "HTTP/1.1 206 Partial Content\r\ncontent-length: {len}\r\ncontent-range: bytes {start}-{last}/{total}\r\n\r\n"
            )?;
            stream.write_all(&data[start..end])?;
        }
    }
    Ok(())
}

fn transfer(c: &mut Criterion) {
    let home = Home::new();
    let data = Arc::new(random(FILE_LEN));
    let key = IngestKey::Sha256(sha256_of(&data));
    let address = serve(data);
    let mut network = Network::default();
    network.endpoints = vec![format!("http://{address}")];
    let http = Http::new(&network, None, Arc::new(Silent)).unwrap();
    let location = Location::new(format!("http://{address}/a/b/resolve/main/model.gguf").parse().unwrap());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(6).enable_all().build().unwrap();
    let mut group = c.benchmark_group("transfer");
    group.sample_size(10).throughput(Throughput::Bytes(FILE_LEN));
    group.bench_function("64 MiB from loopback", |b| {
        b.iter(|| {
            let job = Job {
                file: "model.gguf".into(),
                writer: Box::new(home.writer(key, FILE_LEN)),
                locations: vec![location.clone()],
                expected: None,
                source: Some(source().into()),
                check_head: None,
                as_whole: false,
                borrow: None,
            };
            let effort = TransferOptions { connections: Connections::default(), tries: 3 };
            runtime.block_on(transfer::run(&http, vec![job], effort, Arc::new(Silent), &CancellationToken::new())).unwrap()
        });
    });
    group.finish();
}

fn parsing(c: &mut Criterion) {
    let mut group = c.benchmark_group("parsing");
    let entry = |n: u64| {
        let quants: String = ["q4_k_m", "q5_k_m", "q8_0"]
            .map(|quant| {
                format!("        {quant}: {{file: m.{quant}.gguf, size: {n}, sha256: \"{}\"}}\n", sha256_of(&n.to_le_bytes()))
            })
            .concat();
        format!("  model-{n}:\n    huggingface_id: owner/model-{n}\n    formats:\n      gguf:\n{quants}")
    };
    let registry = format!("models:\n{}", (0..1000).map(entry).collect::<String>());
    group.bench_function("built-in registry", |b| b.iter(Registry::built_in));
    group.bench_function("registry of 1,000 models", |b| b.iter(|| Registry::parse(black_box(&registry), "models.yaml").unwrap()));

    let gguf = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/tiny.Q8_0.gguf")).unwrap();
    group.bench_function("GGUF header", |b| b.iter(|| GgufHeader::parse(black_box(&gguf), gguf.len() as u64).unwrap()));

    let home = Home::new();
    let data = random(MIB);
    let writer = home.writer(IngestKey::Sha256(sha256_of(&data)), MIB);
    writer.write_and_hash(0, &data).unwrap();
    let blob = writer.commit(None, source()).unwrap();
    group.bench_function("record of a blob, read", |b| b.iter(|| home.store.meta(&blob.digest).unwrap().unwrap()));

    // The claims are of a file of 2 MiB, which the reader finds out record by record, as it would of one of 16 GiB.
    let key = IngestKey::Sha256(sha256_of(b"a partial download"));
    let partial = home.writer(key, 2 * MIB);
    partial.write(0, &data).unwrap();
    drop(partial);
    let journal = home.store.layout().partial(&key).journal;
    let written = fs::read(&journal).unwrap();
    let (header, record) = (&written[..64], &written[64..128]);
    fs::write(&journal, [header, &record.repeat(16_384)].concat()).unwrap();
    group.bench_function("journal of 16,384 claims, read", |b| b.iter(|| home.store.held(&key, 2 * MIB).unwrap()));
    group.finish();
}

fn key(model: &str) -> ViewKey {
    ViewKey { model: model.parse().unwrap(), format: "safetensors".parse().unwrap(), quant: None }
}

fn views(c: &mut Criterion) {
    let home = Home::new();
    let digests = home.blobs(1000);
    let project = Project::register(&home.store, &home.models()).unwrap();
    let file = |(n, digest): (usize, &Sha256Digest)| ViewFile {
        path: format!("{}/{n}", n % 10).parse().unwrap(),
        sha256: *digest,
        size: 0,
    };
    let files: Vec<ViewFile> = digests.iter().enumerate().map(file).collect();
    let mut group = c.benchmark_group("views");
    group.sample_size(10);
    let mut made = 0;
    group.bench_function("a view of 1,000 files, built", |b| {
        b.iter_batched(
            || {
                made += 1;
                key(&format!("built-{made}"))
            },
            |key| home.views().build(&key, &files, LinkMode::Symlink, project.uuid()).unwrap(),
            BatchSize::PerIteration,
        );
    });
    let present = key("present");
    home.views().build(&present, &files, LinkMode::Symlink, project.uuid()).unwrap();
    group.bench_function("a view of 1,000 files, looked at again", |b| {
        b.iter(|| home.views().build(&present, &files, LinkMode::Symlink, project.uuid()).unwrap());
    });
    let listed = Home::new();
    let digests = listed.blobs(1000);
    for (n, digest) in digests.iter().enumerate() {
        let dir = listed.models().join(format!("model-{n}/gguf/q4_k_m"));
        fs::create_dir_all(&dir).unwrap();
        let target = Path::new("../../../.blobs/sha256").join(&digest.to_string()[..2]).join(digest.to_string());
        std::os::unix::fs::symlink(target, dir.join("a.gguf")).unwrap();
    }
    group.bench_function("1,000 models, listed", |b| b.iter(|| listed.views().scan(None).unwrap()));
    group.finish();
}

fn collection(c: &mut Criterion) {
    let home = Home::new();
    home.blobs(10_000);
    let mut group = c.benchmark_group("collection");
    group.sample_size(10).throughput(Throughput::Elements(10_000));
    let options = GcOptions { grace: Duration::ZERO, ..GcOptions::default() };
    group.bench_function("census of 10,000 blobs", |b| b.iter(|| home.store.plan_collection(options, SystemTime::now()).unwrap()));
    group.finish();
}

criterion_group!(rooms, hashing, writer, transfer, parsing, views, collection);
criterion_main!(rooms);
