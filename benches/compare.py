#!/usr/bin/env python3
"""Times model-manager against what a user would type instead, on the same work, in one run.

    python3 benches/compare.py --install                     # once: the rivals, from the package registries
    cargo build --release && cargo build --release -p model-manager-benches && cargo build --release --example scale
    python3 benches/compare.py [CASE ...]                    # prints the table
    python3 benches/compare.py --markdown [CASE ...]         # and writes it into benches/README.md
    python3 benches/compare.py --quick                       # small sizes: only to see that the harness works

A rival that is missing is said to be missing and its rows are left out. The time of every download includes `sync` of its file. The two
sides of a pair run in turn, A B A B ..., and the ratio is the median of the pairs, so that a machine whose speed drifts does not decide.
"""

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from side.cases import CASES
from side.measure import Failed, Table
from side.world import World, install

README = Path(__file__).resolve().parent / "README.md"
BEGIN, END = "<!-- results of compare.py: begin -->", "<!-- results of compare.py: end -->"


class Bench:
    """What a case is given."""

    def __init__(self, options, world, table):
        self.world, self.table = world, table
        self.quick, self.runs, self.bytes = options.quick, options.runs, options.bytes


def write_table(text):
    page = README.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; without one, all")
    parser.add_argument("--gib", type=float, default=2, help="size of the large file")
    parser.add_argument("--runs", type=int, default=5, help="pairs of each row")
    parser.add_argument("--dir", help="where to work: the file system that is measured")
    parser.add_argument("--binary", help="another model-manager than target/release/model-manager")
    parser.add_argument("--keep", action="store_true", help="leave the working folder")
    parser.add_argument("--quick", action="store_true", help="small sizes and one pair; the figures mean nothing")
    parser.add_argument("--markdown", action="store_true", help="write the table into benches/README.md")
    parser.add_argument("--install", action="store_true", help="install the rivals (apt-get, pip) and end")
    options = parser.parse_args()
    if options.install:
        return install()
    if options.quick:
        options.gib, options.runs = 1 / 16, 1
    options.bytes = int(options.gib * (1 << 30))
    for tool in ("nginx", "curl"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed: run with --install")
    for name in options.cases:
        if name not in CASES:
            sys.exit(f"no case `{name}`; there are {', '.join(CASES)}")
    table = Table(options.runs)
    failed = False
    for name in options.cases or CASES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        table.case = name
        # A world for each case, so that none finds what another left, and one that fails leaves the others their turn.
        world = None
        try:
            world = World(options)
            if not world.binary.exists():
                sys.exit(f"{world.binary} is missing: cargo build --release")
            CASES[name](Bench(options, world, table))
        except Failed as error:
            failed = True
            table.skip(f"failed: {str(error).splitlines()[0]}")
            print(error, file=sys.stderr)
        finally:
            if world:
                world.close()
    text = table.text(shlex.join(["python3", "benches/compare.py", *(word for word in sys.argv[1:] if word != "--markdown")]))
    print(text)
    if options.markdown:
        write_table(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
