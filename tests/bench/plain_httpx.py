"""What a Python program does that fetches files with httpx and checks them: no more, no less.

It knows nothing of `oci_pull`. A thread takes the next blob, writes what `iter_raw` gives, and
hashes it on the way; the connections are those of one client, and are kept alive.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

#: A registry gives a manifest to nobody who does not ask for its kind.
ACCEPT = "application/vnd.oci.image.manifest.v1+json, */*"


def fetch(client: httpx.Client, url: str, name: str, digest: str) -> None:
    state = hashlib.sha256()
    with client.stream("GET", url) as response, Path(name).open("wb") as file:
        response.raise_for_status()
        for chunk in response.iter_raw():
            file.write(chunk)
            state.update(chunk)
    if state.hexdigest() != digest.removeprefix("sha256:"):
        raise ValueError(f"{name} is not {digest}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="plain_httpx.py", description=__doc__)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("list", type=Path, help="a URL, a file name and a digest a line")
    given = parser.parse_args()
    blobs = [line.split() for line in given.list.read_text().splitlines()]
    with (
        httpx.Client(follow_redirects=True, timeout=60, headers={"Accept": ACCEPT}) as client,
        ThreadPoolExecutor(given.threads) as pool,
    ):
        for _ in pool.map(lambda blob: fetch(client, *blob), blobs):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
