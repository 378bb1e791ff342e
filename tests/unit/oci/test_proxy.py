"""Which proxy is asked, and for what none is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.errors import InvalidSetting
from oci_pull.oci.proxy import Exceptions, Proxies, ProxyServer

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "url", "name"),
    [
        ("http://proxy.corp:3128", "http://proxy.corp:3128", "proxy.corp:3128"),
        ("http://proxy.corp:3128/", "http://proxy.corp:3128", "proxy.corp:3128"),
        ("proxy.corp:3128", "http://proxy.corp:3128", "proxy.corp:3128"),
        ("proxy.corp", "http://proxy.corp:80", "proxy.corp:80"),
        ("https://proxy.corp", "https://proxy.corp:443", "proxy.corp:443"),
        ("SOCKS5H://proxy.corp", "socks5h://proxy.corp:1080", "proxy.corp:1080"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128", "[fd00::1]:3128"),
    ],
)
def test_a_proxy(text: str, url: str, name: str) -> None:
    server = ProxyServer.parse(text, "HTTPS_PROXY")
    assert (server.url, str(server)) == (url, name)
    assert server.is_socks == url.startswith("socks")


def test_a_proxy_with_a_password_never_shows_it() -> None:
    server = ProxyServer.parse(f"http://us%40er:{SECRET}%2F%3A@proxy.corp:3128", "HTTPS_PROXY")
    assert (server.username, server.password) == ("us@er", f"{SECRET}/:")
    for text in (str(server), repr(server), server.url, repr(Proxies(server, server))):
        assert SECRET not in text
        assert "us@er" not in text


@pytest.mark.parametrize(
    "text",
    [
        f"gopher://ada:{SECRET}@proxy.corp",
        f"http://ada:{SECRET}@",
        f"http://ada:{SECRET}/x@proxy.corp:1",
        f"http://ada:{SECRET}@proxy.corp:http",
        f"http://ada:{SECRET}@proxy.corp:99999",
        f"http://{SECRET}@[::1",
        f"http://proxy.corp/{SECRET}",
        f"http://{SECRET} x:1",
        "://",
    ],
)
def test_what_is_no_proxy_is_named_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidSetting, match="HTTPS_PROXY is no proxy") as caught:
        ProxyServer.parse(text, "HTTPS_PROXY")
    assert SECRET not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("rule", "host", "port", "expected"),
    [
        ("*", "registry.example", 443, True),
        ("corp", "corp", 443, True),
        ("corp", "registry.corp", 443, True),
        ("corp", "registry.CORP.", 443, True),
        ("corp", "notcorp", 443, False),
        (".corp", "registry.corp", 443, True),
        (".corp", "corp", 443, False),
        ("*.corp", "a.b.corp", 443, True),
        ("*.corp", "corp", 443, False),
        ("Registry.Corp", "registry.corp", 443, True),
        ("registry.corp:5000", "registry.corp", 5000, True),
        ("registry.corp:5000", "registry.corp", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.5/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "registry.corp", 443, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("fd00::/8", "[fd12::1]", 443, True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", 443, True),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3:5000", "10.1.2.3", 443, False),
        ("0.3", "10.1.0.3", 443, False),
        ("fd12::1", "fd12::1", 443, True),
        ("[fd12::1]:5000", "fd12::1", 5000, True),
        ("[fd12::1]:5000", "fd12::1", 443, False),
        ("10.0.0.0/99", "10.1.2.3", 443, False),
        ("localhost", "localhost", 443, True),
        ("127.0.0.1", "localhost", 443, False),
        (".", "registry.corp", 443, False),
        (":5000", "registry.corp", 5000, False),
        ("", "registry.corp", 443, False),
        ("a.example,\tb.example c.example", "c.example", 443, True),
    ],
)
def test_an_exception(rule: str, host: str, port: int, expected: bool) -> None:
    assert Exceptions.parse(rule).match(host, port) is expected


@given(st.text(), st.text())
def test_no_rule_and_no_host_is_a_surprise(rules: str, host: str) -> None:
    assert Exceptions.parse(rules).match(host, 443) in (True, False)


@pytest.mark.parametrize(
    ("environ", "scheme", "host", "expected"),
    [
        ({}, "https", "a.example", None),
        ({"HTTPS_PROXY": "p:1"}, "https", "a.example", "p:1"),
        ({"HTTPS_PROXY": "p:1"}, "http", "a.example", None),
        ({"HTTP_PROXY": "p:1"}, "http", "a.example", "p:1"),
        ({"HTTPS_PROXY": "p:1", "https_proxy": "q:2"}, "https", "a.example", "q:2"),
        ({"ALL_PROXY": "p:1"}, "https", "a.example", "p:1"),
        ({"all_proxy": "p:1"}, "http", "a.example", "p:1"),
        ({"ALL_PROXY": "p:1", "https_proxy": "q:2"}, "https", "a.example", "q:2"),
        ({"ALL_PROXY": "p:1", "https_proxy": " "}, "https", "a.example", "p:1"),
        ({"HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"}, "http", "a.example", None),
        ({"http_proxy": "p:1", "REQUEST_METHOD": "GET"}, "http", "a.example", "p:1"),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "a.example"}, "https", "b.a.example", None),
        ({"HTTPS_PROXY": "p:1", "no_proxy": "b.example"}, "https", "a.example", "p:1"),
        ({"HTTPS_PROXY": "p:1"}, "https", "localhost", None),
        ({"HTTPS_PROXY": "p:1"}, "https", "127.0.0.1", None),
        ({"HTTPS_PROXY": "p:1"}, "https", "127.8.8.8", None),
        ({"HTTPS_PROXY": "p:1"}, "https", "[::1]", None),
    ],
)
def test_the_proxy_of_the_environment(
    environ: dict[str, str], scheme: str, host: str, expected: str | None
) -> None:
    found = Proxies.of(environ).choose(scheme, host, 443)
    assert (str(found) if found else None) == expected


def test_the_proxy_of_the_command_line_is_for_everything_but_the_exceptions() -> None:
    environ = {"HTTPS_PROXY": "other:1", "HTTP_PROXY": "gopher://x", "NO_PROXY": "10.0.0.0/8"}
    proxies = Proxies.of(environ, "given:1")
    for scheme, host in (("https", "a.example"), ("http", "b.example"), ("http", "localhost")):
        assert str(proxies.choose(scheme, host, 80)) == "given:1"
    assert proxies.choose("https", "10.1.1.1", 443) is None


def test_the_variable_that_is_wrong_is_named() -> None:
    with pytest.raises(InvalidSetting, match="all_proxy is no proxy"):
        Proxies.of({"all_proxy": "gopher://x"})
    with pytest.raises(InvalidSetting, match="--proxy is no proxy"):
        Proxies.of({}, "gopher://x")
