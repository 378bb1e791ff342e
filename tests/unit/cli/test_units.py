import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.cli.units import duration, shortened, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (1_500_000, "1.5 MB"),
        (60_100_000_000, "60.1 GB"),
        (2_500_000_000_000, "2.5 TB"),
        (9_999_000_000_000_000, "9999.0 TB"),
    ],
)
def test_sizes_are_decimal(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.31, "0.3 s"), (12.4, "12 s"), (59.6, "1:00"), (194, "3:14"), (3723, "1:02:03")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.text(max_size=60), st.integers(min_value=3, max_value=40))
def test_a_shortened_name_fits_and_keeps_its_ends(name: str, width: int) -> None:
    short = shortened(name, width)
    assert len(short) == min(len(name), width)
    assert short[:1] == name[:1]
    assert short[-1:] == name[-1:]
