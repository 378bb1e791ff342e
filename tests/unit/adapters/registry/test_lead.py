"""Where a registry may lead to by naming a parent, by where it is itself."""

from collections.abc import Callable

import pytest

from oci_pull.adapters.registry.guard import Guard
from oci_pull.adapters.registry.lead import Lead
from oci_pull.adapters.registry.trust import RegistryAccess, Trust
from oci_pull.errors import ConnectionFailed, RedirectRefused
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Locator, parse_locator
from tests.fakes.memory import MemorySource

HOME, PARENT = "registry.example:443", "parent.example:443"
CHILD = parse_locator("registry.example/team/kit:v1")


class Asked(MemorySource):
    """A registry that is where it is once it was asked."""

    def __init__(self, answer: Callable[[], None] = lambda: None) -> None:
        super().__init__({})
        self.asked: list[str] = []
        self._answer = answer

    def digest_of(self, tag: str) -> Digest | None:
        self.asked.append(tag)
        self._answer()
        return None


NO_TRUST = Trust()


def lead_of(address: str, trust: Trust = NO_TRUST, child: Locator = CHILD) -> tuple[Lead, Asked]:
    """Of a registry that turns out to be at an address; at none that cannot be reached."""

    def answer() -> None:
        if not address:
            raise ConnectionFailed("nobody is there")
        guard = Guard(trust)
        lead.follow(guard)
        guard.meet(HOME)
        guard.judge(address, HOME)

    source = Asked(answer)
    lead = Lead(child, source)
    return lead, source


@pytest.mark.parametrize(
    ("registry", "parent", "words"),
    [
        ("1.1.1.1", "8.8.8.8", ""),
        ("1.1.1.1", "10.0.0.1", "a private network"),
        ("1.1.1.1", "127.0.0.1", "this machine"),
        ("10.0.0.1", "10.9.9.9", ""),
        ("10.0.0.1", "127.0.0.1", "this machine"),
        ("127.0.0.1", "127.0.0.1", ""),
        ("127.0.0.1", "169.254.169.254", "no registry may lead to"),
        ("", "8.8.8.8", ""),
        ("", "10.0.0.1", "a private network"),
        ("", "169.254.169.254", "no registry may lead to"),
    ],
)
def test_a_parent_may_be_where_the_registry_may_redirect_to(
    registry: str, parent: str, words: str
) -> None:
    lead, _ = lead_of(registry)
    if not words:
        lead.allow(parent, PARENT)
        return
    with pytest.raises(RedirectRefused, match=words) as caught:
        lead.allow(parent, PARENT)
    assert f"{HOME} leads to {PARENT} ({parent})" in caught.value.message


def test_the_configuration_opens_the_way_but_not_to_nobodys_addresses() -> None:
    access = RegistryAccess("registry.example", private_redirects=True)
    lead, _ = lead_of("1.1.1.1", Trust((), (access,)))
    lead.allow("10.0.0.1", PARENT)
    with pytest.raises(RedirectRefused):
        lead.allow("169.254.169.254", PARENT)


def test_the_registry_is_asked_once_and_only_where_it_matters() -> None:
    lead, source = lead_of("")
    lead.allow("8.8.8.8", PARENT)
    assert source.asked == []
    for _ in range(2):
        with pytest.raises(RedirectRefused):
            lead.allow("10.0.0.1", PARENT)
    assert source.asked == ["v1"]


def test_a_registry_that_was_reached_is_not_asked() -> None:
    lead, source = lead_of("")
    guard = Guard(Trust())
    lead.follow(guard)
    guard.meet(HOME)
    guard.judge("10.0.0.2", HOME)
    lead.allow("10.0.0.1", PARENT)
    assert source.asked == []


def test_by_digest_it_is_asked_for_the_digest() -> None:
    digest = Digest.of(b"manifest")
    lead, source = lead_of("10.0.0.1", child=parse_locator(f"registry.example/team/kit@{digest}"))
    lead.allow("10.0.0.1", PARENT)
    assert source.asked == [str(digest)]


@pytest.mark.parametrize(
    ("child", "address"),
    [("localhost:5000/team/kit", "127.0.0.1"), ("10.0.0.1:5000/team/kit", "10.2.3.4")],
)
def test_a_registry_that_needs_no_look_up_is_known_without_an_answer(
    child: str, address: str
) -> None:
    lead, _ = lead_of("", child=parse_locator(child))
    lead.allow(address, PARENT)


def test_a_layout_is_on_this_machine() -> None:
    lead, source = lead_of("", child=parse_locator("oci:/models/layout:v1"))
    lead.allow("127.0.0.1", PARENT)
    lead.allow("10.0.0.1", PARENT)
    with pytest.raises(RedirectRefused, match="oci:/models/layout:v1 leads to"):
        lead.allow("169.254.169.254", PARENT)
    assert source.asked == []
