"""Bad input, each with its exit code, and nothing wrong on disk after it.

A row is what is at the reference and how the command must end.
"""

from __future__ import annotations

import json
import tarfile
import threading
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.archives import Entry, directory, symlink
from tests.content import Artifact, Layer, encode
from tests.e2e.ahead import ahead
from tests.e2e.command import Command
from tests.e2e.disk import assert_sound, blobs
from tests.e2e.models import (
    MIB,
    REPOSITORY,
    TAG,
    archive_layer,
    document,
    model,
    pack,
    pack_around,
    put,
    put_raw,
    raw_layer,
)
from tests.e2e.ports import closed
from tests.fakes.registry import Auth, BlobFaults, FakeRegistry, ManifestFaults, ServerFaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

_OTHER = f"sha256:{'0' * 64}"
_KEY = "org.opencontainers.image.title"


@dataclass(frozen=True)
class Bad:
    #: Puts it where it is pulled from, and returns what to type.
    arrange: Callable[[FakeRegistry], str]
    exit: int
    code: str
    #: All of it is in what a person reads.
    says: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[object], Future[Command]]]:
    def work(bad: Bad) -> Command:
        oci_pull = Command(tmp_path_factory.mktemp("home"))
        with FakeRegistry() as registry:
            _fail(bad, registry, oci_pull)
        return oci_pull

    with ahead(request, "bad", work) as found:
        yield found


@pytest.fixture
def refused(bad: Bad, outcomes: Callable[[object], Future[Command]]) -> Future[Command]:
    """The command after it failed on the bad input as it should."""
    return outcomes(bad)


def _fail(bad: Bad, registry: FakeRegistry, oci_pull: Command) -> None:
    reference = bad.arrange(registry)
    # Whether it is tried again is another question: no test here waits for that.
    run = oci_pull("--format", "json", "--retries", "0", "--", reference).must_fail(bad.exit)
    assert run.json["schema"] == 1
    error = run.json["error"]
    assert (error["exit"], error["code"]) == (bad.exit, bad.code)
    assert set(error) >= {"code", "exit", "message", "hint", "retryable"}
    for text in bad.says:
        told = f"{error['message']} {error['facts']} {error['hint']}"
        assert text in told
        assert text in run.stderr
    _assert_nothing_left(oci_pull)


def _assert_nothing_left(oci_pull: Command) -> None:
    assert_sound(oci_pull.cache)
    assert list(oci_pull.temporary.iterdir()) == []
    assert not list((oci_pull.cache / "models").rglob("*@*"))
    assert not (oci_pull.cache / "refs").exists()


def _table(rows: dict[str, Bad]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bad", list(rows.values()), ids=list(rows))


# References


def _typed(text: str, *says: str, code: str = "invalid_reference") -> Bad:
    return Bad(lambda _: text, 2, code, says)


@_table(
    {
        "upper-case": _typed("ai/SmolLM2:latest", "oci-pull ai/smollm2:latest"),
        "upper-case-behind-a-host": _typed("127.0.0.1:1/Team/Model", "lower case"),
        "docker-scheme": _typed("docker://ai/smollm2", "oci-pull ai/smollm2"),
        "https-scheme": _typed("https://ghcr.io/a/b:1", "oci-pull ghcr.io/a/b:1"),
        "two-tags": _typed("ai/smollm2:1:2", "two tags", "at most one"),
        "empty-tag": _typed("ai/smollm2:", "oci-pull ai/smollm2:latest"),
        "empty": _typed("", "empty"),
        "white-space": _typed("ai/smol lm2", "oci-pull ai/smollm2"),
        "path-behind-the-tag": _typed("ai/smollm2:v1/x", "a tag to the last"),
        "plus-in-tag": _typed("ai/smollm2:1+2", "oci-pull ai/smollm2:1_2"),
        "digest-alone": _typed(f"sha256:{'a' * 64}", "oci-pull REPOSITORY@sha256:"),
        "hex-alone": _typed("a" * 64, "oci-pull REPOSITORY@sha256:"),
        "short-digest": _typed("ai/smollm2@sha256:abc"),
        "upper-case-digest": _typed(f"ai/smollm2@sha256:{'A' * 64}", "lower case"),
        "digest-without-algorithm": _typed(f"ai/smollm2@{'a' * 64}", "@sha256:"),
        "dot-dot": _typed("ghcr.io/../model"),
        "port-out-of-range": _typed("ghcr.io:70000/a/b", "port"),
        "too-long": _typed("a/" + "b" * 300, "255"),
        "control-character": _typed("ai/smollm2\x1b[31m"),
    }
)
def test_a_malformed_reference_is_a_usage_error(bad: Bad, refused: Future[Command]) -> None:
    assert not refused.result().cache.exists()


_SENSELESS = [
    ("pull", "--jobs", "0", "ai/x"),
    ("pull", "--no-such-option", "ai/x"),
    ("pull", "--format", "xml", "ai/x"),
    ("pull", "--platform", "linux", "ai/x"),
    ("pull", "--select", "no-equals-sign", "ai/x"),
    ("pull", "--stall-timeout", "soon", "ai/x"),
    ("pull",),
    ("cahce", "path", "ai/x"),
    ("pull", "-o", "model", "ai/x", "ai/y"),
]


def test_a_command_line_that_makes_no_sense_is_a_usage_error(oci_pull: Command) -> None:
    for words, run in zip(_SENSELESS, oci_pull.at_once(*_SENSELESS), strict=True):
        assert run.code == 2, words
        assert run.stdout == "", words
        assert run.stderr, words
        assert "Traceback" not in run.stderr, words
    assert not oci_pull.cache.exists()


# What the registry does not have, or does not give


def _good(registry: FakeRegistry) -> str:
    return put(registry, pack_around())


def _at(repository: str = REPOSITORY, selector: str = f":{TAG}") -> Callable[[FakeRegistry], str]:
    def arrange(registry: FakeRegistry) -> str:
        _good(registry)
        return f"{registry.address}/{repository}{selector}"

    return arrange


def _without_blob(registry: FakeRegistry) -> str:
    artifact = pack_around()
    lost = next(digest for digest, content in artifact.blobs.items() if len(bytes(content)) > 1000)
    left = {digest: content for digest, content in artifact.blobs.items() if digest != lost}
    return put(registry, replace(artifact, blobs=left))


def _auth(auth: Auth) -> Callable[[FakeRegistry], str]:
    def arrange(registry: FakeRegistry) -> str:
        registry.auth = auth
        return _good(registry)

    return arrange


def _server(faults: ServerFaults) -> Callable[[FakeRegistry], str]:
    def arrange(registry: FakeRegistry) -> str:
        registry.server_faults = faults
        return _good(registry)

    return arrange


def test_a_port_where_nobody_listens_has_its_code(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    with closed() as port:
        reference = f"127.0.0.1:{port}/{REPOSITORY}:{TAG}"
        _fail(Bad(lambda _: reference, 5, "connection_failed", ("127.0.0.1:",)), registry, oci_pull)


@_table(
    {
        "unknown-repository": Bad(
            _at("team/nobody"), 3, "repository_unknown", ("team/nobody", "404")
        ),
        "unknown-tag": Bad(_at(selector=":v2"), 3, "manifest_unknown", ("'v2'", "404")),
        "unknown-digest": Bad(_at(selector=f"@{_OTHER}"), 3, "manifest_unknown", (_OTHER,)),
        "lost-blob": Bad(_without_blob, 3, "blob_unknown", ("no blob",)),
        "no-credentials-for-a-token": Bad(
            _auth(Auth(users={"ada": "secret"}, anonymous=False)),
            4,
            "credentials_required",
            ("anonymous", "oci-pull login"),
        ),
        "no-credentials-for-basic": Bad(
            _auth(Auth(scheme="basic", users={"ada": "secret"})),
            4,
            "credentials_required",
            ("oci-pull login",),
        ),
        "private-repository": Bad(
            _auth(Auth(private=[REPOSITORY])), 4, "credentials_required", ("oci-pull login",)
        ),
        "challenge-that-says-nothing": Bad(
            _auth(Auth(challenge_on="none")), 4, "credentials_required"
        ),
        "token-service-refuses": Bad(
            _auth(Auth(realm="{token}/token/refuses")), 4, "credentials_required"
        ),
        "forbidden": Bad(_server(ServerFaults(status=403)), 4, "access_denied"),
        "html": Bad(
            _server(ServerFaults(html=True)), 5, "not_a_registry", ("not an OCI registry",)
        ),
        "server-error": Bad(_server(ServerFaults(status=500)), 5, "server_failed", ("500",)),
        "rate-limit": Bad(
            _server(ServerFaults(status=429, retry_after=3600)), 6, "rate_limited", ("3600",)
        ),
    }
)
def test_what_a_registry_does_not_give_has_its_code(bad: Bad, refused: Future[Command]) -> None:
    refused.result()


class _Website(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"there is nothing here\n"
        self.send_response(404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  # named by the base class

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_without_v2_is_not_a_registry(registry: FakeRegistry, oci_pull: Command) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Website) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            reference = f"127.0.0.1:{server.server_port}/{REPOSITORY}"
            bad = Bad(lambda _: reference, 5, "not_a_registry", ("not an OCI registry",))
            _fail(bad, registry, oci_pull)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_wrong_credentials_are_told_without_the_password(
    scheme: Any, registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = _auth(Auth(scheme=scheme, users={"ada": "right"}, anonymous=False))(registry)
    config = oci_pull.home / ".docker" / "config.json"
    config.parent.mkdir()
    entry = {"username": "ada", "password": "wr0ng-pass"}
    config.write_text(json.dumps({"auths": {registry.address: entry}}))
    run = oci_pull("--format", "json", reference).must_fail(4)
    assert run.json["error"]["code"] == "credentials_rejected"
    assert "ada" in run.stderr
    assert "wr0ng-pass" not in run.stderr + run.stdout
    assert "oci-pull login" in run.stderr


# Manifests


def _manifest(content: bytes | dict[str, Any], *says: str, code: str = "invalid_manifest") -> Bad:
    raw = content if isinstance(content, bytes) else encode(content)
    return Bad(lambda registry: put_raw(registry, raw), 8, code, says)


def _layer(**changes: Any) -> dict[str, Any]:
    layers = document()["layers"]
    return document(layers=[*layers[:-1], layers[-1] | changes])


def _padded(size: int) -> bytes:
    return encode(document(annotations={"padding": "x" * size}))


def _other_bytes(registry: FakeRegistry) -> str:
    reference = put(registry, pack_around(), tag=None)
    registry.manifest_faults = ManifestFaults(body=encode(document(annotations={"a": "b"})))
    return reference


_TWO_SHAPES = document(manifests=[builders.descriptor(builders.OCI_MANIFEST, _OTHER, 10)])


@_table(
    {
        "too-large": _manifest(_padded(4 * MIB)),
        "not-json": _manifest(b"{schemaVersion: 2}"),
        "cut-off": _manifest(encode(document())[:-10]),
        "empty": _manifest(b""),
        "a-list": _manifest(b"[]"),
        "nested-without-end": _manifest(b"[" * 200_000),
        "both-shapes": _manifest(_TWO_SHAPES),
        "digest-with-dot-dot": _manifest(_layer(digest="sha256:../../../../etc/passwd")),
        "digest-of-64-with-a-slash": _manifest(_layer(digest="sha256:../" + "a" * 61)),
        "digest-in-upper-case": _manifest(_layer(digest=f"sha256:{'A' * 64}")),
        "no-digest": _manifest(_layer(digest="")),
        "negative-size": _manifest(_layer(size=-1)),
        "size-beyond-63-bits": _manifest(_layer(size=2**63)),
        "size-beyond-all-bits": _manifest(_layer(size=10**30)),
        "size-as-text": _manifest(_layer(size="12")),
        "size-not-a-number": _manifest(encode(_layer(size=0)).replace(b'"size":0', b'"size":NaN')),
        "a-layer-is-no-object": _manifest(document(layers=["sha256:abc"])),
        "not-what-the-digest-names": Bad(_other_bytes, 8, "digest_mismatch", ("sha256:",)),
    }
)
def test_a_manifest_that_is_none_is_an_integrity_error(bad: Bad, refused: Future[Command]) -> None:
    assert not blobs(refused.result().cache)


def _pulled_from(artifact: Artifact) -> Callable[[FakeRegistry], str]:
    return lambda registry: put(registry, artifact)


def _index_of_two(registry: FakeRegistry) -> str:
    other = pack_around(raw_layer("notes.txt", b"q4"))
    entries = [
        builders.IndexEntry(pack_around(), annotations={"quantization": "f16"}),
        builders.IndexEntry(other, annotations={"quantization": "q4"}),
    ]
    return put(registry, builders.index(entries))


_NO_MODEL = builders.artifact(
    builders.layer("application/vnd.example.config", b"{}"),
    [builders.layer("application/vnd.example.notes", b"a text")],
)
_PICKLES = pack(
    [
        raw_layer("config.json", b"{}"),
        raw_layer("pytorch_model.bin", b"\x80\x04pickle", "weight"),
    ]
)
_SHA384 = f"sha384:{'a' * 96}"


@_table(
    {
        "not-a-model": Bad(
            _pulled_from(_NO_MODEL), 9, "not_a_model", ("application/vnd.example.notes",)
        ),
        "no-layers": Bad(_pulled_from(pack([])), 9, "not_a_model"),
        "several-variants": Bad(_index_of_two, 9, "several_variants", ("--select", "q4")),
        "unknown-algorithm": Bad(
            lambda registry: put_raw(registry, encode(_layer(digest=_SHA384))),
            9,
            "unsupported_digest",
            ("sha384",),
        ),
        "pickle-only": Bad(
            _pulled_from(_PICKLES), 10, "pickle_only", ("pytorch_model.bin", "--allow-pickle")
        ),
    }
)
def test_what_is_no_model_is_refused(bad: Bad, refused: Future[Command]) -> None:
    refused.result()


# Blobs


def _wrong(change: Callable[[bytes], bytes]) -> Callable[[FakeRegistry], str]:
    """The registry has other bytes than those that the digest of the weights names."""

    def arrange(registry: FakeRegistry) -> str:
        artifact = pack_around()
        changed = {
            digest: change(bytes(content)) if len(bytes(content)) > 1000 else content
            for digest, content in artifact.blobs.items()
        }
        return put(registry, replace(artifact, blobs=changed))

    return arrange


def _faulty(faults: BlobFaults) -> Callable[[FakeRegistry], str]:
    def arrange(registry: FakeRegistry) -> str:
        registry.blob_faults = faults
        return _good(registry)

    return arrange


def _flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@_table(
    {
        "wrong-bytes": Bad(_wrong(_flip), 8, "digest_mismatch", ("sha256:",)),
        "first-byte-wrong": Bad(_faulty(BlobFaults(corrupt_at=0)), 8, "digest_mismatch"),
        "one-byte-short": Bad(_wrong(lambda content: content[:-1]), 8, "size_mismatch"),
        "nothing": Bad(_wrong(lambda _: b""), 8, "size_mismatch"),
        "one-byte-long": Bad(_wrong(lambda content: content + b"!"), 8, "size_mismatch"),
        "long-without-a-length": Bad(
            _faulty(BlobFaults(framing="chunked", long_by=1)), 8, "size_mismatch"
        ),
        "long-until-the-connection-ends": Bad(
            _faulty(BlobFaults(framing="close", long_by=70_000)), 8, "size_mismatch"
        ),
    }
)
def test_a_blob_that_is_not_what_was_named_is_an_integrity_error(
    bad: Bad, refused: Future[Command]
) -> None:
    weights = pack_around().document["layers"][-1]["digest"]
    assert weights not in blobs(refused.result().cache)


def test_the_error_of_a_wrong_blob_names_its_file_and_who_sent_it(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    run = oci_pull(_wrong(_flip)(registry)).must_fail(8)
    error = run.stderr.partition("error: ")[2]
    assert "model.safetensors" in error
    assert registry.address in error


@pytest.mark.parametrize("framing", ["asked", "chunked"])
def test_a_body_that_always_ends_early_is_told_and_not_believed(
    framing: Any, registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = _faulty(BlobFaults(framing=framing, short_by=1))(registry)
    # A connection that broke looks the same: this is 5, and the same again may succeed.
    oci_pull("--retries", "0", reference).must_fail(5)
    assert_sound(oci_pull.cache)
    registry.blob_faults = []
    oci_pull(reference).must_succeed()
    assert_sound(oci_pull.cache)


def test_files_of_zero_length_are_files(registry: FakeRegistry, oci_pull: Command) -> None:
    archive = archive_layer({"in-archive.txt": b""})
    reference = put(registry, pack_around(raw_layer("empty.txt", b""), archive))
    path = oci_pull(reference).path
    assert (path / "empty.txt").read_bytes() == b""
    assert (path / "in-archive.txt").read_bytes() == b""
    assert_sound(oci_pull.cache)


# Archives


def _archived(*entries: Entry, form: builders.Form = "tar") -> Callable[[FakeRegistry], str]:
    harmless = Entry("harmless.json", b"{}")
    return _pulled_from(pack_around(archive_layer([harmless, *entries], form=form)))


def _unsafe(*entries: Entry, code: str = "unsafe_path", says: str = "") -> Bad:
    return Bad(_archived(*entries), 10, code, (says,))


def _link(name: str, kind: bytes, target: str = "") -> Entry:
    return Entry(name, type=kind, link=target)


_BLOCK = 512


def _damaged(content: bytes, form: builders.Form = "tar") -> Callable[[FakeRegistry], str]:
    """An archive of which the publisher has only these bytes: its digest is right."""
    packed = builders.layer(f"application/vnd.cncf.model.weight.config.v1.{form}", content)
    return _pulled_from(pack_around(packed))


def _sparse_member(size: int) -> bytes:
    """An archive of 2 KB with a member of `size` bytes that is all hole (GNU's old format)."""
    header = bytearray(tarfile.TarInfo("sparse.json").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0" % size + b"%011o\0" % 0  # one chunk of data: none, at the end
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(2 * _BLOCK)


@_table(
    {
        "dot-dot": _unsafe(Entry("../evil", b"x"), says="../evil"),
        "dot-dot-inside": _unsafe(Entry("a/../../evil", b"x"), says="evil"),
        "dot-dot-directory": _unsafe(directory("../evil/")),
        "absolute": _unsafe(Entry("/tmp/evil", b"x"), says="/tmp/evil"),
        "backslashes": _unsafe(Entry("..\\evil", b"x")),
        "drive": _unsafe(Entry("C:evil", b"x")),
        "our-own-directory": _unsafe(Entry(".oci-pull/receipt.json", b"{}")),
        "symbolic-link": _unsafe(
            symlink("link", "/etc/passwd"), code="unsafe_archive", says="'link'"
        ),
        "harmless-symbolic-link": _unsafe(symlink("link", "harmless.json"), code="unsafe_archive"),
        "hard-link": _unsafe(
            _link("link", tarfile.LNKTYPE, "/etc/passwd"), code="unsafe_archive", says="'link'"
        ),
        "character-device": _unsafe(
            _link("device", tarfile.CHRTYPE), code="unsafe_archive", says="'device'"
        ),
        "pipe": _unsafe(_link("pipe", tarfile.FIFOTYPE), code="unsafe_archive"),
        "unknown-type": _unsafe(_link("odd", b"Z"), code="unsafe_archive"),
    }
)
def test_an_unsafe_archive_is_refused(bad: Bad, refused: Future[Command]) -> None:
    assert not (refused.result().cache / "layers").exists()
    assert not list(refused.result().home.rglob("evil"))


def _bytes_of(layer: Layer) -> bytes:
    assert isinstance(layer.content, bytes)
    return layer.content


_FILES = {"a.json": b"{}" * 2000, "b.json": b"[]" * 2000}
_SECOND_HEADER = _BLOCK + 4096  # where the second member of that archive begins


def _tar(form: builders.Form = "tar") -> bytes:
    return _bytes_of(archive_layer(_FILES, form=form))


@_table(
    {
        "cut-in-a-file": Bad(_damaged(_tar()[:3000]), 8, "damaged_archive"),
        "cut-in-a-header": Bad(_damaged(_tar()[: _SECOND_HEADER + 100]), 8, "damaged_archive"),
        "cut-in-gzip": Bad(_damaged(_tar("tar+gzip")[:-20], "tar+gzip"), 8, "damaged_archive"),
        "cut-in-zstd": Bad(_damaged(_tar("tar+zstd")[:-20], "tar+zstd"), 8, "damaged_archive"),
        "header-of-garbage": Bad(
            _damaged(_tar()[:_SECOND_HEADER] + b"\xaa" * 2048), 8, "damaged_archive"
        ),
        "not-an-archive": Bad(_damaged(b"this is a text, " * 100), 8, "damaged_archive"),
        "not-gzip": Bad(_damaged(_tar(), "tar+gzip"), 8, "damaged_archive"),
        "gzip-where-tar-is-named": Bad(_damaged(_tar("tar+gzip")), 8, "damaged_archive"),
        "bomb": Bad(
            _archived(Entry("bomb.json", bytes(100 * MIB)), form="tar+zstd"),
            8,
            "damaged_archive",
            ("expands",),
        ),
        "bomb-of-a-hole": Bad(_damaged(_sparse_member(100 * MIB)), 8, "damaged_archive"),
    }
)
def test_a_damaged_archive_is_an_integrity_error(bad: Bad, refused: Future[Command]) -> None:
    assert not (refused.result().cache / "layers").exists()


# Names


def _twice(first: str, second: str) -> Callable[[FakeRegistry], str]:
    return _pulled_from(pack_around(raw_layer(first, b"one"), raw_layer(second, b"other")))


@_table(
    {
        "one-path": Bad(_twice("a.txt", "a.txt"), 10, "path_conflict", ("a.txt",)),
        "twins-by-case": Bad(_twice("a.txt", "A.txt"), 10, "path_conflict", ("a.txt", "A.txt")),
        "twins-by-unicode": Bad(_twice("\u00e9.txt", "e\u0301.txt"), 10, "path_conflict"),
        "file-and-directory": Bad(_twice("a", "a/b.txt"), 10, "path_conflict", ("a/b.txt",)),
        "path-of-the-archive": Bad(
            _archived(Entry("config.json", b'{"other": 1}')), 10, "path_conflict", ("config.json",)
        ),
        "twin-in-the-archive": Bad(_archived(Entry("Config.json", b"{}")), 10, "path_conflict"),
        "dot-dot": Bad(_twice("a.txt", "../evil"), 10, "unsafe_path", ("../evil",)),
        "absolute": Bad(_twice("a.txt", "/tmp/evil"), 10, "unsafe_path", ("/tmp/evil",)),
        "nul": Bad(_twice("a.txt", "evil\x00.txt"), 10, "unsafe_path"),
        "new-line": Bad(_twice("a.txt", "evil\n.txt"), 10, "unsafe_path"),
        "our-own-directory": Bad(_twice("a.txt", ".OCI-pull/x"), 10, "unsafe_path"),
        "name-too-long": Bad(_twice("a.txt", "e" * 256), 10, "unsafe_path"),
    }
)
def test_names_that_cannot_be_are_refused(bad: Bad, refused: Future[Command]) -> None:
    refused.result()


def test_the_same_content_twice_under_one_name_is_one_file(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    twice = pack_around(raw_layer("a.txt", b"one"), raw_layer("a.txt", b"one"))
    assert (oci_pull(put(registry, twice)).path / "a.txt").read_bytes() == b"one"


def test_what_a_registry_says_reaches_the_terminal_without_control_characters(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    title = "\x1b]0;owned\x07\x1b[2J"
    odd = builders.layer(f"application/{title}", b"x")
    reference = put(registry, builders.artifact(builders.layer("application/x", b"{}"), [odd]))
    run = oci_pull(reference).must_fail(9)
    assert "\x1b" not in run.stderr
    named = put(registry, pack_around(raw_layer(f"{title}.txt", b"x")))
    assert "\x1b" not in oci_pull(named).must_fail(10).stderr


# Sizes


def test_more_than_the_disk_holds_is_refused_before_the_first_byte(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    petabytes = 10**15
    digest = pack_around().document["layers"][-1]["digest"]
    reference = put(registry, pack_around())
    put_raw(registry, encode(_layer(size=petabytes)))
    run = oci_pull("--format", "json", reference).must_fail(7)
    error = run.json["error"]
    assert error["code"] == "no_space"
    assert error["needed"] >= petabytes > error["free"]
    assert [each for each in registry.find("GET", "blob") if digest in each.path] == []
    assert_sound(oci_pull.cache)


def test_the_model_that_the_bad_ones_are_made_from_is_good(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    path = oci_pull(_good(registry)).path
    assert (path / "model.safetensors").read_bytes() == model()["model.safetensors"]
    reference = _archived()(registry)
    assert (oci_pull(reference).path / "harmless.json").read_bytes() == b"{}"
    assert_sound(oci_pull.cache)


@pytest.mark.parametrize(
    ("arrange", "code"),
    [
        pytest.param(lambda _: "docker://ai/x", 2, id="usage"),
        pytest.param(_at(selector=":v2"), 3, id="not-found"),
        pytest.param(_auth(Auth(challenge_on="none")), 4, id="access"),
        pytest.param(_server(ServerFaults(html=True)), 5, id="transfer"),
        pytest.param(_wrong(_flip), 8, id="integrity"),
        pytest.param(_pulled_from(_NO_MODEL), 9, id="packaging"),
        pytest.param(_twice("a.txt", "A.txt"), 10, id="refused"),
    ],
)
def test_a_failure_is_told_on_stderr_and_prints_nothing(
    arrange: Callable[[FakeRegistry], str],
    code: int,
    registry: FakeRegistry,
    oci_pull: Command,
) -> None:
    run = oci_pull("--retries", "0", "--", arrange(registry)).must_fail(code)
    assert run.stdout == ""
    _assert_nothing_left(oci_pull)
