#!/usr/bin/env python3
"""Times model-manager against what a user would type instead, on the same work, in one run.

    cargo build --release && python3 benches/compare.py [--gib 1] [--runs 5] [--dir DIR] [CASE ...]

Needs nginx and curl, and for the cases that name them openssl, aria2c and b3sum (Debian: nginx-light curl openssl aria2 b3sum).
A rival that is missing is said to be missing and its rows are left out. Every download's time includes `sync` of the file. The two
sides of a case run in turn, A B A B ..., and the ratio is the median of the pairs, so that a machine whose speed drifts does not
decide.
"""

import argparse
import hashlib
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOCK = 1 << 20
TOOLS = ("aria2c", "b3sum", "openssl", "sha256sum", "curl")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(command, **kwargs):
    """Runs a command; returns wall seconds, CPU seconds of it and its children, and its peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **kwargs)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command} failed with {process.returncode}:\n{error.decode(errors='replace')}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


class Bench:
    def __init__(self, options):
        self.options = options
        self.dir = Path(tempfile.mkdtemp(prefix="model-manager-bench-", dir=options.dir))
        os.chmod(self.dir, 0o755)
        self.binary = options.binary or ROOT / "target/release/model-manager"
        if not Path(self.binary).exists():
            sys.exit(f"{self.binary} is missing: cargo build --release")
        self.www = self.dir / "www"
        self.source = self.www / "bench/repo/resolve" / COMMIT / "model.Q4_0.gguf"
        self.source.parent.mkdir(parents=True)
        self.size = int(options.gib * (1 << 30))
        self.sha256 = self.make_file()
        self.port, self.slow_port = free_port(), free_port()
        self.start_nginx()
        self.url = f"http://127.0.0.1:{self.port}/bench/repo/resolve/{COMMIT}/{self.source.name}"
        self.rows = []

    def make_file(self):
        digest = hashlib.sha256()
        with open(self.source, "wb") as file:
            left = self.size
            while left:
                block = os.urandom(min(BLOCK, left))
                file.write(block)
                digest.update(block)
                left -= len(block)
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest()

    def start_nginx(self):
        run_dir = self.dir / "nginx"
        run_dir.mkdir()
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {run_dir}/{kind};" for kind in kinds)
        user = "user root;" if os.geteuid() == 0 else ""
        config = run_dir / "nginx.conf"
        config.write_text(f"""
{user} worker_processes 1; daemon on; pid {run_dir}/pid; error_log {run_dir}/error.log warn;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; tcp_nopush on; etag on; default_type application/octet-stream; {paths}
  server {{ listen 127.0.0.1:{self.port}; root {self.www}; }}
  server {{ listen 127.0.0.1:{self.slow_port}; root {self.www}; limit_rate 20m; }}
}}""")
        subprocess.run(["nginx", "-c", str(config)], check=True, stderr=subprocess.DEVNULL)

    def close(self):
        pid = self.dir / "nginx/pid"
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGTERM)
        if not self.options.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def project(self, name):
        project = self.dir / name
        shutil.rmtree(project, ignore_errors=True)
        (project / "configs").mkdir(parents=True)
        (project / "configs/models.yaml").write_text(
            f'models:\n  bench:\n    huggingface_id: bench/repo\n    revision: "{COMMIT}"\n    formats:\n      gguf:\n'
            f'        q4_0: {{file: {self.source.name}, size: {self.size}, sha256: "{self.sha256}"}}\n'
        )
        return project

    def ours(self, project, *arguments, port=None):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "HF_ENDPOINT": f"http://127.0.0.1:{port or self.port}"}
        return run([str(self.binary), *arguments], cwd=project, env=environment)

    def download(self, name="ours", *arguments, port=None):
        return self.ours(self.project(name), "download", "bench", "--quant", "q4_0", "--quiet", *arguments, port=port)

    def shell(self, line):
        target = self.dir / "rival"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        return run(["bash", "-c", f"set -e; {line}"], cwd=target)

    def pair(self, case, rival_name, ours, rival, reach="-"):
        words = rival_name.replace(";", " ").split()
        missing = [tool for tool in words if tool in TOOLS and not shutil.which(tool)]
        if missing:
            print(f"{case}: {', '.join(missing)} is not installed, row left out", file=sys.stderr)
            return
        results = [(ours(), rival()) for _ in range(self.options.runs)]
        median = statistics.median
        row = (
            case,
            rival_name,
            median(a[0] for a, _ in results),
            median(b[0] for _, b in results),
            median(a[0] / b[0] for a, b in results),
            reach,
            median(a[1] / b[1] if b[1] else 0 for a, b in results),
            max(a[2] for a, _ in results),
        )
        self.rows.append(row)
        print("  " + self.line(row), file=sys.stderr)

    @staticmethod
    def line(row):
        case, rival, ours, theirs, wall, reach, cpu, memory = row
        return f"| {case} | {rival} | {ours:.3f} s | {theirs:.3f} s | {wall:.2f} | {reach} | {cpu:.2f} | {memory:.0f} MB |"

    def print_table(self):
        machine = platform.processor() or platform.machine()
        print(f"\n{machine}, {os.cpu_count()} cores, Linux {platform.release()}, {self.size / (1 << 30):g} GiB, "
              f"{self.options.runs} pairs, {time.strftime('%Y-%m-%d')}\n")
        print("| case | rival | model-manager | rival | wall ratio | reach | CPU ratio | our peak memory |")
        print("|---|---|---|---|---|---|---|---|")
        for row in self.rows:
            print(self.line(row))


def case_download(bench):
    name = "download, verified, durable"
    url, sha256 = bench.url, bench.sha256
    bench.pair(name, "curl; openssl", bench.download, lambda: bench.shell(f"curl -s -o f {url}; openssl dgst -sha256 f; sync f"), "<= 0.8")
    bench.pair(name, "curl; sha256sum", bench.download, lambda: bench.shell(f"curl -s -o f {url}; sha256sum f; sync f"), "<= 0.4")
    aria = f"aria2c -q -x8 -s8 --checksum=sha-256={sha256} -o f {url}; sync f"
    bench.pair(name, "aria2c -x8", bench.download, lambda: bench.shell(aria), "<= 0.35")


def case_second(bench):
    store = bench.dir / "shared"
    shutil.rmtree(store, ignore_errors=True)
    bench.download("first", "--store", str(store))
    bench.pair(
        "second project, same store",
        "cp",
        lambda: bench.download("second", "--store", str(store)),
        lambda: bench.shell(f"cp {bench.source} f; sync f"),
    )
    again = ("download", "bench", "--quant", "q4_0", "--quiet", "--store", str(store))
    bench.pair("the same again, nothing to do", "true", lambda: bench.ours(bench.dir / "second", *again), lambda: bench.shell("true"))


def case_verify(bench):
    bench.download("verify")
    verify = lambda: bench.ours(bench.dir / "verify", "verify", "--quiet")
    for tool, command, reach in (
        ("openssl", "openssl dgst -sha256", "<= 0.5"),
        ("sha256sum", "sha256sum", "<= 0.12"),
        ("b3sum", "b3sum", "<= 1.1"),
    ):
        bench.pair("verify, page cache warm", tool, verify, lambda: bench.shell(f"{command} {bench.source}"), reach)


def case_adopt(bench):
    def adopt():
        project = bench.project("adopt")
        target = project / "models/bench/gguf/q4_0" / bench.source.name
        target.parent.mkdir(parents=True)
        os.link(bench.source, target)
        return bench.ours(project, "download", "bench", "--quant", "q4_0", "--quiet", "--offline")

    rival = f"cp {bench.source} f; openssl dgst -sha256 f; sync f"
    bench.pair("taking in a local file", "cp; openssl", adopt, lambda: bench.shell(rival), "<= 0.9")


def case_limited(bench):
    bench.pair(
        "20 MiB/s a connection: 8 connections",
        "one connection",
        lambda: bench.download("eight", port=bench.slow_port),
        lambda: bench.download("one", "--connections", "1", port=bench.slow_port),
        "<= 0.133",
    )


def case_start(bench):
    project = bench.project("start")
    bench.pair("--version", "true", lambda: bench.ours(project, "--version"), lambda: run(["true"]))


CASES = {name.removeprefix("case_"): function for name, function in list(globals().items()) if name.startswith("case_")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; without one, all but `limited`")
    parser.add_argument("--gib", type=float, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dir", help="where to work: the file system that is measured")
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--keep", action="store_true", help="leave the working folder")
    options = parser.parse_args()
    for tool in ("nginx", "curl"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed")
    for name in options.cases:
        if name not in CASES:
            sys.exit(f"no case `{name}`; there are {', '.join(CASES)}")
    bench = Bench(options)
    try:
        for name in options.cases or [name for name in CASES if name != "limited"]:
            print(f"{name} ...", file=sys.stderr)
            CASES[name](bench)
        bench.print_table()
    finally:
        bench.close()


if __name__ == "__main__":
    main()
