"""The classes of errors against the table of exit codes, which scripts rely on."""

import inspect
import pickle
from typing import Any

import pytest

from oci_pull import errors
from oci_pull.errors import NoSpace, OciPullError, RateLimited, TransferError

#: Exit code, `code` in JSON, whether the same command may succeed later.
TABLE = {
    "OciPullError": (1, "oci_pull_error", False),
    "UsageError": (2, "usage_error", False),
    "InvalidReference": (2, "invalid_reference", False),
    "InvalidSetting": (2, "invalid_setting", False),
    "TargetNotUsable": (2, "target_not_usable", False),
    "NotFoundError": (3, "not_found_error", False),
    "RepositoryUnknown": (3, "repository_unknown", False),
    "ManifestUnknown": (3, "manifest_unknown", False),
    "BlobUnknown": (3, "blob_unknown", False),
    "AccessError": (4, "access_error", False),
    "CredentialsRequired": (4, "credentials_required", False),
    "CredentialsRejected": (4, "credentials_rejected", False),
    "AccessDenied": (4, "access_denied", False),
    "HelperFailed": (4, "helper_failed", False),
    "RealmNotTrusted": (4, "realm_not_trusted", False),
    "TransferError": (5, "transfer_error", True),
    "NameNotResolved": (5, "name_not_resolved", False),
    "ConnectionFailed": (5, "connection_failed", True),
    "ServerFailed": (5, "server_failed", True),
    "TlsFailed": (5, "tls_failed", False),
    "NotTls": (5, "not_tls", False),
    "NotARegistry": (5, "not_a_registry", False),
    "RequestRefused": (5, "request_refused", False),
    "BadReply": (5, "bad_reply", True),
    "TimedOut": (5, "timed_out", True),
    "RateLimited": (6, "rate_limited", True),
    "DiskError": (7, "disk_error", False),
    "NoSpace": (7, "no_space", False),
    "NotWritable": (7, "not_writable", False),
    "Vanished": (7, "vanished", True),
    "CacheTooNew": (7, "cache_too_new", False),
    "IntegrityError": (8, "integrity_error", False),
    "DamagedCache": (8, "damaged_cache", False),
    "InvalidManifest": (8, "invalid_manifest", False),
    "DigestMismatch": (8, "digest_mismatch", False),
    "SizeMismatch": (8, "size_mismatch", False),
    "DamagedArchive": (8, "damaged_archive", False),
    "InconsistentModel": (8, "inconsistent_model", False),
    "PackagingError": (9, "packaging_error", False),
    "NotAModel": (9, "not_a_model", False),
    "Unsupported": (9, "unsupported", False),
    "UnsupportedDigest": (9, "unsupported_digest", False),
    "SeveralVariants": (9, "several_variants", False),
    "SeveralRoots": (9, "several_roots", False),
    "PlatformUnknown": (9, "platform_unknown", False),
    "EndlessParents": (9, "endless_parents", False),
    "RefusedError": (10, "refused_error", False),
    "UnsafePath": (10, "unsafe_path", False),
    "UnsafeArchive": (10, "unsafe_archive", False),
    "PathConflict": (10, "path_conflict", False),
    "PickleOnly": (10, "pickle_only", False),
    "RedirectRefused": (10, "redirect_refused", False),
    "RegistryBlocked": (10, "registry_blocked", False),
    "DigestRequired": (10, "digest_required", False),
    "Busy": (11, "busy", True),
    "NotCached": (12, "not_cached", False),
    "Cancelled": (130, "cancelled", True),
    "Terminated": (143, "terminated", True),
}


def classes() -> dict[str, type[OciPullError]]:
    members = inspect.getmembers(errors, inspect.isclass)
    return {name: found for name, found in members if issubclass(found, OciPullError)}


def test_the_table_has_every_class_and_no_other() -> None:
    assert classes().keys() == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
def test_a_class_has_its_place_in_the_table(name: str) -> None:
    error = classes()[name]("message", hint="what to type")
    assert (error.exit_code, error.code, error.retryable) == TABLE[name]
    assert (str(error), error.message, error.hint) == ("message", "message", "what to type")


@pytest.mark.parametrize("name", TABLE)
def test_a_hint_may_be_missing(name: str) -> None:
    assert classes()[name]("message").hint is None


@pytest.mark.parametrize("name", TABLE)
def test_it_comes_whole_from_another_process(name: str) -> None:
    error = getattr(errors, name)("what and where", hint="what to type")
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error)
    assert vars(found) == vars(error)
    assert str(found) == "what and where"


@pytest.mark.parametrize("name", sorted(TABLE))
def test_the_drawn_tree_has_the_class(name: str) -> None:
    assert errors.__doc__
    assert name in errors.__doc__.split()


@pytest.mark.parametrize("kind", [TransferError, RateLimited])
def test_an_error_of_a_transfer_says_whose_it_was_and_how_long_to_wait(
    kind: type[TransferError],
) -> None:
    error = kind("message", origin="ghcr.io:443", retry_after=30.0)
    assert (error.origin, error.retry_after) == ("ghcr.io:443", 30.0)
    assert (kind("message").origin, kind("message").retry_after) == ("", None)


def test_an_error_about_space_has_both_figures() -> None:
    figures: dict[str, Any] = {"needed": 100, "free": 7}
    error = NoSpace("message", **figures)
    assert (error.needed, error.free) == (100, 7)
    assert (NoSpace("message").needed, NoSpace("message").free) == (None, None)


def test_a_stranger_writes_nothing_to_a_terminal_through_an_error() -> None:
    error = OciPullError("\x1b[2Jgone\x9b\u202e\nsecond line", hint="\x07ring")
    assert error.message == "?[2Jgone??\nsecond line"
    assert error.hint == "?ring"


def test_facts_are_lines_of_their_own_and_part_of_what_a_traceback_shows() -> None:
    error = NoSpace("full", facts=["needs 2 GB", "\x1b[2J\nfree 1 GB"], hint="make room")
    assert error.facts == ("needs 2 GB", "?[2J free 1 GB")
    assert str(error) == "full\nneeds 2 GB\n?[2J free 1 GB"


def test_whoever_knows_more_adds_to_what_an_error_says() -> None:
    error = NoSpace("full", facts=["needs 2 GB"], hint="make room", needed=2)
    error.explain("1 GB can go")
    assert (error.facts, error.hint) == (("needs 2 GB", "1 GB can go"), "make room")
    error.explain(hint="oci-pull cache prune")
    assert (error.hint, error.needed) == ("oci-pull cache prune", 2)
