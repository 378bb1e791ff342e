"""Whom the client believes."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from oci_pull.adapters.registry import trust
from oci_pull.adapters.registry.http import Network, make_client
from oci_pull.adapters.registry.trust import Identity, RegistryAccess, Trust, context_for
from oci_pull.errors import InvalidSetting
from tests.servers.tls import Authority
from tests.unit.adapters.scripted import listening, scripted, silent

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_handshake_that_hangs_keeps_no_other_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    reached = threading.Event()

    def hang(connection: object) -> None:
        reached.set()
        silent(connection)  # type: ignore[arg-type]

    context = authority.server().server_context()
    with (
        listening(hang) as hanging,
        listening(scripted(_OK), tls=context) as good,
        make_client(Network(connect_timeout=300)) as client,
    ):

        def wait_for_nothing() -> None:
            with pytest.raises(httpx.HTTPError):
                client.get(f"https://{hanging}/")

        thread = threading.Thread(target=wait_for_nothing, daemon=True)
        thread.start()
        assert reached.wait(60)
        assert client.get(f"https://{good}/", timeout=60).text == "ok"
        assert thread.is_alive(), "it still waits for its handshake"
    thread.join(60)
    assert not thread.is_alive()


def test_the_file_of_the_environment_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path).ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert trust.system_trust().cert_store_stats()["x509_ca"] == 1


def test_a_python_from_elsewhere_finds_the_systems_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL was compiled for paths that are not there, and an empty directory is no trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    if not any(Path(path).is_file() for path in trust._BUNDLES):
        pytest.skip("this system has no authorities")
    assert trust.system_trust().cert_store_stats()["x509_ca"] > 1


def test_certificates_are_verified() -> None:
    context = trust.system_trust()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


# --- what was said of a host


def test_authorities_are_added_to_the_systems(tmp_path: Path) -> None:
    before = trust.system_trust().cert_store_stats()["x509_ca"]
    ca_files = (Authority(tmp_path, "one").ca_file, Authority(tmp_path, "two").ca_file)
    context = context_for(Identity(ca_files))
    assert context.cert_store_stats()["x509_ca"] == before + 2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_without_verification_nothing_is_verified() -> None:
    context = context_for(Identity(insecure=True))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read: No such file"), (b"-----", "no certificate of")]
)
def test_a_file_that_is_no_authority_is_named(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidSetting, match=words) as caught:
        context_for(Identity((file,)))
    assert str(file) in str(caught.value)


def test_what_cannot_be_shown_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine, other = authority.client(), authority.client()
    empty = tmp_path / "empty.pem"
    empty.touch()
    key = serialization.load_pem_private_key(mine.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"s3cr3t"),
        )
    )
    for certificate, its_key, words in (
        (mine.chain, other.key, "is not the key of"),
        (empty, mine.key, "there is no client certificate with its key"),
        (mine.chain, mine.chain, "there is no client certificate with its key"),
        (mine.chain, tmp_path / "missing", "missing cannot be read"),
        (mine.chain, locked, r"locked\.key is encrypted"),
    ):
        with pytest.raises(InvalidSetting, match=words):
            context_for(Identity(client=(certificate, its_key)))


def test_a_key_needs_its_certificate() -> None:
    access = RegistryAccess("registry.corp", client_key=Path("me.key"))
    with pytest.raises(InvalidSetting, match="without its certificate"):
        Trust(registries=(access,)).identity("registry.corp:443")


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("registry.corp", "registry.corp:443", True),
        ("registry.corp", "registry.corp:80", True),
        ("Registry.Corp", "registry.corp:443", True),
        ("registry.corp:443", "registry.corp:443", True),
        ("registry.corp", "registry.corp:5000", False),
        ("registry.corp:5000", "registry.corp:5000", True),
        ("registry.corp:5000", "registry.corp:443", False),
        ("[::1]:5000", "::1:5000", True),
        ("[::1]", "::1:443", True),
        ("registry.corp", "other.registry.corp:443", False),
    ],
)
def test_a_registry_is_at_its_origin_alone(host: str, origin: str, expected: bool) -> None:
    assert RegistryAccess(host).is_at(origin) is expected


def test_docker_hub_is_known_by_the_name_that_people_use(tmp_path: Path) -> None:
    (tmp_path / "docker.io").mkdir()
    (tmp_path / "docker.io" / "ca.crt").touch()
    access = RegistryAccess("registry-1.docker.io", "docker.io")
    found = Trust((), (access,), (tmp_path,)).identity("registry-1.docker.io:443")
    assert found.ca_files == (tmp_path / "docker.io" / "ca.crt",)
