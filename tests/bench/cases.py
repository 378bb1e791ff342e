"""What is compared with what, and what has to come of it: data, and nothing that runs.

A command is a line for bash, run in an empty directory that has lists of the blobs: `urls.txt` (for
aria2c), `curl.conf`, `blobs.txt` (a URL, a file name and a digest a line), and `files.txt` (the
names alone).
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Literal

OURS = "oci-pull"

Metric = Literal["wall", "cpu", "memory"]


@dataclass(frozen=True)
class Contender:
    name: str
    command: str
    #: It prints the digests of what it fetched, and those are compared.
    prints_digests: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Everything that has to be filled in: programs, and where the model is."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.command) if name)


@dataclass(frozen=True)
class Goal:
    """At most: for `memory` bytes, else a share of what another contender takes."""

    metric: Metric
    most: float
    against: str = ""


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    model: Literal["one", "four", "small"]
    door: Literal["plain", "tls", "redirect", "far"]
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...] = ()


_PULL = Contender(OURS, "{oci_pull} {reference} -o model --progress plain")
# Told that it is http, as the others are by their URLs; else it asks for TLS first, from afar.
_PULL_PLAIN = Contender(OURS, _PULL.command + " --plain-http")
# Over TLS the registry speaks HTTP/2 as well, all on one connection: curl is faster without.
_CURL_OPTIONS = "{curl} -sSfL --http1.1"
_CURL_AT_ONCE = _CURL_OPTIONS + " -Z --no-progress-meter -K curl.conf"
_CURL_THEN_OPENSSL = Contender(
    "curl -Z, then openssl",
    _CURL_AT_ONCE + ' && xargs -a files.txt -n1 -P"$(nproc)" {openssl} dgst -sha256',
    prints_digests=True,
)
_CURL_TEE_OPENSSL = Contender(
    "curl | tee | openssl",
    _CURL_OPTIONS + " {url} | tee blob-0 | {openssl} dgst -sha256",
    prints_digests=True,
)
_CURL = Contender("curl", _CURL_OPTIONS + " -K curl.conf")
_CURL_PARALLEL = Contender("curl -Z", _CURL_AT_ONCE)
_ARIA2 = Contender(
    "aria2c -x16",
    "{aria2c} -q --no-conf -x16 -s16 -j4 --file-allocation=falloc -i urls.txt",
)
_HTTPX = Contender("httpx, 4 threads", "{plain_httpx} --threads 4 blobs.txt")
_HTTPX_ALONE = Contender("httpx, 1 thread", "{plain_httpx} --threads 1 blobs.txt")
_SKOPEO = Contender(
    "skopeo copy", "{skopeo} copy -q --src-tls-verify=false docker://{reference} dir:model"
)

_MEMORY = Goal("memory", 80e6)

CASES = (
    Case(
        "four",
        "Four blobs",
        "four",
        "plain",
        (_PULL, _CURL_THEN_OPENSSL, _ARIA2, _HTTPX, _SKOPEO),
        (
            Goal("wall", 1.0, _CURL_THEN_OPENSSL.name),
            Goal("wall", 0.7, _ARIA2.name),
            Goal("wall", 0.7, _HTTPX.name),
            Goal("cpu", 1.1, _CURL_THEN_OPENSSL.name),
            _MEMORY,
        ),
    ),
    Case(
        "one",
        "One blob",
        "one",
        "plain",
        (_PULL, _CURL_TEE_OPENSSL, _CURL, _ARIA2, _HTTPX_ALONE, _SKOPEO),
        (
            Goal("wall", 0.75, _CURL_TEE_OPENSSL.name),
            Goal("cpu", 1.1, _CURL_TEE_OPENSSL.name),
            _MEMORY,
        ),
    ),
    Case(
        "tls",
        "Four blobs, TLS",
        "four",
        "tls",
        (_PULL, _CURL_THEN_OPENSSL, _HTTPX),
        (
            Goal("wall", 0.95, _CURL_THEN_OPENSSL.name),
            Goal("cpu", 1.1, _CURL_THEN_OPENSSL.name),
            _MEMORY,
        ),
    ),
    Case(
        "redirect",
        "Four blobs, by redirect to nginx",
        "four",
        "redirect",
        (_PULL, _CURL_THEN_OPENSSL, _ARIA2, _HTTPX),
        (Goal("cpu", 1.1, _CURL_THEN_OPENSSL.name), _MEMORY),
    ),
    Case(
        "far",
        "One blob from afar",
        "one",
        "far",
        (_PULL_PLAIN, _CURL, _ARIA2),
        (Goal("wall", 1 / 6, _CURL.name), _MEMORY),
    ),
    Case(
        "small",
        "Thirty small blobs from afar",
        "small",
        "far",
        (_PULL_PLAIN, _HTTPX_ALONE, _CURL, _CURL_PARALLEL),
        (Goal("wall", 0.35, _HTTPX_ALONE.name), _MEMORY),
    ),
)
