"""Where a comparison happens: files, an nginx that serves them as a Hub and its storage would, projects, rivals."""

import atexit
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from .measure import Failed, run

ROOT = Path(__file__).resolve().parent.parent.parent
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MIB = 1 << 20
# Pinned, so that two runs meet the same rivals. 0.36 is the last line that takes hf_transfer.
VENVS = {"hf": ["huggingface_hub==2.4.0"], "hf-transfer": ["huggingface_hub==0.36.0", "hf_transfer==0.1.9"]}
PACKAGES = ["nginx-light", "curl", "openssl", "aria2", "b3sum", "hyperfine", "xfsprogs"]


def install():
    """Gets the rivals from the package registries; Python ones into folders under target/."""
    policy = Path("/usr/sbin/policy-rc.d")
    fresh = not policy.exists()
    if fresh:
        # Debian starts a server when it is installed; ours is started below, with its own configuration.
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES], check=True,
                       env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    finally:
        if fresh:
            policy.unlink()
    for name, packages in VENVS.items():
        folder = ROOT / "target/bench-venvs" / name
        subprocess.run(["python3", "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin/pip"), "install", "-q", *packages], check=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class File:
    """A file that is served, and what is known about it."""

    def __init__(self, path, size, sha256, git_sha1=None):
        self.path, self.size, self.sha256, self.git_sha1 = path, size, sha256, git_sha1


class World:
    def __init__(self, options):
        self.options = options
        self.dir = Path(tempfile.mkdtemp(prefix="model-manager-bench-", dir=options.dir))
        os.chmod(self.dir, 0o755)
        self.binary = Path(options.binary or ROOT / "target/release/model-manager").resolve()
        self.www = self.dir / "www"
        self.www.mkdir()
        self.files = {}
        self.aside = 0
        self.children = []
        self.mounts = []
        self.fast, self.hub = (free_port() for _ in range(2))
        # Where the Hub sends those who want a large file.
        self.storage = self.fast
        self.etags = {}
        self.links = {}
        self.start_nginx()

    # Files and servers.

    def path(self, repo, name):
        return self.www / repo / "resolve" / COMMIT / name

    def file(self, size, sparse=False):
        """A file of random bytes (or of holes) in the repository `bench/repo`; made once for each size."""
        key = (size, sparse)
        if key not in self.files:
            path = self.path("bench/repo", f"{'sparse' if sparse else 'model'}-{size}.Q4_0.gguf")
            path.parent.mkdir(parents=True, exist_ok=True)
            digest, left = hashlib.sha256(), size
            with open(path, "wb") as file:
                while left:
                    block = bytes(min(MIB, left)) if sparse else os.urandom(min(MIB, left))
                    if not sparse:
                        file.write(block)
                    digest.update(block)
                    left -= len(block)
                file.truncate(size)
                file.flush()
                os.fsync(file.fileno())
            self.files[key] = File(path, size, digest.hexdigest())
            self.publish("bench/repo", [file for (_, holes), file in self.files.items() if not holes], large=True)
        return self.files[key]

    def small_files(self, repo, count):
        """Configurations and vocabularies: 300 bytes to 60 kB."""
        source, files = random.Random(1), []
        for n in range(count):
            path = self.path(repo, f"part-{n % 10}/config-{n}.json")
            path.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps({"n": n, "text": source.randbytes(source.choice([150, 1500, 30000])).hex()}).encode()
            path.write_bytes(content)
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            files.append(File(path, len(content), hashlib.sha256(content).hexdigest(), git))
        self.publish(repo, files, large=False)
        return files

    def publish(self, repo, files, large):
        """Writes the answers of the Hub's API, and tells nginx the tags of the files."""
        api = self.www / "api/models" / repo
        for folder in ("revision", "tree"):
            (api / folder).mkdir(parents=True, exist_ok=True)
        base = self.www / repo / "resolve" / COMMIT
        names = [str(file.path.relative_to(base)) for file in files]
        about = {"_id": "0" * 24, "id": repo, "modelId": repo, "sha": COMMIT, "private": False, "gated": False, "disabled": False, "downloads": 0,
                 "likes": 0, "tags": [], "siblings": [{"rfilename": name} for name in names]}
        tree = []
        for name, file in zip(names, files):
            entry = {"type": "file", "oid": file.git_sha1 or "0" * 40, "size": file.size, "path": name}
            if large:
                entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 135}
            tree.append(entry)
            for revision in ("main", COMMIT):
                address = f"/{repo}/resolve/{revision}/{name}"
                if large:
                    self.links[address] = (file.sha256, file.size, f"http://127.0.0.1:{self.storage}/{repo}/resolve/{COMMIT}/{name}")
                else:
                    self.etags[address] = file.git_sha1
        for revision in ("main", COMMIT):
            (api / "revision" / revision).write_text(json.dumps(about))
            (api / "tree" / revision).write_text(json.dumps(tree))
        main = self.www / repo / "resolve/main"
        if not main.exists():
            main.symlink_to(COMMIT)
        self.reload()

    def write_config(self):
        folder = self.dir / "nginx"
        folder.mkdir(exist_ok=True)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        user = "user root;" if os.geteuid() == 0 else ""
        tags = "".join(f"{address} '\"{tag}\"';\n" for address, tag in self.etags.items())
        linked = ["".join(f"{address} '{value[at]}';\n" for address, value in self.links.items()) for at in range(3)]
        maps = "".join(f"map $uri ${name} {{ default ''; {lines} }}\n" for name, lines in
                       (("own_tag", tags), ("linked_tag", linked[0]), ("linked_size", linked[1]), ("storage", linked[2])))
        (folder / "nginx.conf").write_text(f"""
{user} worker_processes 1; daemon on; pid {folder}/pid; error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream; {paths}
  keepalive_requests 100000; map_hash_max_size 65536; map_hash_bucket_size 256;
  {maps}
  log_format sent '$body_bytes_sent';
  server {{ listen 127.0.0.1:{self.fast}; root {self.www}; access_log {folder}/sent sent; }}
  server {{
    listen 127.0.0.1:{self.hub}; root {self.www}; etag off;
    location /api/ {{ default_type application/json; }}
    location / {{
      add_header X-Repo-Commit {COMMIT} always; add_header X-Linked-Size $linked_size always;
      add_header X-Linked-Etag $linked_tag always; add_header ETag $own_tag always; add_header Accept-Ranges bytes always;
      if ($storage) {{ return 302 $storage; }}
    }}
  }}
}}""")
        return folder / "nginx.conf"

    def start_nginx(self):
        config = self.write_config()
        result = subprocess.run(["nginx", "-c", str(config)], stderr=subprocess.PIPE)
        if result.returncode:
            raise Failed(f"nginx does not start: {result.stderr.decode()}")

    def reload(self):
        subprocess.run(["nginx", "-s", "reload", "-c", str(self.write_config())], check=True, stderr=subprocess.DEVNULL)

    def sent(self):
        """Bytes of bodies that the storage sent since they were last forgotten."""
        return sum(map(int, (self.dir / "nginx/sent").read_text().split())) - self.forgotten

    def forget_sent(self):
        self.forgotten = 0
        self.forgotten = self.sent()

    def shape(self, port, rtt_ms, mbit=None, loss=0.0, each_mbit=None):
        """The port of a proxy in front of `port` that makes it far away; see src/shape.rs."""
        program = ROOT / "target/release/shape"
        if not program.exists():
            raise Failed(f"{program} is missing: cargo build --release -p model-manager-benches")
        command = [str(program), "--to", f"127.0.0.1:{port}", "--rtt-ms", str(rtt_ms), "--loss", str(loss)]
        command += ["--mbit", str(mbit)] if mbit else []
        command += ["--each-mbit", str(each_mbit)] if each_mbit else []
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.children.append(child)
        return int(child.stdout.readline().rsplit(":", 1)[1])

    def mount_xfs(self):
        """A reflink file system in a file, or None where it cannot be mounted."""
        image, folder = self.dir / "xfs.img", self.dir / "xfs"
        if os.geteuid() != 0 or not shutil.which("mkfs.xfs"):
            return None
        folder.mkdir()
        with open(image, "wb") as file:
            file.truncate(max(4 * self.options.bytes, 1 << 30))
        subprocess.run(["mkfs.xfs", "-q", "-f", "-m", "reflink=1", str(image)], check=True)
        if subprocess.run(["mount", "-o", "loop", str(image), str(folder)], stderr=subprocess.DEVNULL).returncode:
            return None
        self.mounts.append(folder)
        return folder

    def close(self):
        for child in self.children:
            child.stdin.close()
            child.wait()
        for folder in self.mounts:
            subprocess.run(["umount", str(folder)], check=False)
        pid = self.dir / "nginx/pid"
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGTERM)
        if self.options.keep:
            return
        # Large files go at once, the many small ones when all cases have ended: see set_aside.
        for folder, _, names in os.walk(self.dir):
            for path in (Path(folder, name) for name in names):
                if not path.is_symlink() and path.stat().st_size > MIB:
                    path.unlink()
        atexit.register(shutil.rmtree, self.dir, ignore_errors=True)

    # Our side.

    def set_aside(self, folder):
        """Takes a folder out of the way without removing it: ext4 makes files slowly for minutes after many were removed."""
        if folder.exists():
            self.aside += 1
            folder.rename(self.dir / f"aside-{self.aside}")

    def project(self, name, *files, above=None, keep_old=False):
        """A fresh project whose registry knows these files of `bench/repo` as `bench:q0`, `bench:q1` and so on."""
        project = (above or self.dir) / name
        if keep_old:
            self.set_aside(project)
        shutil.rmtree(project, ignore_errors=True)
        (project / "configs").mkdir(parents=True)
        one = lambda file: f'{{file: {file.path.name}, size: {file.size}, sha256: "{file.sha256}"}}'
        quants = "".join(f"        q{n}: {one(file)}\n" for n, file in enumerate(files))
        if files:
            (project / "configs/models.yaml").write_text(
                f'models:\n  bench:\n    huggingface_id: bench/repo\n    revision: "{COMMIT}"\n    formats:\n      gguf:\n{quants}')
        return project

    def have_memory(self, size):
        """Writes a file and removes it. The host of a virtual machine takes back memory that is free for a second, and each page then costs
        several times what it does else: a case that waits before its runs does this before each of them."""
        os.sync()
        path, block = self.dir / "memory", bytes(MIB)
        with open(path, "wb") as file:
            for _ in range(size // MIB):
                file.write(block)
        path.unlink()

    def fresh(self, file):
        """A fresh project for a download that begins with memory to write to."""
        project = self.project("fresh", file)
        self.have_memory(file.size)
        return project

    def ours(self, project, *words, port=None, measure=run, home=None):
        """Runs the program in a project. Each project has a home of its own unless `home` says otherwise: what another project's store has
        would not be downloaded."""
        home = home or Path(project) / ".home"
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HF_ENDPOINT": f"http://127.0.0.1:{port or self.fast}"}
        return measure([str(self.binary), *words], cwd=project, env=environment)

    def download(self, file, *words, port=None, name="ours"):
        return self.ours(self.project(name, file), "download", "bench:q0", "--quiet", *words, port=port)

    # Their side.

    def shell(self, line, keep_old=False, memory=0, **environment):
        """Runs a line in an empty folder; with `memory` it begins with so many bytes of memory to write to."""
        target = self.dir / "rival"
        if keep_old:
            self.set_aside(target)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        if memory:
            self.have_memory(memory)
        return run(["bash", "-c", f"set -e; {line}"], cwd=target, env={**os.environ, **environment})

    def url(self, file, port=None):
        return f"http://127.0.0.1:{port or self.fast}/{file.path.relative_to(self.www)}"

    def hf(self, line, port=None, venv="hf", keep=False, **environment):
        """The Hub's own client, with its cache beside the work; the cache is new unless it is kept."""
        home = self.dir / f"home-{venv}"
        if environment.get("keep_old") and not keep:
            self.set_aside(home)
        elif not keep:
            shutil.rmtree(home, ignore_errors=True)
        command = ROOT / "target/bench-venvs" / venv / "bin/hf"
        return self.shell(f"{command} {line}", HF_HOME=str(home), HF_ENDPOINT=f"http://127.0.0.1:{port or self.hub}",
                          HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_UPDATE_CHECK="1", HF_HUB_DISABLE_PROGRESS_BARS="1", **environment)

    def has_hf(self, venv="hf"):
        return (ROOT / "target/bench-venvs" / venv / "bin/hf").exists()
