import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.oci.challenge import Challenge, parse_challenges, preferred

HUB = (
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
    'scope="repository:library/ubuntu:pull,push"'
)


def parsed(*lines: str) -> list[tuple[str, dict[str, str]]]:
    return [(each.scheme, dict(each.parameters)) for each in parse_challenges(lines)]


def test_commas_inside_quotes_belong_to_their_value() -> None:
    (found,) = parse_challenges([HUB])
    assert found.scheme == "bearer"
    assert found.realm == "https://auth.docker.io/token"
    assert found.service == "registry.docker.io"
    assert found.scope == "repository:library/ubuntu:pull,push"


def test_several_lines_are_several_challenges_in_order() -> None:
    assert parsed("Negotiate", 'Bearer realm="r"') == [
        ("negotiate", {}),
        ("bearer", {"realm": "r"}),
    ]


@pytest.mark.parametrize(
    "line",
    [
        'Negotiate, Basic realm="b", Bearer realm="r",service="s"',
        'Negotiate , Basic realm="b" ,Bearer realm="r" , service="s"',
        ', Negotiate,, Basic realm="b",,Bearer realm=r,service=s',
    ],
)
def test_several_challenges_in_a_line_are_told_apart(line: str) -> None:
    assert parsed(line) == [
        ("negotiate", {}),
        ("basic", {"realm": "b"}),
        ("bearer", {"realm": "r", "service": "s"}),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('bearer realm="r"', {"realm": "r"}),
        ('BEARER REALM="r",Service="S"', {"realm": "r", "service": "S"}),
        (
            "Bearer realm=https://a/token?x=1,service=s",
            {"realm": "https://a/token?x=1", "service": "s"},
        ),
        ('Bearer realm = "r" , service = "s"', {"realm": "r", "service": "s"}),
        ('Bearer realm="/auth/token"', {"realm": "/auth/token"}),
        ('Bearer realm="http://a/t?account=x&y=z"', {"realm": "http://a/t?account=x&y=z"}),
        (r'Bearer realm="a \"quoted\" \\ name"', {"realm": r'a "quoted" \ name'}),
        ('Bearer realm=""', {"realm": ""}),
        ('Bearer realm="first",realm="second"', {"realm": "first"}),
        ('Bearer error="invalid_token",realm="r"', {"realm": "r", "error": "invalid_token"}),
        ("Bearer", {}),
        ("Bearer   ", {}),
    ],
)
def test_every_shape_of_a_bearer_challenge_is_read(line: str, expected: dict[str, str]) -> None:
    assert parsed(line) == [("bearer", expected)]


def test_an_error_says_why_a_token_was_refused() -> None:
    (found,) = parse_challenges(['Bearer realm="r",error="insufficient_scope"'])
    assert (found.error, found.service, found.scope) == ("insufficient_scope", "", "")


def test_a_token_behind_a_scheme_does_not_hide_the_next_challenge() -> None:
    assert [scheme for scheme, _ in parsed('NTLM abcd==, Bearer realm="r"')] == ["ntlm", "bearer"]


@pytest.mark.parametrize("line", ["", ",", " ", '"Bearer"', "=", "Bearer=x", "{}"])
def test_what_is_no_challenge_is_none(line: str) -> None:
    assert parsed(line) == []


@pytest.mark.parametrize(
    "line", ['Bearer realm="unclosed', "Bearer realm=", 'Bearer realm="a" service="b"']
)
def test_what_cannot_be_read_ends_its_line_and_not_the_next(line: str) -> None:
    assert parsed(line, 'Basic realm="r"') == [("bearer", {}), ("basic", {"realm": "r"})]


def test_parameters_cannot_be_changed() -> None:
    (found,) = parse_challenges([HUB])
    with pytest.raises(TypeError):
        found.parameters["realm"] = "elsewhere"  # type: ignore[index]  # the point


@pytest.mark.parametrize(
    ("schemes", "expected"),
    [
        (["basic", "bearer"], 1),
        (["negotiate", "basic"], 1),
        (["bearer", "bearer"], 0),
        (["negotiate", "digest"], None),
        ([], None),
    ],
)
def test_bearer_is_preferred_to_basic_and_nothing_else_is_taken(
    schemes: list[str], expected: int | None
) -> None:
    challenges = [Challenge(scheme, {"realm": str(n)}) for n, scheme in enumerate(schemes)]
    found = preferred(iter(challenges))
    assert found is (None if expected is None else challenges[expected])


pieces = st.sampled_from(
    ["Bearer ", "Basic", "realm", "=", '"', ",", " ", "\\", "a/b", "scope", "\t", "é", "\x00"]
)


@given(st.lists(st.text() | st.lists(pieces, max_size=20).map("".join), max_size=3))
def test_any_header_is_some_challenges(lines: list[str]) -> None:
    for found in parse_challenges(lines):
        assert found.scheme
        assert all(name == name.lower() for name in found.parameters)


@given(st.dictionaries(st.sampled_from(["realm", "service", "scope"]), st.text(), min_size=1))
def test_whatever_is_quoted_is_read_as_it_was_meant(parameters: dict[str, str]) -> None:
    quoted = {
        name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in parameters.items()
    }
    line = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in quoted.items())
    assert parsed(line) == [("bearer", parameters)]
