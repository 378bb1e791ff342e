"""Networks as companies have them: proxies, authorities of their own, client certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_tree
from tests.e2e.models import model, put
from tests.fakes.registry import BlobFaults, FakeRegistry
from tests.servers.debian import ToolUnavailable, tool
from tests.servers.distribution import Distribution, Options
from tests.servers.nginx import Nginx
from tests.servers.nginx import Options as NginxOptions
from tests.servers.push import push, reference
from tests.servers.tinyproxy import Tinyproxy
from tests.servers.tls import Authority, Certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.command import Command

_FILES = builders.tiny_model(shards=2)
_REPOSITORY = "corp/model"
_PASSWORD = "p@ss:w%rd/"
_ENCODED = "p%40ss%3Aw%25rd%2F"


def _reference(registry: Distribution) -> str:
    return reference(registry.url, _REPOSITORY, "v1")


@pytest.fixture(scope="module")
def authority(scratch: Path) -> Authority:
    return Authority(scratch / "corp-tls")


@pytest.fixture(scope="module")
def plain(scratch: Path) -> Iterator[Distribution]:
    """The model is in its directory, which other registries can serve too."""
    with Distribution(scratch / "corp") as found:
        push(found.url, _REPOSITORY, "v1", builders.docker_v02(_FILES))
        yield found


@pytest.fixture(scope="module")
def encrypted(plain: Distribution, scratch: Path, authority: Authority) -> Iterator[Distribution]:
    assert plain.storage.exists()
    with Distribution(scratch / "corp", Options(tls=authority.server())) as found:
        yield found


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Tinyproxy]:
    _need("tinyproxy")
    with Tinyproxy(tmp_path / "proxy") as found:
        yield found


@pytest.fixture
def guarded_proxy(tmp_path: Path) -> Iterator[Tinyproxy]:
    _need("tinyproxy")
    with Tinyproxy(tmp_path / "proxy", ("ada", "s3cr3t")) as found:
        yield found


def _need(name: str) -> None:
    try:
        tool(name)
    except ToolUnavailable as missing:
        pytest.skip(str(missing))


# Proxies


def test_everything_goes_through_the_proxy(
    encrypted: Distribution, authority: Authority, proxy: Tinyproxy, oci_pull: Command
) -> None:
    words = ("--proxy", proxy.host, "--ca-file", authority.ca_file)
    assert_tree(oci_pull(*words, _reference(encrypted)).path, _FILES)
    assert set(proxy.requests()) == {f"CONNECT {encrypted.host}"}


def test_plain_http_goes_through_it_as_well(
    plain: Distribution, proxy: Tinyproxy, oci_pull: Command
) -> None:
    words = ("--proxy", f"http://{proxy.host}", "--plain-http")
    assert_tree(oci_pull(*words, _reference(plain)).path, _FILES)
    assert proxy.requests()
    assert {line.split("/v2/")[0] for line in proxy.requests()} == {f"GET {plain.url}"}


def test_a_network_can_be_left_out(
    encrypted: Distribution, authority: Authority, proxy: Tinyproxy, oci_pull: Command
) -> None:
    user = oci_pull.with_env(NO_PROXY="10.0.0.0/8, 127.0.0.0/8")
    words = ("--proxy", proxy.host, "--ca-file", authority.ca_file)
    assert_tree(user(*words, _reference(encrypted)).path, _FILES)
    assert proxy.requests() == ()


def test_a_proxy_knows_who_asks(
    encrypted: Distribution, authority: Authority, guarded_proxy: Tinyproxy, oci_pull: Command
) -> None:
    words = ("--ca-file", authority.ca_file, "--proxy")
    user = f"http://ada:s3cr3t@{guarded_proxy.host}"
    assert_tree(oci_pull(*words, user, _reference(encrypted)).path, _FILES)
    for who in ("", "ada:wr0ng@"):
        url = f"http://{who}{guarded_proxy.host}"
        run = oci_pull(*words, url, "--cache-dir", "new", _reference(encrypted)).must_fail(5)
        assert "the proxy" in run.stderr
        assert "wr0ng" not in run.stderr


def test_a_proxy_that_is_down_is_blamed(oci_pull: Command) -> None:
    user = oci_pull.with_env(https_proxy=f"http://ada:{_ENCODED}@127.0.0.1:9")
    run = user("--retries", "0", "registry.example/model:v1").must_fail(5)
    assert "the proxy 127.0.0.1:9, through which registry.example:443 is reached" in run.stderr
    assert _ENCODED not in run.stderr
    assert _PASSWORD not in run.stderr


def test_a_proxy_that_is_none_is_2(oci_pull: Command) -> None:
    user = oci_pull.with_env(ALL_PROXY=f"gopher://ada:{_ENCODED}@proxy.example")
    run = user("registry.example/model:v1").must_fail(2)
    assert "ALL_PROXY is no proxy" in run.stderr
    assert _ENCODED not in run.stderr


# Client certificates


@dataclass(frozen=True)
class Closed:
    """A registry for those who show a certificate; its storage turns away whoever shows one."""

    front: Distribution
    storage: Nginx
    mine: Certificate


@pytest.fixture(scope="module")
def closed(plain: Distribution, scratch: Path, authority: Authority) -> Iterator[Closed]:
    _need("nginx")
    storage = NginxOptions(tls=authority.server(), refused_ca=authority.ca_file)
    with Nginx(scratch / "corp-storage", plain.storage, storage) as nginx:
        options = Options(
            tls=authority.server(), client_ca=authority.ca_file, redirect_to=nginx.url
        )
        with Distribution(scratch / "corp", options) as front:
            yield Closed(front, nginx, authority.client())


def test_a_client_certificate_is_shown_to_the_registry_and_nobody_else(
    closed: Closed, authority: Authority, oci_pull: Command
) -> None:
    pair = ("--client-cert", closed.mine.chain, "--client-key", closed.mine.key)
    run = oci_pull("--ca-file", authority.ca_file, *pair, _reference(closed.front))
    assert_tree(run.path, _FILES)
    served = [each for each in closed.storage.access_log() if "oci-pull" in each.agent]
    assert served
    assert {each.status for each in served} <= {200, 206}


def test_without_one_the_flags_are_named(
    closed: Closed, authority: Authority, oci_pull: Command
) -> None:
    words = ("--ca-file", authority.ca_file, "--retries", "0")
    run = oci_pull(*words, _reference(closed.front)).must_fail(5)
    assert "--client-cert FILE --client-key FILE" in run.stderr


@pytest.mark.parametrize("place", ["docker", "containers"])
@pytest.mark.parametrize("config", ["", "configuration"])
def test_what_docker_and_podman_were_told_counts(
    place: str, config: str, closed: Closed, authority: Authority, oci_pull: Command
) -> None:
    base = oci_pull.home / (config or ".config")
    user = oci_pull.with_env(XDG_CONFIG_HOME=str(base)) if config else oci_pull
    for host, files in (
        (closed.front.host, {"me.cert": closed.mine.chain, "me.key": closed.mine.key}),
        (closed.storage.host, {}),
    ):
        directory = base / place / "certs.d" / host
        directory.mkdir(parents=True)
        for name, source in {"ca.crt": authority.ca_file, **files}.items():
            (directory / name).write_bytes(source.read_bytes())
    assert_tree(user(_reference(closed.front)).path, _FILES)


# Certificates that are not believed


def test_one_that_has_expired_says_when(
    plain: Distribution, scratch: Path, authority: Authority, oci_pull: Command
) -> None:
    with Distribution(scratch / "corp", Options(tls=authority.expired())) as registry:
        run = oci_pull("--ca-file", authority.ca_file, _reference(registry)).must_fail(5)
        assert "expired on 2021-02-01\n  issued by: trustme" in run.stderr
        again = oci_pull("--insecure", _reference(registry))
        assert again.stderr.count("is not verified") == 1
        assert_tree(again.path, _FILES)
    assert plain.storage.exists()


def test_one_for_another_host_says_for_which(
    plain: Distribution, scratch: Path, authority: Authority, oci_pull: Command
) -> None:
    certificate = authority.server("registry.corp", "10.1.1.1")
    with Distribution(scratch / "corp", Options(tls=certificate)) as registry:
        run = oci_pull("--ca-file", authority.ca_file, _reference(registry)).must_fail(5)
    assert f"{registry.host} is for registry.corp, 10.1.1.1" in run.stderr
    assert plain.storage.exists()


def test_one_of_an_authority_that_nobody_knows_names_it(
    encrypted: Distribution, oci_pull: Command
) -> None:
    run = oci_pull(_reference(encrypted)).must_fail(5)
    assert "issued by: trustme" in run.stderr
    assert "--ca-file FILE" in run.stderr
    assert f"--insecure for {encrypted.host} alone" in run.stderr


def test_one_that_signed_itself_is_told(
    plain: Distribution, scratch: Path, oci_pull: Command
) -> None:
    certificate = Authority(scratch / "itself").itself()
    with Distribution(scratch / "corp", Options(tls=certificate)) as registry:
        run = oci_pull(_reference(registry)).must_fail(5)
    assert "is not trusted: self-signed certificate" in run.stderr
    assert plain.storage.exists()


# Proxies in front of servers that cut


@pytest.mark.parametrize("is_encrypted", [True, False], ids=["tunnel", "plain"])
def test_through_a_proxy_no_byte_comes_twice_though_every_connection_is_cut(
    is_encrypted: bool, authority: Authority, proxy: Tinyproxy, oci_pull: Command
) -> None:
    files = model(12 << 20)
    artifact = builders.docker_v02(files)
    tls = authority.server().server_context() if is_encrypted else None
    words = ("--proxy", proxy.host, "--ca-file", authority.ca_file)
    with FakeRegistry(tls=tls) as registry:
        found = put(registry, artifact)
        registry.blob_faults = BlobFaults(cut_after=700_000)
        run = oci_pull(*words, *(() if is_encrypted else ("--plain-http",)), found)
        assert_tree(run.path, files)
        document = artifact.document
        blobs = (document["config"], *document["layers"])
        assert registry.bytes_served == sum(int(each["size"]) for each in blobs)
        assert registry.count("GET", "blob") >= (12 << 20) // 700_000
    assert proxy.requests()
