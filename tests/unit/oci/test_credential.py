import base64

import pytest

from oci_pull.oci.credential import Anonymous, Basic, Credential, IdentityToken, RegistryToken

SECRET = "hunter2-é"
SOURCE = "/home/ada/.docker/config.json"


@pytest.mark.parametrize(
    "credential",
    [Basic("ada", SECRET, SOURCE), IdentityToken(SECRET, SOURCE), RegistryToken(SECRET, SOURCE)],
    ids=lambda credential: type(credential).__name__,
)
def test_no_text_of_a_credential_holds_its_secret(credential: Credential) -> None:
    encoded = base64.b64encode(f"ada:{SECRET}".encode()).decode()
    for text in (repr(credential), str(credential), f"{credential}", f"{[credential]}"):
        assert SECRET not in text
        assert encoded not in text
    assert SOURCE in str(credential)


def test_an_error_about_a_password_names_its_user() -> None:
    assert str(Basic("ada", SECRET, SOURCE)) == f"user 'ada' from {SOURCE}"


def test_basic_is_the_pair_in_base64_of_utf_8() -> None:
    kind, _, encoded = Basic("ada", "a:b é").header.partition(" ")
    assert kind == "Basic"
    assert base64.b64decode(encoded) == "ada:a:b é".encode()


def test_a_registry_token_is_a_bearer_as_it_is() -> None:
    assert RegistryToken(SECRET).header == f"Bearer {SECRET}"


def test_nobody_is_anonymous() -> None:
    assert str(Anonymous()) == "anonymous"
    assert Anonymous() == Anonymous()
