"""`python -m tests.fuzz.run TARGET [OPTIONS OF LIBFUZZER]`: search for input that breaks it.

What is found is written to a file in the directory, and tried again with its name as an option.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["oci_pull"]):
    from tests.fuzz import properties, seeds

_TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterator[bytes]]]] = {
    "archive": (properties.archive, seeds.archives),
    "manifest": (properties.manifest, seeds.manifests),
    "challenge": (properties.challenge, seeds.challenges),
}
_CORPUS = Path(".fuzz")


def main() -> None:
    name, *options = sys.argv[1:]
    test, begin_with = _TARGETS[name]
    corpus = _CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(begin_with()):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup(
        [
            sys.argv[0],
            str(corpus),
            f"-artifact_prefix={_CORPUS / name}-",
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-max_len=20000",
            *options,
        ],
        test,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
