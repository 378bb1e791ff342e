"""Which token services a credential may go to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.oci.realm import may_have_credential, owner_domain


@pytest.mark.parametrize(
    ("realm", "registry"),
    [
        ("ghcr.io", "ghcr.io"),
        ("GHCR.io", "ghcr.io"),
        ("ghcr.io.", "ghcr.io"),
        ("registry.example:5001", "registry.example:5000"),
        ("harbor:443", "harbor:5000"),
        ("10.0.0.1:443", "10.0.0.1"),
        ("[fd00::1]:443", "[fd00::1]:5000"),
        ("auth.docker.io:443", "docker.io"),
        ("authn.nvidia.com:443", "nvcr.io"),
        ("huggingface.co:443", "hf.co"),
        ("gitlab.com:443", "registry.gitlab.com"),
        ("us.icr.io", "icr.io"),
        ("dockerauth.cn-hangzhou.aliyuncs.com", "registry.cn-hangzhou.aliyuncs.com"),
        ("auth.corp.co.uk", "registry.corp.co.uk:5000"),
        ("auth.corp.com.cn", "registry.corp.com.cn"),
        ("localhost:5001", "127.0.0.1:5000"),
        ("127.0.0.2:5001", "localhost:5000"),
        ("[::1]:5001", "localhost:5000"),
        ("me.azurecr.io", "me.azurecr.io"),
    ],
)
def test_the_owner_of_the_registry_may_have_it(realm: str, registry: str) -> None:
    assert may_have_credential(realm, registry)


@pytest.mark.parametrize(
    ("realm", "registry"),
    [
        ("evil.example", "ghcr.io"),
        ("ghcr.io.evil.example", "ghcr.io"),
        ("evilghcr.io", "ghcr.io"),
        ("auth.docker.io.evil.example", "docker.io"),
        ("auth.docker.io", "quay.io"),
        ("authn.nvidia.com", "evil.nvcr.example"),
        ("docker.io", "hf.co"),
        ("other.co.uk", "registry.corp.co.uk"),
        ("other.com.cn", "registry.corp.com.cn"),
        ("co.uk", "registry.co.uk"),
        ("evil.github.io", "corp.github.io"),
        ("evil.azurecr.io", "corp.azurecr.io"),
        ("azurecr.io", "corp.azurecr.io"),
        ("2.dkr.ecr.eu-west-1.amazonaws.com", "1.dkr.ecr.eu-west-1.amazonaws.com"),
        ("10.0.0.1", "10.0.0.2"),
        ("10.1.0.1", "192.1.0.1"),
        ("1.0.1", "2.0.1"),
        ("[fd00::1]:443", "[fd00::2]:443"),
        ("auth", "registry"),
        ("auth.local", "local"),
        ("127.0.0.1", "registry.example"),
        ("localhost", "registry.example"),
        ("registry.example", "localhost:5000"),
        ("localhost.evil.example", "localhost"),
        ("", "registry.example"),
        ("..", "a..b"),
    ],
)
def test_nobody_else_may(realm: str, registry: str) -> None:
    assert not may_have_credential(realm, registry)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (("auth.example",), True),
        (("AUTH.example",), True),
        (("auth.example:8443",), True),
        (("auth.example:443",), False),
        (("example",), False),
        (("x.auth.example",), False),
        ((), False),
    ],
)
def test_a_user_may_name_more(others: tuple[str, ...], expected: bool) -> None:
    assert may_have_credential("auth.example:8443", "registry.test", others) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.b.example.com:443", "example.com"),
        ("example.com", "example.com"),
        ("a.b.co.jp", "b.co.jp"),
        ("co.jp", None),
        ("hf.co", "hf.co"),
        ("hub.nvcr.io", "nvcr.io"),
        ("x.run.app", None),
        ("localhost", None),
        ("127.1", None),
        ("[::1]:5000", None),
    ],
)
def test_the_domain_that_somebody_owns(host: str, expected: str | None) -> None:
    assert owner_domain(host) == expected


hosts = st.text(st.sampled_from("aA1.:[]-\x00ß%"), max_size=20) | st.text(max_size=40)


@given(hosts, hosts)
def test_no_pair_of_hosts_is_a_surprise(realm: str, registry: str) -> None:
    assert may_have_credential(registry, registry)
    assert may_have_credential(realm, registry) in (True, False)
    assert may_have_credential(realm, registry, (realm,))
