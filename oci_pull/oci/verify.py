"""The only way to a proof that bytes are the ones that a descriptor names."""

from dataclasses import dataclass

from oci_pull.errors import DigestMismatch, SizeMismatch
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Bytes, Hasher


@dataclass(frozen=True, slots=True)
class Verified:
    """The proof that content matches this descriptor. Only `Verifier.finish` makes one."""

    descriptor: Descriptor


class Verifier:
    """Takes the bytes of one blob in order, and in the end proves or refutes them."""

    __slots__ = ("_descriptor", "_hasher")

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._hasher = Hasher(descriptor.digest.algorithm)

    @property
    def size(self) -> int:
        """How many bytes were taken."""
        return self._hasher.size

    def update(self, data: Bytes) -> None:
        """Take the next bytes."""
        self._hasher.update(data)

    def finish(self) -> Verified:
        """Prove that exactly the bytes of the descriptor were seen.

        Raises:
            SizeMismatch: they are more or fewer than its size.
            DigestMismatch: they are others.
        """
        wanted = self._descriptor
        if self.size != wanted.size:
            raise SizeMismatch(
                f"{wanted.digest} has {self.size} bytes, its descriptor says {wanted.size}"
            )
        if (found := self._hasher.digest()) != wanted.digest:
            raise DigestMismatch(
                "content does not match its digest",
                facts=(f"expected {wanted.digest}", f"got      {found}"),
                hint="tell whoever runs the registry or the mirror both digests",
            )
        return Verified(wanted)


def verify(descriptor: Descriptor, content: Bytes) -> Verified:
    """The proof for bytes in memory; raises what `Verifier.finish` raises."""
    verifier = Verifier(descriptor)
    verifier.update(content)
    return verifier.finish()
