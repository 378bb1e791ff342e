"""What docs/cache.md says of the directory is what is in one."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e import pages

PAGE = pages.text_of("docs/cache.md")


def test_everything_in_a_cache_is_on_the_page(reader: dict[str, str]) -> None:
    cache = Path(reader["OCI_PULL_CACHE_DIR"])
    for name in ("aistaging/smollm2-vllm", "models/image", "models/packed", "oci:$LAYOUT:v1"):
        assert pages.run(f"oci-pull {name}", reader).returncode == 0
    told = {
        entry.partition("/")[0]
        for row in pages.rows(pages.section(PAGE, "## Layout"))
        for entry in re.findall(r"`([^`]+)`", row[0])
    }
    found = {path.name for path in cache.iterdir()}
    assert found <= told
    assert told - found <= {"partial"}


def test_every_kind_of_unpacked_layer_is_on_the_page(reader: dict[str, str]) -> None:
    for name in ("models/image", "models/packed"):
        assert pages.run(f"oci-pull {name}", reader).returncode == 0
    kinds = {
        re.sub(r"[0-9a-f]{64}", "HEX", re.sub(r"-[0-9a-f]{8}$", "-HASH", path.name))
        for path in (Path(reader["OCI_PULL_CACHE_DIR"]) / "layers").iterdir()
    }
    assert kinds == set(re.findall(r"`layers/([^/`]+)/`", PAGE))
