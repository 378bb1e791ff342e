import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.errors import InvalidManifest, UnsupportedDigest
from oci_pull.oci.digest import Digest, Hasher

HEX = "0123456789abcdef" * 8
LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_a_digest_of_a_known_algorithm_round_trips(algorithm: str) -> None:
    text = f"{algorithm}:{HEX[: LENGTHS[algorithm]]}"
    found = Digest.parse(text)
    assert str(found) == text
    assert (found.algorithm, found.short) == (algorithm, "0123456789ab")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        f"sha256{HEX[:64]}",
        f":{HEX[:64]}",
        f"sha256:{HEX[:63]}",
        f"sha256:{HEX[:65]}",
        f"sha256:{HEX[:64].upper()}",
        f"SHA256:{HEX[:64]}",
        f"sha256:{HEX[:62]}/.",
        f"sha256:../../{HEX[:58]}",
        f"sha256:{HEX[:63]}\n",
        f"sha256:{HEX[:63]}٣",
        f"md5:{HEX[:32]}",
        f"blake3:{HEX[:64]}",
        f"../x:{HEX[:64]}",
        f"sha256:{HEX[:64]}@sha256:{HEX[:64]}",
    ],
)
def test_anything_else_is_no_digest(text: str) -> None:
    with pytest.raises(InvalidManifest):
        Digest.parse(text)


def test_the_constructor_checks_as_the_parser_does() -> None:
    with pytest.raises(InvalidManifest, match="not a sha256 digest"):
        Digest("sha256", "../etc/passwd")


def test_a_message_holds_a_bounded_part_of_a_hostile_digest() -> None:
    for text in ("x" * 10_000, f"{'x' * 10_000}:1", f"sha256:{'x' * 10_000}"):
        with pytest.raises(InvalidManifest) as caught:
            Digest.parse(text)
        assert len(caught.value.message) < 200


def test_the_digest_of_bytes_in_memory_is_their_sha256() -> None:
    assert Digest.of(b"abc").hex == hashlib.sha256(b"abc").hexdigest()
    assert Digest.of(memoryview(b"abc")) == Digest.of(bytearray(b"abc")) == Digest.of(b"abc")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_hasher_counts_and_digests_what_it_was_given(algorithm: str) -> None:
    hasher = Hasher(algorithm)
    for part in (b"a", bytearray(b"bc"), memoryview(b"def"), b""):
        hasher.update(part)
    assert hasher.size == 6
    assert hasher.digest() == Digest(algorithm, hashlib.new(algorithm, b"abcdef").hexdigest())


def test_an_algorithm_that_parses_and_is_not_computed_is_unsupported() -> None:
    with pytest.raises(UnsupportedDigest, match="sha384") as caught:
        Hasher("sha384")
    assert caught.value.exit_code == 9
    assert "sha256" in (caught.value.hint or "")


@given(st.text() | st.from_regex(r"sha(256|384|512):[0-9a-fA-F]{60,130}"))
def test_any_text_is_a_digest_that_round_trips_or_is_refused(text: str) -> None:
    try:
        found = Digest.parse(text)
    except InvalidManifest:
        return
    assert str(found) == text
    assert found.hex.isalnum()
