"""The tables are those of the reference (registries.md, 1.5 and 1.6), row by row."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.errors import InvalidReference
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import LayoutReference, Reference, parse_locator

HEX = "0123456789abcdef" * 4
D = f"sha256:{HEX}"
SHA384 = f"sha384:{HEX}{HEX[:32]}"
SHA512 = f"sha512:{HEX}{HEX}"
HUB = "docker.io"

Row = tuple[int, str, str, str, str | None, str | None]
VALID: list[Row] = [
    (1, "ubuntu", HUB, "library/ubuntu", "latest", None),
    (2, "ubuntu:22.04", HUB, "library/ubuntu", "22.04", None),
    (3, "library/ubuntu", HUB, "library/ubuntu", "latest", None),
    (4, "docker.io/ubuntu", HUB, "library/ubuntu", "latest", None),
    (5, "docker.io/library/ubuntu:22.04", HUB, "library/ubuntu", "22.04", None),
    (6, "index.docker.io/ubuntu", HUB, "library/ubuntu", "latest", None),
    (7, "index.docker.io/library/ubuntu", HUB, "library/ubuntu", "latest", None),
    (8, "registry-1.docker.io/library/ubuntu", HUB, "library/ubuntu", "latest", None),
    (
        9,
        "registry.hub.docker.com/library/ubuntu",
        "registry.hub.docker.com",
        "library/ubuntu",
        "latest",
        None,
    ),
    (10, "user/repo", HUB, "user/repo", "latest", None),
    (11, "user/repo:tag", HUB, "user/repo", "tag", None),
    (12, "user/a/b/c:v1", HUB, "user/a/b/c", "v1", None),
    (13, "ai/smollm2", HUB, "ai/smollm2", "latest", None),
    (14, "ai/smollm2:360M-Q4_K_M", HUB, "ai/smollm2", "360M-Q4_K_M", None),
    (15, "smollm2", HUB, "library/smollm2", "latest", None),
    (16, f"ubuntu@{D}", HUB, "library/ubuntu", None, D),
    (17, f"ubuntu:22.04@{D}", HUB, "library/ubuntu", "22.04", D),
    (18, "ghcr.io/org/repo:v1", "ghcr.io", "org/repo", "v1", None),
    (19, f"ghcr.io/org/repo@{D}", "ghcr.io", "org/repo", None, D),
    (20, f"ghcr.io/org/repo:v1@{D}", "ghcr.io", "org/repo", "v1", D),
    (21, f"ghcr.io/org/repo@{SHA512}", "ghcr.io", "org/repo", None, SHA512),
    (22, f"ghcr.io/a/b@{SHA384}", "ghcr.io", "a/b", None, SHA384),
    (23, "localhost/foo", "localhost", "foo", "latest", None),
    (24, "localhost/foo:1", "localhost", "foo", "1", None),
    (25, "localhost:5000/foo", "localhost:5000", "foo", "latest", None),
    (26, "localhost:5000/foo/bar:v1", "localhost:5000", "foo/bar", "v1", None),
    (27, "localhost.localdomain/foo", "localhost.localdomain", "foo", "latest", None),
    (28, "LOCALHOST/foo", "LOCALHOST", "foo", "latest", None),
    (29, "myhost/foo", HUB, "myhost/foo", "latest", None),
    (30, "myhost:5000/foo", "myhost:5000", "foo", "latest", None),
    (31, "a:5000/b", "a:5000", "b", "latest", None),
    (32, "MyHost/foo", "MyHost", "foo", "latest", None),
    (33, "MYREG.example.com/foo:1", "MYREG.example.com", "foo", "1", None),
    (34, "127.0.0.1/foo", "127.0.0.1", "foo", "latest", None),
    (35, "127.0.0.1:5000/foo:x", "127.0.0.1:5000", "foo", "x", None),
    (36, "10.0.0.1/foo", "10.0.0.1", "foo", "latest", None),
    (37, "192.168.1.2:5000/foo", "192.168.1.2:5000", "foo", "latest", None),
    (38, "[::1]/foo", "[::1]", "foo", "latest", None),
    (39, "[::1]:5000/foo:x", "[::1]:5000", "foo", "x", None),
    (40, "[2001:db8::1]:443/a/b", "[2001:db8::1]:443", "a/b", "latest", None),
    (41, f"[fe80::1]/a@{D}", "[fe80::1]", "a", None, D),
    (42, "x.local/foo", "x.local", "foo", "latest", None),
    (43, "a.b/c", "a.b", "c", "latest", None),
    (44, "a-b.c--d.io/foo", "a-b.c--d.io", "foo", "latest", None),
    (45, "foo.bar/x", "foo.bar", "x", "latest", None),
    (46, "foo.bar", HUB, "library/foo.bar", "latest", None),
    (47, "foo_bar/x", HUB, "foo_bar/x", "latest", None),
    (48, "foo__bar/x", HUB, "foo__bar/x", "latest", None),
    (49, "user/foo--bar", HUB, "user/foo--bar", "latest", None),
    (
        50,
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/model:1",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com",
        "team/model",
        "1",
        None,
    ),
    (
        51,
        "public.ecr.aws/docker/library/alpine:3",
        "public.ecr.aws",
        "docker/library/alpine",
        "3",
        None,
    ),
    (52, "gcr.io/proj/img", "gcr.io", "proj/img", "latest", None),
    (53, "us-docker.pkg.dev/p/r/i:t", "us-docker.pkg.dev", "p/r/i", "t", None),
    (54, "myreg.azurecr.io/a:b", "myreg.azurecr.io", "a", "b", None),
    (
        55,
        "nvcr.io/nvidia/tritonserver:24.05-py3",
        "nvcr.io",
        "nvidia/tritonserver",
        "24.05-py3",
        None,
    ),
    (56, "harbor.corp:8443/proj/sub/r:1_0", "harbor.corp:8443", "proj/sub/r", "1_0", None),
    (57, "registry.gitlab.com/g/s/p/img:tag", "registry.gitlab.com", "g/s/p/img", "tag", None),
    (58, "hf.co/org/model:Q4_K_M", "hf.co", "org/model", "Q4_K_M", None),
    (
        59,
        "registry.ollama.ai/library/llama3:8b",
        "registry.ollama.ai",
        "library/llama3",
        "8b",
        None,
    ),
    (60, "ubuntu:_x", HUB, "library/ubuntu", "_x", None),
    (60, "ubuntu:V1.0-RC_2", HUB, "library/ubuntu", "V1.0-RC_2", None),
    (60, f"ubuntu:{'t' * 128}", HUB, "library/ubuntu", "t" * 128, None),
    (61, HEX[:63], HUB, f"library/{HEX[:63]}", "latest", None),
    (62, "xn--bcher-kva.example/a", "xn--bcher-kva.example", "a", "latest", None),
    (63, f"ghcr.io/{'a' * 255}", "ghcr.io", "a" * 255, "latest", None),
    (63, f"docker.io/{'a' * 247}", HUB, f"library/{'a' * 247}", "latest", None),
]

# Row 19 (`oci://`) is valid here. The last column is a part of the hint; empty where none is due.
INVALID: list[tuple[int, str, str]] = [
    (1, "", "oci-pull ai/smollm2"),
    (2, ":tag", "joined by"),
    (3, f"@{D}", "joined by"),
    (4, "ubuntu:", "oci-pull ubuntu:latest"),
    (5, "ubuntu@", ""),
    (5, "ubuntu:tag@", ""),
    (6, HEX, f"REPOSITORY@sha256:{HEX}"),
    (7, "Ubuntu", "oci-pull ubuntu"),
    (8, "user/Repo", "oci-pull user/repo"),
    (9, "docker.io/User/repo", "oci-pull docker.io/user/repo"),
    (10, "ghcr.io/Org/repo", "oci-pull ghcr.io/org/repo"),
    (11, "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF", "hf download"),
    (12, "Example.com", "oci-pull example.com"),
    (13, "foo//bar", "joined by"),
    (14, "/foo", "joined by"),
    (15, "foo/", "joined by"),
    (16, "foo/:tag", "joined by"),
    (17, "docker.io/", "joined by"),
    (17, "host:5000/", "joined by"),
    (18, "https://ghcr.io/a/b", "oci-pull ghcr.io/a/b"),
    (20, "docker://ghcr.io/a/b", "oci-pull ghcr.io/a/b"),
    (21, "http://localhost:5000/a", "oci-pull localhost:5000/a"),
    (22, "ghcr.io/a/b:tag:tag", "at most one :TAG"),
    (23, "ghcr.io/a/b:tag/x", "a tag to the last"),
    (24, "a/b/c:5000/d", "a port belongs to the first component"),
    (25, "ghcr.io/a/b:v1+build", "oci-pull ghcr.io/a/b:v1_build"),
    (26, f"ubuntu:{'t' * 129}", "128 characters"),
    (27, "ubuntu:.x", "a tag has"),
    (27, "ubuntu:-x", "a tag has"),
    (28, f"ghcr.io/a/b@sha256:{HEX.upper()}", f"@{D}"),
    (29, f"ghcr.io/a/b@sha256:{HEX[:63]}", ""),
    (29, f"ghcr.io/a/b@sha256:{HEX}0", ""),
    (30, f"ghcr.io/a/b@md5:{HEX[:32]}", ""),
    (30, f"ghcr.io/a/b@sha256:{'g' * 64}", ""),
    (31, f"ghcr.io/a/b@SHA256:{HEX}", f"@{D}"),
    (32, f"ghcr.io/a/b@{HEX}", f"@{D}"),
    (33, f"ghcr.io/a/b@blake3:{HEX}", ""),
    (34, f"ghcr.io/a/b@{D}@{D}", ""),
    (35, "ghcr.io/a b/c", "oci-pull ghcr.io/ab/c"),
    (36, " ghcr.io/a/b", "oci-pull ghcr.io/a/b"),
    (37, "ghcr.io/a/b ", "oci-pull ghcr.io/a/b"),
    (38, "ghcr.io/a/b?x", "joined by"),
    (39, "ghcr.io/a/b#c", "joined by"),
    (40, "ghcr.io/a/../b", "joined by"),
    (41, "ghcr.io/./b", "joined by"),
    (42, "../a", "a host has"),
    (43, "ghcr.io:/a", "a host has"),
    (44, "ghcr.io:abc/a", "a host has"),
    (45, "::1/foo", "an IPv6 address has brackets"),
    (46, "[::1/foo", "an IPv6 address has brackets"),
    (47, "[::ffff:1.2.3.4]/a", "a host has"),
    (48, "[fe80::1%25eth0]/a", "a host has"),
    (49, "user@host/a", ""),
    (50, "foo..bar.io/x", "a host has"),
    (51, "foo___bar/x", "joined by"),
    (52, "user/foo-_bar", "joined by"),
    (53, "user/-foo", "joined by"),
    (53, "user/foo-", "joined by"),
    (53, "user/foo_", "joined by"),
    (54, "-foo.io/x", "a host has"),
    (54, "foo-.io/x", "a host has"),
    (55, "bücher.example/a", "a host has"),
    (56, "ghcr.io/bücher", "joined by"),
    (57, "ghcr.io.", "joined by"),
    (57, "ghcr.io./a", "a host has"),
    (58, "ghcr.io/a.", "joined by"),
    (58, "ghcr.io/.a", "joined by"),
    (59, f"ghcr.io/{'a' * 256}", ""),
    (60, f"docker.io/{'a' * 248}", ""),
]


def rows(table: list[Row] | list[tuple[int, str, str]]) -> list[str]:
    return [f"row {row[0]}: {row[1][:50]}" for row in table]


def refused(text: str, **options: str) -> InvalidReference:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text, **options)
    return caught.value


@pytest.mark.parametrize("row", VALID, ids=rows(VALID))
def test_a_valid_row_of_the_reference_parses_to_its_parts(row: Row) -> None:
    _, text, registry, repository, tag, digest = row
    found = Reference.parse(text)
    assert (found.registry, found.repository, found.tag) == (registry, repository, tag)
    assert found.digest == (Digest.parse(digest) if digest else None)
    assert Reference.parse(str(found)) == found


@pytest.mark.parametrize(("row", "text", "hint"), INVALID, ids=rows(INVALID))
def test_an_invalid_row_of_the_reference_is_refused_with_its_hint(
    row: int, text: str, hint: str
) -> None:
    error = refused(text)
    assert hint in "\n".join((*error.facts, error.hint or ""))
    assert error.exit_code == 2


def test_the_tables_have_every_row_of_the_reference() -> None:
    assert {row[0] for row in VALID} == set(range(1, 64))
    assert {row[0] for row in INVALID} | {19} == set(range(1, 61))


@pytest.mark.parametrize(
    "text", ["https://ghcr.io/a/b:v1/", "HTTP://ghcr.io/a/b:v1", "oci://docker://ghcr.io/a/b:v1"]
)
def test_another_scheme_is_refused_with_the_corrected_text(text: str) -> None:
    assert refused(text).hint == "oci-pull ghcr.io/a/b:v1"


def test_a_scheme_alone_has_nothing_to_correct() -> None:
    assert refused("https://").hint is None


def test_the_scheme_of_oci_is_taken_off() -> None:
    found = Reference.parse("oci://ghcr.io/a/b:v1")
    assert found == Reference.parse("ghcr.io/a/b:v1")
    assert str(found) == "ghcr.io/a/b:v1"


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_digest_without_a_name_is_refused_with_the_place_for_the_name(algorithm: str) -> None:
    assert refused(f"{algorithm}:{HEX}").hint == f"oci-pull REPOSITORY@{algorithm}:{HEX}"


@pytest.mark.parametrize("text", ["foo_bar.io/x", "a_b.c/d"])
def test_a_host_with_an_underscore_is_refused_with_what_a_host_has(text: str) -> None:
    assert "dots and dashes" in refused(text).facts[0]


@pytest.mark.parametrize("port", ["0", "65536", "99999", "9" * 5000])
def test_a_port_that_no_host_has_is_refused_with_the_range(port: str) -> None:
    assert refused(f"ghcr.io:{port}/a").facts == ("a port is between 1 and 65535",)


@pytest.mark.parametrize("port", ["1", "65535"])
def test_the_ends_of_the_range_of_ports_are_ports(port: str) -> None:
    assert Reference.parse(f"ghcr.io:{port}/a").registry == f"ghcr.io:{port}"


@pytest.mark.parametrize(
    ("text", "repository", "tag"),
    [
        ("localhost", "library/localhost", "latest"),
        ("localhost:5000", "library/localhost", "5000"),
        ("example.com", "library/example.com", "latest"),
        ("example.com:5000", "library/example.com", "5000"),
        ("docker.io", "library/docker.io", "latest"),
    ],
)
def test_a_bare_host_parses_as_docker_parses_it(text: str, repository: str, tag: str) -> None:
    assert Reference.parse(text) == Reference(HUB, repository, tag, None)


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("ghcr.io/Org/repo:V1", "ghcr.io/org/repo:V1"),
        ("localhost:5000/Repo:Q4_K_M", "localhost:5000/repo:Q4_K_M"),
        (f"oci://Ubuntu:RC@{D}", f"oci://ubuntu:RC@{D}"),
    ],
)
def test_the_hint_lowers_the_repository_and_keeps_the_case_of_the_tag(
    text: str, corrected: str
) -> None:
    assert refused(text).hint == f"oci-pull {corrected}"
    assert Reference.parse(corrected)


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("ghcr.io/a/b:", "ghcr.io/a/b:latest"),
        (f"ghcr.io/a/b:@{D}", f"ghcr.io/a/b@{D}"),
        ("oci://a:", "oci://a:latest"),
    ],
)
def test_an_empty_tag_is_refused_with_a_reference_to_the_same_place(
    text: str, corrected: str
) -> None:
    assert refused(text).hint == f"oci-pull {corrected}"


def test_a_tag_with_plus_is_refused_with_the_corrected_text() -> None:
    hint = refused(f"localhost:5000/a:1.0+x+y@{D}").hint or ""
    assert hint.endswith(f"oci-pull localhost:5000/a:1.0_x_y@{D}")


@pytest.mark.parametrize("text", ["index.docker.io/a/b", "Registry-1.Docker.io/a/b", "a/b"])
def test_every_name_of_docker_hub_is_docker_io(text: str) -> None:
    assert Reference.parse(text) == Reference.parse("docker.io/a/b")


def test_a_host_keeps_its_case_in_text_and_is_compared_in_lower_case() -> None:
    found = Reference.parse("MyHost:5000/a")
    assert str(found) == "MyHost:5000/a:latest"
    assert found.host == "myhost:5000"
    assert found.name == "MyHost:5000/a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost/a", True),
        ("LOCALHOST:5000/a", True),
        ("127.0.0.1/a", True),
        ("127.8.9.10:80/a", True),
        ("[::1]:5000/a", True),
        ("localhost.localdomain/a", False),
        ("127.0.0.1.example.com/a", False),
        ("10.0.0.1/a", False),
        ("[::2]/a", False),
    ],
)
def test_only_this_machine_is_loopback(text: str, expected: bool) -> None:
    assert Reference.parse(text).is_loopback is expected


@pytest.mark.parametrize(
    ("text", "tag"), [("a:1", "1"), ("a", "latest"), (f"a:1@{D}", None), (f"a@{D}", None)]
)
def test_a_tag_moves_only_where_no_digest_decides(text: str, tag: str | None) -> None:
    assert Reference.parse(text).moving_tag == tag


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("a", "ghcr.io", "ghcr.io/a:latest"),
        ("a/b:1", "localhost:5000", "localhost:5000/a/b:1"),
        ("a", "index.docker.io", "docker.io/library/a:latest"),
        ("quay.io/a", "ghcr.io", "quay.io/a:latest"),
        ("docker.io/a", "ghcr.io", "docker.io/library/a:latest"),
        ("a", "localhost", "localhost/a:latest"),
    ],
)
def test_the_default_registry_is_for_names_without_one(
    text: str, default: str, expected: str
) -> None:
    found = Reference.parse(text, default_registry=default)
    assert str(found) == expected
    assert Reference.parse(str(found)) == found


@pytest.mark.parametrize("default", ["harbor", "https://ghcr.io", "ghcr.io/prefix", "", "a b"])
def test_a_default_registry_that_would_not_parse_again_is_refused(default: str) -> None:
    assert refused("a", default_registry=default).facts


def test_a_default_registry_without_a_dot_is_told_to_name_its_port() -> None:
    assert refused("a", default_registry="harbor").facts[0].endswith("harbor:443")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oci:models", LayoutReference("models", is_archive=False, tag=None, digest=None)),
        ("oci:/a/b:v1", LayoutReference("/a/b", is_archive=False, tag="v1", digest=None)),
        ("oci:/a:x/y:1", LayoutReference("/a", is_archive=False, tag="x/y:1", digest=None)),
        ("oci:a@b", LayoutReference("a@b", is_archive=False, tag=None, digest=None)),
        ("oci:a:", LayoutReference("a", is_archive=False, tag=None, digest=None)),
        (f"oci:a@{D}", LayoutReference("a", is_archive=False, tag=None, digest=Digest.parse(D))),
        (f"oci:a:v@{D}", LayoutReference("a", is_archive=False, tag="v", digest=Digest.parse(D))),
        ("oci-archive:a.tar", LayoutReference("a.tar", is_archive=True, tag=None, digest=None)),
        ("oci-archive:a.tar:v", LayoutReference("a.tar", is_archive=True, tag="v", digest=None)),
    ],
)
def test_a_layout_is_split_at_the_first_colon_behind_its_path(
    text: str, expected: LayoutReference
) -> None:
    found = parse_locator(text)
    assert found == expected
    assert parse_locator(str(found)) == found


@pytest.mark.parametrize(
    ("text", "tag"), [("oci:a", ""), ("oci:a:v1", "v1"), (f"oci:a:v1@{D}", None)]
)
def test_a_layout_without_a_tag_means_its_only_manifest(text: str, tag: str | None) -> None:
    assert LayoutReference.parse(text).moving_tag == tag


@pytest.mark.parametrize("text", ["oci:", "oci::tag", "oci-archive:", f"oci:@{D}"])
def test_a_layout_without_a_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference, match="names no path") as caught:
        parse_locator(text)
    assert f"oci-pull {text.partition(':')[0]}:PATH" in (caught.value.hint or "")


def test_a_layout_with_half_a_digest_is_refused() -> None:
    with pytest.raises(InvalidReference, match="not a sha256 digest"):
        parse_locator("oci:a@sha256:123")


def test_a_locator_that_is_no_layout_is_a_reference() -> None:
    assert parse_locator("oci://a/b") == Reference.parse("a/b")
    assert parse_locator("oci", default_registry="ghcr.io") == Reference.parse("ghcr.io/oci")


pieces = st.sampled_from(
    "a B 0 x.y - _ . / : @ [ ] ::1 localhost oci oci: oci:// oci-archive: docker.io + 443 é "
    f"sha256: {D} {HEX}".split(" ")
)
texts = st.text() | st.lists(pieces, max_size=12).map("".join)


@given(texts)
def test_any_text_is_a_reference_that_round_trips_or_is_refused(text: str) -> None:
    try:
        found = Reference.parse(text)
    except InvalidReference:
        return
    assert Reference.parse(str(found)) == found
    assert re.fullmatch(r"[a-z0-9._/-]+", found.repository)
    assert ".." not in found.repository.split("/")


@given(texts, texts)
def test_any_default_registry_gives_a_reference_that_round_trips_or_is_refused(
    text: str, default: str
) -> None:
    try:
        found = Reference.parse(text, default_registry=default)
    except InvalidReference:
        return
    assert Reference.parse(str(found)) == found


@given(texts.map(lambda text: f"oci:{text}") | texts.map(lambda text: f"oci-archive:{text}"))
def test_any_layout_round_trips_or_is_refused(text: str) -> None:
    try:
        found = LayoutReference.parse(text)
    except InvalidReference:
        return
    assert LayoutReference.parse(str(found)) == found
    assert found.path
