"""Everything that can go wrong, one class a cause.

    OciPullError                       1
    +-- UsageError                     2  InvalidReference InvalidSetting TargetNotUsable
    +-- NotFoundError                  3  RepositoryUnknown ManifestUnknown BlobUnknown
    +-- AccessError                    4  CredentialsRequired CredentialsRejected AccessDenied
    |                                     HelperFailed RealmNotTrusted
    +-- TransferError                  5  NameNotResolved ConnectionFailed ServerFailed TlsFailed
    |   |                                 NotARegistry RequestRefused BadReply NotTls TimedOut
    |   +-- RateLimited                6
    +-- DiskError                      7  NoSpace NotWritable Vanished CacheTooNew
    +-- IntegrityError                 8  InvalidManifest DigestMismatch SizeMismatch
    |                                     DamagedArchive DamagedCache InconsistentModel
    +-- PackagingError                 9  NotAModel Unsupported UnsupportedDigest SeveralVariants
    |                                     SeveralRoots PlatformUnknown EndlessParents
    +-- RefusedError                  10  UnsafePath UnsafeArchive PathConflict PickleOnly
    |                                     RedirectRefused RegistryBlocked DigestRequired
    +-- Busy                          11
    +-- NotCached                     12
    +-- Cancelled                    130
        +-- Terminated               143

A message is one sentence that says what and where; facts are what else is known, a line each; the
hint is what to type next, one line or two. None of them ever holds a secret or a signed URL. The
classes map one to one to the table of exit codes, which scripts rely on.
"""

import re
from collections.abc import Iterable
from typing import ClassVar


def printable(text: str) -> str:
    """The text without what could write to a terminal behind a reader's back.

    Names, media types and annotations come from strangers: escape sequences and right-to-left
    marks become question marks, line breaks stay.
    """
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


class OciPullError(Exception):
    """The base of every error that this package raises on purpose."""

    exit_code: ClassVar[int] = 1
    #: Whether the same command may succeed later with nothing changed by its user.
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None, facts: Iterable[str] = ()) -> None:
        super().__init__()
        self.message: str = printable(message)
        self.facts: tuple[str, ...] = ()
        self.hint: str | None = None
        self.explain(*facts, hint=hint)

    def explain(self, *facts: str, hint: str | None = None) -> None:
        """From now on it says this as well; a hint takes the place of the one that it had.

        For whoever comes to know more of what went wrong than whoever raised it.
        """
        self.facts += tuple(printable(" ".join(fact.splitlines())) for fact in facts)
        if hint:
            self.hint = printable(hint)
        self.args: tuple[str, ...] = ("\n".join((self.message, *self.facts)),)

    @property
    def code(self) -> str:
        """The class name in snake case: the `code` of an error in JSON."""
        name = type(self).__name__
        return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class UsageError(OciPullError):
    """What was asked for makes no sense as it stands."""

    exit_code = 2


class InvalidReference(UsageError):
    """The text is no reference; the hint holds the corrected one where that can be guessed."""


class InvalidSetting(UsageError):
    """An option, an environment variable or the configuration holds a value that it cannot have."""


class TargetNotUsable(UsageError):
    """The output is a file, or a directory that was filled by something else."""


class NotFoundError(OciPullError):
    """The registry answered, and has no such thing."""

    exit_code = 3


class RepositoryUnknown(NotFoundError):
    """No repository of that name, or none that these credentials may see."""


class ManifestUnknown(NotFoundError):
    """The repository has no such tag or digest."""


class BlobUnknown(NotFoundError):
    """The manifest names a blob that its registry does not have."""


class AccessError(OciPullError):
    """The registry wants somebody else."""

    exit_code = 4


class CredentialsRequired(AccessError):
    """Asked without credentials, and that is not enough."""


class CredentialsRejected(AccessError):
    """The credentials were not accepted."""


class AccessDenied(AccessError):
    """The credentials are good and do not allow this."""


class HelperFailed(AccessError):
    """The program that keeps a credential is not there, or does not work."""


class RealmNotTrusted(AccessError):
    """The registry wants the credential to go to a host that is not known to be its own."""


class TransferError(OciPullError):
    """The network or the server failed, and went on failing.

    `origin` is the `host:port` that failed, `retry_after` what it asked for in seconds.
    """

    exit_code = 5
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        facts: Iterable[str] = (),
        origin: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, facts=facts)
        self.origin: str = origin
        self.retry_after: float | None = retry_after


class NameNotResolved(TransferError):
    """No such host: asking again does not help."""

    retryable = False


class ConnectionFailed(TransferError):
    """No connection, or one that broke."""

    #: Nothing listens there: waiting long does not help.
    is_refused: bool = False


class ServerFailed(TransferError):
    """The server answered with an error of its own."""


class TlsFailed(TransferError):
    """The other side could not prove who it is."""

    retryable = False


class NotTls(TlsFailed):
    """What answers does not speak TLS at all."""


class NotARegistry(TransferError):
    """Something answers there, and it does not speak the distribution protocol."""

    retryable = False


class RequestRefused(TransferError):
    """The server will not answer this request, now or later."""

    retryable = False


class BadReply(TransferError):
    """A reply that contradicts the request: another range, another length, another encoding."""


class TimedOut(TransferError):
    """The time that was given for the whole is over; what was fetched is kept."""


class RateLimited(TransferError):
    """The registry counts, and the count is used up for now."""

    exit_code = 6


class DiskError(OciPullError):
    """The local file system said no."""

    exit_code = 7


class NoSpace(DiskError):
    """What is to be written does not fit.

    `needed` and `free` are bytes, `place` is a path on the file system that is full: empty where it
    is not the file system that says so.
    """

    #: What unfinished downloads of something else take in the cache, in bytes.
    idle: int = 0

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        facts: Iterable[str] = (),
        needed: int | None = None,
        free: int | None = None,
        place: str = "",
    ) -> None:
        super().__init__(message, hint=hint, facts=facts)
        self.needed: int | None = needed
        self.free: int | None = free
        self.place: str = place


class NotWritable(DiskError):
    """No permission, or a read-only file system."""


class Vanished(DiskError):
    """Something in the cache that was there a moment ago is gone: somebody prunes it."""

    retryable = True


class CacheTooNew(DiskError):
    """The cache was written by a newer release."""


class IntegrityError(OciPullError):
    """Bytes are not what they were said to be."""

    exit_code = 8


class InvalidManifest(IntegrityError):
    """Not JSON, too large, of two shapes, or naming what cannot be."""


class DigestMismatch(IntegrityError):
    """The content is not the one that its digest names."""


class SizeMismatch(IntegrityError):
    """The content is longer or shorter than its descriptor says."""


class DamagedArchive(IntegrityError):
    """An archive ends early, is not of its type, or grows beyond what it may."""


class DamagedCache(IntegrityError):
    """Something in the cache is not what its name or its receipt says."""


class InconsistentModel(IntegrityError):
    """Files of the model contradict each other."""


class PackagingError(OciPullError):
    """What is at the reference cannot be laid out as a model."""

    exit_code = 9


class NotAModel(PackagingError):
    """Nothing in it is a model in any packaging that is known."""


class Unsupported(PackagingError):
    """A packaging, or a part of one, that is known and cannot be pulled."""


class UnsupportedDigest(PackagingError):
    """A digest algorithm that parses and that nobody here can compute."""


class SeveralVariants(PackagingError):
    """An index offers several models."""


class SeveralRoots(PackagingError):
    """Several directories could be the model."""


class PlatformUnknown(PackagingError):
    """An index has nothing for the platform that was asked for."""


class EndlessParents(PackagingError):
    """What it is built on is built on something else, without an end that is in reach."""


class RefusedError(OciPullError):
    """It could be done, and is not, because it is not safe or not allowed."""

    exit_code = 10


class UnsafePath(RefusedError):
    """A file name that leaves the directory, or that no file system should see."""


class UnsafeArchive(RefusedError):
    """An archive holds a link, a device, or a name that leaves the directory."""


class PathConflict(RefusedError):
    """Two different files for one path, or for two that some file systems take for one."""


class PickleOnly(RefusedError):
    """The only weights are pickles, and loading a pickle runs code."""


class RedirectRefused(RefusedError):
    """The registry points where no credential or request should go."""


class RegistryBlocked(RefusedError):
    """This machine is set up to fetch nothing from there."""


class DigestRequired(RefusedError):
    """A tag may be moved, and only what a digest names is wanted."""


class Busy(OciPullError):
    """Another process held what is needed for too long."""

    exit_code = 11
    retryable = True


class NotCached(OciPullError):
    """Offline, and not complete in the cache.

    `wanted` is the reference where nothing of that name is there at all, else empty.
    """

    exit_code = 12

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        facts: Iterable[str] = (),
        wanted: str = "",
    ) -> None:
        super().__init__(message, hint=hint, facts=facts)
        self.wanted: str = wanted


class Cancelled(OciPullError):
    """Stopped by its user; what was fetched is kept."""

    exit_code = 130
    retryable = True


class Terminated(Cancelled):
    """Stopped by a signal to terminate; what was fetched is kept."""

    exit_code = 143
