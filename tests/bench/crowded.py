"""`python -m tests.bench.crowded`: what a cache of 2,000 models and 100,000 blobs costs its user.

A model that is there is asked for, and the cache is listed: in one with everything, and in one that
has nothing but that model. Both run by turns, because machines have moods.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.content import digest_of
from tests.e2e.command import Command
from tests.e2e.models import model, pack_around, put, raw_layer
from tests.fakes.registry import FakeRegistry

_FILES = 50
#: A hit among many takes at most so much of one alone; a list at most so many seconds.
_MOST, _LONGEST = 1.5, 2.0


def main() -> int:
    """Print the figures; the exit code is 1 where a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.crowded", description=__doc__)
    parser.add_argument("--models", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, FakeRegistry() as registry:
        put(registry, pack_around(*(raw_layer(name, data) for name, data in model().items())))
        reference = f"{registry.address}/team/model:v1"
        alone = _user(Path(scratch) / "alone", reference)
        crowded = _user(Path(scratch) / "crowded", reference)
        print(f"{given.models} models of {_FILES} files are made ...", flush=True)
        _crowd(crowded.cache, given.models)
        lines = {
            "hit offline": ("--offline", reference),
            "hit by tag": (reference,),
            "cache ls": ("cache", "ls"),
        }
        missed = False
        for name, words in lines.items():
            times = [
                [_seconds(command, words) for command in (alone, crowded)]
                for _ in range(given.rounds)
            ]
            one, many = (statistics.median(side) for side in zip(*times, strict=True))
            is_list = name == "cache ls"
            reached = many < _LONGEST if is_list else many < one * _MOST
            missed |= not reached
            goal = f"below {_LONGEST:.0f} s" if is_list else f"below {_MOST} times"
            print(
                f"{name:12} alone {one:.3f} s  crowded {many:.3f} s  {many / one:5.2f} times"
                f"  {goal}: {'yes' if reached else 'NO'}"
            )
    return int(missed)


def _user(home: Path, reference: str) -> Command:
    """Somebody who has one model."""
    home.mkdir()
    command = Command(home)
    command(reference).must_succeed()
    return command


def _seconds(command: Command, words: tuple[str, ...]) -> float:
    begun = time.monotonic()
    subprocess.run(command.argv(*words), check=True, env=command.environment(), capture_output=True)
    return time.monotonic() - begun


def _crowd(cache: Path, models: int) -> None:
    """More trees, each with files of its own, made from the receipt of the first."""
    (first,) = (cache / "models").rglob("receipt.json")
    receipt = json.loads(first.read_bytes())
    blobs = cache / "blobs" / "sha256"
    for number in range(models):
        manifest = digest_of(f"manifest {number}".encode())
        name = f"library/model-{number}@{manifest.partition(':')[2][:12]}"
        tree = cache / "models" / "registry.example" / name
        (tree / ".oci-pull").mkdir(parents=True)
        files = []
        for file in range(_FILES):
            content = f"{number} {file}".encode()
            digest = digest_of(content)
            blob = blobs / digest.partition(":")[2]
            blob.write_bytes(content)
            os.link(blob, tree / f"part-{file}")
            files.append(
                {"path": f"part-{file}", "size": len(content), "digest": digest, "linked": True}
            )
        described = receipt | {
            "reference": f"registry.example/library/model-{number}:v1",
            "digest": manifest,
            "manifest": receipt["manifest"] | {"digest": manifest},
            "needs": [manifest, *(each["digest"] for each in files)],
            "files": files,
        }
        (tree / ".oci-pull" / "receipt.json").write_text(json.dumps(described, indent=1))
        used = cache / "used" / "registry.example" / name
        used.parent.mkdir(parents=True, exist_ok=True)
        used.touch()


if __name__ == "__main__":
    sys.exit(main())
