"""The cases: one function each, run by name. What each is for and what limits it stands in benches/README.md."""

import hashlib
import os
import shutil
import signal
import struct
import subprocess
import time

from .borrow import case_borrow
from .measure import Failed, peak, run
from .world import COMMIT, MIB, ROOT

RECORD = 64


def needs(bench, *tools):
    """Whether these programs are there; the table says so where one is not."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        bench.table.skip(f"{', '.join(missing)} not installed")
    return not missing


def needs_hf(bench, venv="hf"):
    if not bench.world.has_hf(venv):
        bench.table.skip(f"the `{venv}` environment is missing (--install)")
        return False
    return True


def case_download(bench):
    world, table = bench.world, bench.table
    file = world.file(bench.bytes)
    ours, url = lambda: world.download(file), world.url(file)
    name = "verified and durable"
    rival = lambda line: lambda: world.shell(f"{line}; sync f")
    if needs(bench, "openssl"):
        table.pair(name, "curl; openssl; sync", ours, rival(f"curl -sf -o f {url}; openssl dgst -sha256 f"), 0.8, cpu_reach=1.3)
    table.pair(name, "curl; sha256sum; sync", ours, rival(f"curl -sf -o f {url}; sha256sum f"), 0.4)
    if needs(bench, "aria2c"):
        line = f"aria2c -q -x8 -s8 --checksum=sha-256={file.sha256} -o f {url}"
        table.pair(name, "aria2c -x8; sync", ours, rival(line), 0.35)


def case_hub(bench):
    world, table = bench.world, bench.table
    file = world.file(bench.bytes)
    words = f"download bench/repo {file.path.name}"
    ours = lambda: world.download(file, port=world.hub)
    sync = f"; sync $HF_HOME/hub/models--bench--repo/blobs/*"
    if needs_hf(bench):
        table.pair("through a Hub", "hf download, HTTP; sync", ours, lambda: world.hf(words + sync, HF_HUB_DISABLE_XET="1"), 0.5)
    if needs_hf(bench, "hf-transfer"):
        theirs = lambda: world.hf(words + sync, venv="hf-transfer", HF_HUB_DISABLE_XET="1", HF_HUB_ENABLE_HF_TRANSFER="1")
        table.pair("through a Hub", "hf download, hf_transfer; sync", ours, theirs, 0.5)


def case_limit(bench):
    """The slowest of what cannot be avoided, each alone on an idle machine."""
    world, table = bench.world, bench.table
    file = world.file(bench.bytes)
    if not needs(bench, "openssl"):
        return
    parts = {
        "openssl dgst -sha256": f"openssl dgst -sha256 {file.path}",
        "curl": f"curl -sf -o f {world.url(file)}",
        "dd conv=fsync": f"dd if={file.path} of=f bs=1M conv=fsync status=none",
    }
    for name, line in parts.items():
        table.figure(f"{name} alone", min(world.shell(line, memory=file.size).wall for _ in range(bench.runs)), "s")

    def slowest():
        return max((world.shell(line, memory=file.size) for line in parts.values()), key=lambda took: took.wall)

    ours = (lambda: world.fresh(file), lambda project: world.ours(project, "download", "bench:q0", "--quiet"))
    table.pair("against the slowest of the three", "the limit", ours, slowest, 1.15)


def case_connections(bench):
    world, table = bench.world, bench.table
    file = world.file(min(bench.bytes, 1 << 30))
    # Not nginx's own limit: that begins anew, with a second's bytes at once, at each request.
    port = world.shape(world.fast, 0, each_mbit=160)
    eight = lambda: world.download(file, port=port)
    one = lambda: world.download(file, "--connections", "1", port=port, name="one")
    table.pair("20 MB/s a connection, 8 connections", "1 connection", eight, one, 1 / 7.5)


def case_delay(bench):
    world, table = bench.world, bench.table
    if not needs(bench, "aria2c"):
        return
    scale = 8 if bench.quick else 1
    for mbit, loss, mib in ((100, 0.0, 128), (1000, 0.0, 1024), (100, 0.01, 48), (1000, 0.01, 48)):
        file = world.file(mib * MIB // scale)
        port = world.shape(world.fast, 50, mbit, loss)
        # By itself it uses one connection for each 20 MB; told so, all eight.
        line = f"aria2c -q -x8 -s8 -k1M --checksum=sha-256={file.sha256} -o f {world.url(file, port)}; sync f"
        what = f"{mbit} Mbit/s, 50 ms round trip, {loss:.0%} loss, {mib // scale} MiB"
        rival = "aria2c -x8 -k1M; sync"
        table.pair(what, rival, lambda: world.download(file, port=port), lambda: world.shell(line), 1.0)
        if loss and mbit == 100:
            eight = lambda: world.download(file, "--connections", "8", port=port)
            table.pair(f"{what}, --connections 8", rival, eight, lambda: world.shell(line))


def case_small(bench):
    world, table = bench.world, bench.table
    if not needs_hf(bench):
        return
    count = 20 if bench.quick else 200
    world.small_files("bench/small", count)
    port = world.shape(world.hub, 20)

    def ours():
        project = world.project("small", keep_old=True)
        (project / "configs/models.yaml").write_text(
            'models:\n  small:\n    huggingface_id: bench/small\n    formats:\n      safetensors: {include: ["**"]}\n')
        return world.ours(project, "download", "small", "--quiet", port=port)

    theirs = lambda: world.hf("download bench/small", port=port, keep_old=True, HF_HUB_DISABLE_XET="1")
    table.pair(f"{count} small files, 20 ms round trip", "hf download (syncs nothing)", ours, theirs, 0.3)


def case_resume(bench):
    world, table = bench.world, bench.table
    file = world.file(bench.bytes)
    # One record in seventeen notes how far the hash came.
    enough = int(file.size // MIB * 0.9 * 17 / 16) * RECORD

    def interrupted():
        project = world.project("resume", file)
        environment = {"PATH": os.environ["PATH"], "HOME": str(project / ".home"), "HF_ENDPOINT": f"http://127.0.0.1:{world.fast}"}
        rate = f"{max(file.size // 4, 8 * MIB)}"
        words = [str(world.binary), "download", "bench:q0", "--quiet", "--limit-rate", rate]
        child = subprocess.Popen(words, cwd=project, env=environment, stdout=subprocess.DEVNULL)
        journal = project / "models/.blobs/ingest" / file.sha256 / "journal"
        while child.poll() is None and not (journal.exists() and journal.stat().st_size >= enough):
            time.sleep(0.005)
        if child.poll() is not None:
            raise Failed("the download ended before it could be interrupted")
        child.send_signal(signal.SIGKILL)
        child.wait()
        world.have_memory(file.size)
        return project

    again = lambda project: world.ours(project, "download", "bench:q0", "--quiet")
    table.pair("killed at 90 %, run again", "a fresh start", (interrupted, again), (lambda: world.fresh(file), again), 0.2)


def case_second(bench):
    world, table = bench.world, bench.table
    file = world.file(min(bench.bytes, 1 << 28))
    store = world.dir / "shared"
    words = ("--store", str(store), "--offline")
    world.download(file, "--store", str(store), name="first")
    ours = (lambda: world.project("second", file, keep_old=True), lambda project: world.ours(project, "download", "bench:q0", "--quiet", *words))
    if needs_hf(bench):
        line = f"download bench/repo {file.path.name} --revision {COMMIT}"
        world.hf(line, HF_HUB_DISABLE_XET="1")
        theirs = lambda: world.hf(line, keep=True, HF_HUB_DISABLE_XET="1")
        table.pair("a second project, offline: no request", "hf download, cached", ours, theirs, 0.03)
        again = lambda: world.ours(world.dir / "second", "download", "bench:q0", "--quiet", *words)
        table.pair("the same again, nothing to do", "hf download, cached", again, theirs, 0.03)
    took = min((ours[1](ours[0]()) for _ in range(5 * bench.runs)), key=lambda took: took.wall)
    table.figure("a second project, best", took.wall * 1e3, "ms", 20)


def case_known(bench):
    """What another store of the same user has, on one volume."""
    world, table = bench.world, bench.table
    count, home = (100 if bench.quick else 1000), world.dir / "home"
    content = [f"weights {n}\n".encode() * (1 + n % 40) for n in range(count)]
    line = lambda n, data: f'          - {{path: part-{n}, size: {len(data)}, sha256: "{hashlib.sha256(data).hexdigest()}"}}\n'
    files = "".join(line(n, data) for n, data in enumerate(content))
    registry = f'models:\n  many:\n    huggingface_id: bench/many\n    revision: "{COMMIT}"\n    formats:\n      safetensors:\n        files:\n{files}'

    def project(name, keep_old=False):
        project = world.project(name, keep_old=keep_old)
        (project / "configs/models.yaml").write_text(registry)
        return project

    first = project("known-first")
    (first / "models/many/safetensors").mkdir(parents=True)
    for n, data in enumerate(content):
        (first / f"models/many/safetensors/part-{n}").write_bytes(data)
    world.ours(first, "download", "many", "--quiet", "--offline", home=home)
    store = first / "models/.blobs"
    ours = lambda project: world.ours(project, "download", "many", "--quiet", "--offline", home=home)
    alone = lambda project: world.ours(project, "download", "many", "--quiet", "--offline", "--store", str(store), home=home)
    sides = (lambda: project("known-second", keep_old=True), ours), (lambda: project("known-view", keep_old=True), alone)
    table.pair(f"{count:,} small files from a known store", "the view alone", *sides, 4)

    file = world.file(bench.bytes)
    holder = world.project("known-large", file)
    world.ours(holder, "download", "bench:q0", "--quiet", home=home)
    sides = (lambda: world.project("known-copy", file), lambda project: world.ours(project, "download", "bench:q0", "--quiet", "--offline", home=home))
    verify = lambda: world.ours(holder, "verify", "--quiet", home=home)
    verify()
    table.pair("one large file from a known store", "verify", sides, verify)
    if needs(bench, "openssl"):
        table.pair("one large file from a known store", "openssl dgst", sides, lambda: world.shell(f"openssl dgst -sha256 {file.path}"), 1.1)


def case_apps(bench):
    """What other applications have: scanned, taken over, shown and taken back."""
    world, table = bench.world, bench.table
    count, few = (100, 25) if bench.quick else (1000, 250)
    home = world.dir / "apps-home"
    folder = home / ".lmstudio/models"

    def fill(folder, count, name):
        for n in range(count):
            path = folder / f"owner-{n % 20}/{name}-{n}/{name}-{n}.Q4_0.gguf"
            path.parent.mkdir(parents=True)
            # A header of version 3 without tensors and keys.
            path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + f"{name} {n}\n".encode() * 400)

    fill(folder, count, "bird")
    ours = lambda project, *words: world.ours(project, *words, home=home)
    project = world.project("apps")
    ours(project, "apps")
    # The start of a process is no part of a scan.
    floor = min(ours(project, "--version").wall for _ in range(3 * bench.runs))
    took = min(ours(project, "apps", "--json").wall for _ in range(3 * bench.runs)) - floor
    table.figure(f"scan of {count:,} files, best", took * 1e3, "ms", 50)

    # Linear: four times as many models take four times as long.
    def shown(count):
        project = world.project(f"apps-{count}", keep_old=True)
        disk, to = world.dir / f"apps-disk-{count}", world.dir / f"apps-to-{count}"
        fill(disk, count, "crow")
        to.mkdir()
        ours(project, "adopt", "--scan", str(disk), "--quiet")
        names = [f"crow-{n}" for n in range(count)]
        expose = ours(project, "expose", *names, "--to", str(to)).wall
        return expose, ours(project, "unexpose", "--from", str(to)).wall

    (expose, unexpose), (expose_few, unexpose_few) = shown(count), shown(few)
    table.figure(f"expose of {count:,} models", expose, "s")
    table.figure(f"unexpose of {count:,} models", unexpose, "s")
    table.figure(f"expose: {count:,} models against {count // few} times {few}", expose / expose_few / (count / few), "x", 1.5)
    table.figure(f"unexpose: {count:,} models against {count // few} times {few}", unexpose / unexpose_few / (count / few), "x", 1.5)

    file = world.file(bench.bytes)
    source = world.dir / "adopted.Q4_0.gguf"
    shutil.copyfile(file.path, source)
    take = (lambda: world.project("apps-large", keep_old=True), lambda project: ours(project, "adopt", str(source), "--quiet"))
    table.pair("one large file, shared", "sha256sum", take, lambda: world.shell(f"sha256sum {source}"), 1.1)
    if needs(bench, "openssl"):
        table.pair("one large file, shared", "openssl dgst", take, lambda: world.shell(f"openssl dgst -sha256 {source}"), 1.2)
    free = lambda: os.statvfs(world.dir).f_bavail * os.statvfs(world.dir).f_frsize
    os.sync()
    before, project = free(), world.project("apps-room", keep_old=True)
    ours(project, "adopt", str(source), "--quiet")
    os.sync()
    table.figure("the same: bytes that it takes on the volume", (before - free()) / MIB, "MiB", 1)


def case_verify(bench):
    world, table = bench.world, bench.table
    file = world.file(bench.bytes)
    world.download(file, name="verify")
    verify = lambda: world.ours(world.dir / "verify", "verify", "--quiet")
    # Both sides read from the page cache, whatever ran before.
    verify()
    for tool, command, reach in (("openssl", "openssl dgst -sha256", 0.5), ("sha256sum", "sha256sum", 0.12), ("b3sum", "b3sum", 1.1)):
        if needs(bench, tool):
            world.shell(f"{command} {file.path}")
            table.pair("page cache warm", tool, verify, lambda: world.shell(f"{command} {file.path}"), reach)


def case_takein(bench):
    world, table = bench.world, bench.table
    file = world.file(bench.bytes)
    if not needs(bench, "openssl"):
        return

    def placed(above):
        """The file stands where the view's file belongs, and has another name, so that its inode cannot be taken."""
        source = above / "local.gguf"
        if not source.exists():
            shutil.copyfile(file.path, source)
        source.chmod(0o644)

        def prepare():
            project = world.project("takein", file, above=above)
            target = project / "models/bench/gguf/q0" / file.path.name
            target.parent.mkdir(parents=True)
            os.link(source, target)
            return project

        return prepare

    adopt = lambda project: world.ours(project, "download", "bench:q0", "--quiet", "--offline")
    here = placed(world.dir)
    line = f"cp {world.dir}/local.gguf f; openssl dgst -sha256 f; sync f"
    table.pair("copied in", "cp; openssl; sync", (here, adopt), lambda: world.shell(line), 0.9)
    mounted = world.mount_xfs()
    if mounted is None:
        return table.skip("no reflink file system: root and xfsprogs are needed")
    there = placed(mounted)
    table.pair("reflinked in (xfs)", "openssl", (there, adopt), lambda: world.shell(f"openssl dgst -sha256 {mounted}/local.gguf"), 1.2)


def case_tree(bench):
    world, table = bench.world, bench.table
    blobs, names = (10, 10) if bench.quick else (100, 100)
    tree, store, lines = world.dir / "tree", world.dir / "tree-store", []
    first = world.project("tree-first")
    content = [f"weights {n}\n".encode() for n in range(blobs)]
    for folder in range(names):
        (tree / f"layer-{folder}").mkdir(parents=True)
        for n, data in enumerate(content):
            (tree / f"layer-{folder}/part-{n}").write_bytes(data)
            lines.append(f'{{path: layer-{folder}/part-{n}, size: {len(data)}, sha256: "{hashlib.sha256(data).hexdigest()}"}}')
    registry = lambda lines: ('models:\n  tree:\n    huggingface_id: bench/tree\n    revision: "%s"\n    formats:\n      safetensors:\n'
                              "        files:\n%s" % (COMMIT, "".join(f"          - {line}\n" for line in lines)))
    (first / "configs/models.yaml").write_text(registry(lines[:blobs]))
    shutil.copytree(tree / "layer-0", first / "models/tree/safetensors/layer-0")
    world.ours(first, "download", "tree", "--quiet", "--offline", "--store", str(store))

    def prepare():
        project = world.project("tree-view", keep_old=True)
        (project / "configs/models.yaml").write_text(registry(lines))
        return project

    ours = lambda project: world.ours(project, "download", "tree", "--quiet", "--offline", "--store", str(store))
    count = blobs * names
    what, copy = f"a view of {count:,} files, with records, durable", f"cp -rs {tree} t"
    table.pair(what, "cp -rs", (prepare, ours), lambda: world.shell(copy, keep_old=True), 2)
    table.pair(what, "cp -rs; sync -f", (prepare, ours), lambda: world.shell(f"{copy}; sync -f t", keep_old=True))


def fill(world, name, blobs, models):
    """A project with so many empty blobs under made-up names, and so many views of one file."""
    project = world.project(name)
    world.ours(project, "init")
    store = project / "models/.blobs"
    digests = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(blobs)]
    for digest in digests:
        os.close(os.open(store / "sha256" / digest[:2] / digest, os.O_CREAT | os.O_WRONLY, 0o444))
    for n, digest in enumerate(digests[:models]):
        folder = project / f"models/model-{n}/gguf/q4_k_m"
        folder.mkdir(parents=True)
        (folder / "a.gguf").symlink_to(f"../../../.blobs/sha256/{digest[:2]}/{digest}")
    return project


def case_list(bench):
    world, table = bench.world, bench.table
    blobs, models = (1000, 100) if bench.quick else (100_000, 1000)
    project = fill(world, "list", blobs, models)
    ours = lambda: world.ours(project, "list")
    what = f"{models:,} models, {blobs:,} blobs"
    if needs_hf(bench):
        world.hf(f"download bench/repo {world.file(MIB).path.name}", HF_HUB_DISABLE_XET="1")
        table.pair(what, "hf cache ls, one repository", ours, lambda: world.hf("cache ls", keep=True), 0.06)
    table.figure(f"{what}, best", min(ours().wall for _ in range(5 * bench.runs)) * 1e3, "ms", 30)


def case_gc(bench):
    world, table = bench.world, bench.table
    each = {}
    for blobs in (1000, 10_000) if bench.quick else (100_000, 1_000_000):
        project = fill(world, f"gc-{blobs}", blobs, 0)
        took = min((world.ours(project, "gc", "--dry-run", "--grace", "0") for _ in range(max(bench.runs, 2))), key=lambda took: took.wall)
        each[blobs] = took.wall * 1e6 / blobs
        table.figure(f"--dry-run, {blobs:,} blobs", each[blobs], "us a blob", 10)
        shutil.rmtree(project)
    few, many = sorted(each)
    table.figure(f"a blob of {many:,} against one of {few:,}: linear", each[many] / each[few], "x", 1.25)
    scale = ROOT / "target/release/examples/scale"
    if not scale.exists():
        return table.skip("examples/scale is not built: cargo build --release --example scale")
    sizes = ["1000", "100", "10"] if bench.quick else ["100000", "10000", "1000"]
    output = subprocess.run([str(scale), *sizes], stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(world.dir)}).stdout
    for start, what, reach in (("plan of a collection", "census, with roots", 2000), ("longest exclusive section", "longest exclusive section", 50)):
        line = next((line for line in output.splitlines() if line.startswith(start)), None)
        if line is None:
            raise Failed(f"examples/scale says nothing of the {start}:\n{output}")
        table.figure(f"{what} ({sizes[0]} blobs, {sizes[1]} roots)", float(line.split(" ms")[0].split()[-1]), "ms", reach)


def case_memory(bench):
    """Sparse sources: the server reads holes, and what arrives is written and hashed like any other bytes."""
    world, table = bench.world, bench.table
    few, many = (1 << 26, 1 << 28) if bench.quick else (1 << 30, 16 << 30)
    peaks = []
    # Not every run comes to use all buffers at once, so of the shorter ones the highest peak of several counts.
    for size, runs in ((few, 2 * bench.runs), (many, 1)):
        file = world.file(size, sparse=True)
        once = lambda: world.ours(world.project("memory", file), "download", "bench:q0", "--quiet", measure=peak)
        peaks.append(max(once() for _ in range(runs)))
        shutil.rmtree(world.dir / "memory")
        table.figure(f"peak while {size / (1 << 30):g} GiB arrive", peaks[-1], "MB", 64)
    table.figure("the larger file's peak against the smaller's", peaks[1] / peaks[0], "x", 1.1)


def case_start(bench):
    world, table = bench.world, bench.table
    project = world.project("start")
    times = lambda work: min(work().wall for _ in range(20 * bench.runs)) * 1e3
    version = lambda: run([str(world.binary), "--version"])
    table.figure("--version, best", times(version), "ms", 3)
    table.figure("`true`, best: what starting any process costs here", times(lambda: run(["true"])), "ms")
    file = world.file(MIB)
    present = lambda where: lambda: world.ours(where, "download", "bench:q0", "--quiet", "--offline")
    world.download(file, name="start")
    empty = times(present(project))
    full = fill(world, "start-full", 1000 if bench.quick else 100_000, 0)
    shutil.copy(project / "configs/models.yaml", full / "configs/models.yaml")
    world.ours(full, "download", "bench:q0", "--quiet")
    table.figure("a present model, small store, best", empty, "ms")
    table.figure("the same in a store of many blobs against that", times(present(full)) / empty, "x", 1.2)


CASES = {name.removeprefix("case_"): function for name, function in list(globals().items()) if name.startswith("case_")}
