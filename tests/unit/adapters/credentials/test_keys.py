"""Which key is for which registry, and which of several says most."""

from __future__ import annotations

import pytest

from oci_pull.adapters.credentials.keys import best_key, helper_keys, keys_of, own_key

HUB = "https://index.docker.io/v1/"


@pytest.mark.parametrize(
    ("keys", "host", "repository", "best"),
    [
        ([], "r.example", "a/b", None),
        (["r.example"], "r.example", "a/b", "r.example"),
        (["R.Example"], "r.example", "a/b", "R.Example"),
        (["r.example:443"], "r.example", "a/b", None),
        # The longest path that the repository is in.
        (["r.example", "r.example/a", "r.example/a/b"], "r.example", "a/b", "r.example/a/b"),
        (["r.example", "r.example/a", "r.example/a/b"], "r.example", "a/c", "r.example/a"),
        (["r.example", "r.example/a", "r.example/a/b"], "r.example", "ab", "r.example"),
        (["https://r.example/a/"], "r.example", "a/b", "https://r.example/a/"),
        (["r.example/a"], "r.example", "b/a", None),
        (["r.example/a"], "r.example", "", None),
        (["r.example/a/b"], "r.example", "a", None),
        # What Docker writes before anything that only means the same.
        (["https://r.example", "r.example"], "r.example", "a", "r.example"),
        (["docker.io", HUB], "docker.io", "library/a", HUB),
        (["index.docker.io", "docker.io"], "docker.io", "library/a", "docker.io"),
        (["docker.io/ai"], "registry-1.docker.io", "ai/m", "docker.io/ai"),
        # Stars, one label each, as in pull secrets.
        (["*.r.example"], "eu.r.example", "a", "*.r.example"),
        (["*.r.example"], "r.example", "a", None),
        (["*.r.example"], "x.eu.r.example", "a", None),
        (["*.r.example:5000"], "eu.r.example:5000", "a", "*.r.example:5000"),
        (["*.r.example"], "eu.r.example:5000", "a", None),
        (["*"], "r.example", "a", None),
        (["*.r.example", "eu.r.example"], "eu.r.example", "a", "eu.r.example"),
        (["*.r.example/a", "eu.r.example"], "eu.r.example", "a", "*.r.example/a"),
        # Nothing that is near is good enough.
        (["r.example.evil.example"], "r.example", "a", None),
        (["evil.example/r.example"], "r.example", "a", None),
        (["https://", "/", "", "//r.example"], "r.example", "a", None),
    ],
)
def test_the_key_that_says_most(
    keys: list[str], host: str, repository: str, best: str | None
) -> None:
    assert best_key(keys, host, repository) == best
    assert best_key(reversed(keys), host, repository) == best


def test_what_docker_writes_and_asks_for() -> None:
    assert own_key("registry-1.docker.io") == HUB
    assert own_key("Ghcr.io:443") == "ghcr.io:443"
    assert helper_keys("docker.io") == (HUB, "docker.io")
    assert helper_keys("ghcr.io") == ("ghcr.io",)


def test_every_key_of_a_registry_and_none_of_its_namespaces_or_of_many() -> None:
    keys = [HUB, "docker.io", "https://registry-1.docker.io/v2/", "docker.io/ai", "*.io", "r.io"]
    assert keys_of(keys, "index.docker.io") == tuple(keys[:3])
    assert keys_of(keys, "r.io") == ("r.io",)
