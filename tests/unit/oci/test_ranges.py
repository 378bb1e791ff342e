import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.oci.ranges import ContentRange, Span, merge, missing


@pytest.mark.parametrize(("start", "end"), [(0, 0), (5, 5), (5, 4), (-1, 5)])
def test_a_span_is_never_empty(start: int, end: int) -> None:
    with pytest.raises(ValueError, match=f"no bytes between {start} and {end}"):
        Span(start, end)


def test_a_header_asks_for_a_closed_range_that_includes_its_last_byte() -> None:
    assert Span(0, 1).header == "bytes=0-0"
    assert Span(100, 200).header == "bytes=100-199"
    assert Span(100, 200).size == 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes 0-0/1", ContentRange(Span(0, 1), 1)),
        ("bytes 100-199/1000", ContentRange(Span(100, 200), 1000)),
        ("bytes 100-199/*", ContentRange(Span(100, 200), None)),
        ("  BYTES   0-9/10 ", ContentRange(Span(0, 10), 10)),
    ],
)
def test_a_content_range_says_what_is_served(text: str, expected: ContentRange) -> None:
    assert ContentRange.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bytes */1000",
        "bytes 5-4/10",
        "bytes 0-10/10",
        "bytes 0-9",
        "bytes=0-9/10",
        "bytes 0-/10",
        "bytes -9/10",
        "bytes 0-9/x",
        "items 0-9/10",
        "bytes 0-9/10, bytes 20-29/30",
        f"bytes 0-{'9' * 5000}/*",
    ],
)
def test_a_content_range_that_names_no_bytes_is_none(text: str) -> None:
    assert ContentRange.parse(text) is None


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], ()),
        ([(0, 5), (5, 9)], ((0, 9),)),
        ([(5, 9), (0, 6)], ((0, 9),)),
        ([(0, 9), (2, 3)], ((0, 9),)),
        ([(0, 2), (3, 4)], ((0, 2), (3, 4))),
    ],
)
def test_spans_that_touch_or_overlap_are_one(
    spans: list[tuple[int, int]], expected: tuple[tuple[int, int], ...]
) -> None:
    assert merge(Span(*each) for each in spans) == tuple(Span(*each) for each in expected)


@pytest.mark.parametrize(
    ("size", "present", "expected"),
    [
        (10, [], [(0, 10)]),
        (10, [(0, 10)], []),
        (10, [(0, 3), (5, 7)], [(3, 5), (7, 10)]),
        (10, [(4, 10)], [(0, 4)]),
        (10, [(8, 20)], [(0, 8)]),
        (10, [(12, 20)], [(0, 10)]),
        (10, [(0, 12), (15, 20)], []),
        (0, [], []),
    ],
)
def test_what_is_missing_is_the_rest_in_order(
    size: int, present: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    found = missing(size, [Span(*each) for each in present])
    assert found == tuple(Span(*each) for each in expected)


spans = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda p: Span(p[0], p[0] + p[1]))


def positions(of: tuple[Span, ...] | list[Span]) -> set[int]:
    return {position for span in of for position in range(span.start, span.end)}


@given(st.lists(spans, max_size=8))
def test_merging_keeps_every_byte_and_leaves_gaps(given_spans: list[Span]) -> None:
    merged = merge(given_spans)
    assert positions(merged) == positions(given_spans)
    assert all(left.end < right.start for left, right in itertools.pairwise(merged))


@given(st.integers(0, 50), st.lists(spans, max_size=8))
def test_missing_and_present_are_the_whole(size: int, present: list[Span]) -> None:
    left = missing(size, present)
    assert positions(left) == set(range(size)) - positions(present)


@given(st.text() | st.from_regex(r"bytes [0-9]{1,30}-[0-9]{1,30}/([0-9]{1,30}|\*)"))
def test_any_text_is_a_content_range_or_none(text: str) -> None:
    found = ContentRange.parse(text)
    assert found is None or found.total is None or found.span.end <= found.total
