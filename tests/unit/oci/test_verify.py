import hashlib

import pytest

from oci_pull.errors import DigestMismatch, SizeMismatch, UnsupportedDigest
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.verify import Verified, Verifier, verify

CONTENT = b"weights"


def wanted(content: bytes = CONTENT) -> Descriptor:
    return Descriptor("application/octet-stream", Digest.of(content), len(content))


def test_the_bytes_of_the_descriptor_prove_it() -> None:
    assert verify(wanted(), CONTENT) == Verified(wanted())


def test_bytes_that_come_in_parts_prove_it_as_well() -> None:
    verifier = Verifier(wanted())
    for byte in CONTENT:
        verifier.update(bytes([byte]))
    assert verifier.size == len(CONTENT)
    assert verifier.finish().descriptor == wanted()


def test_no_bytes_prove_the_empty_blob() -> None:
    assert Verifier(wanted(b"")).finish() == Verified(wanted(b""))


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"!"])
def test_more_or_fewer_bytes_are_a_size_mismatch_with_both_sizes(content: bytes) -> None:
    with pytest.raises(SizeMismatch, match=rf"has {len(content)} bytes, .* says 7") as caught:
        verify(wanted(), content)
    assert str(wanted().digest) in caught.value.message


def test_other_bytes_of_the_same_length_are_a_digest_mismatch_with_both_digests() -> None:
    with pytest.raises(DigestMismatch) as caught:
        verify(wanted(), b"WEIGHTS")
    assert caught.value.facts == (
        f"expected {wanted().digest}",
        f"got      {Digest.of(b'WEIGHTS')}",
    )
    assert caught.value.hint


def test_the_digest_is_of_the_algorithm_of_the_descriptor() -> None:
    sha512 = Digest("sha512", hashlib.sha512(CONTENT).hexdigest())
    descriptor = Descriptor("", sha512, len(CONTENT))
    assert verify(descriptor, CONTENT).descriptor.digest == sha512


def test_what_cannot_be_computed_is_refused_before_the_first_byte() -> None:
    with pytest.raises(UnsupportedDigest):
        Verifier(Descriptor("", Digest("sha384", "0" * 96), 1))
