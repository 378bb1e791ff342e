import os
from pathlib import Path

import pytest

from oci_pull.errors import InvalidSetting, NotWritable
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Reference, parse_locator
from oci_pull.verbs.pins import Pins

_DIGEST = Digest.of(b"manifest")
_OTHER = Digest.of(b"another")


@pytest.mark.parametrize(
    ("reference", "line"),
    [
        ("ai/x", f"docker.io/ai/x:latest@{_DIGEST}"),
        (f"ghcr.io/a/b@{_DIGEST}", f"ghcr.io/a/b@{_DIGEST}"),
        (f"ghcr.io/a/b:v1@{_OTHER}", f"ghcr.io/a/b:v1@{_DIGEST}"),
        ("oci:/layout:v1", f"oci:/layout:v1@{_DIGEST}"),
        ("oci:/layout", f"oci:/layout@{_DIGEST}"),
    ],
)
def test_a_line_is_a_reference_to_what_was_found(reference: str, line: str, tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins")
    pins.add(parse_locator(reference), _DIGEST)
    pins.write()
    assert (tmp_path / "pins").read_text() == f"{line}\n"
    assert parse_locator(line).digest == _DIGEST
    assert parse_locator(line).moving_tag is None


def test_several_references_are_a_line_each_in_their_order(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "below" / "pins")
    for name in ("b", "a"):
        pins.add(Reference.parse(f"ghcr.io/m/{name}"), _DIGEST)
    pins.write()
    lines = (tmp_path / "below" / "pins").read_text().splitlines()
    assert [line.partition("@")[0] for line in lines] == [
        "ghcr.io/m/b:latest",
        "ghcr.io/m/a:latest",
    ]


def test_nobody_who_wants_no_file_gets_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pins = Pins(None)
    pins.check(parse_locator("oci-archive:/x.tar:v1"))
    pins.add(Reference.parse("ai/x"), _DIGEST)
    pins.write()
    assert not list(tmp_path.iterdir())


def test_a_pipe_gets_the_lines_and_stays_one() -> None:
    reading, writing = os.pipe()
    pins = Pins(Path(f"/dev/fd/{writing}"))
    pins.check(Reference.parse("ai/x"))
    pins.add(Reference.parse("ai/x"), _DIGEST)
    pins.write()
    assert os.read(reading, 1000) == f"docker.io/ai/x:latest@{_DIGEST}\n".encode()
    os.close(reading)
    os.close(writing)


def test_an_archive_cannot_be_pinned_and_is_refused_before_it_is_pulled(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="has no @DIGEST"):
        Pins(tmp_path / "pins").check(parse_locator("oci-archive:/x.tar:v1"))


def test_what_can_be_no_file_is_refused_before_anything_is_pulled(tmp_path: Path) -> None:
    with pytest.raises(NotWritable) as caught:
        Pins(tmp_path).check(Reference.parse("ai/x"))
    assert caught.value.hint
