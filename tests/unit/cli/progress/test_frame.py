import pytest

from oci_pull.cli.progress.frame import Glyphs, Role, Shown, frame, text_of
from oci_pull.cli.progress.totals import Row

GB = 1_000_000_000
GLYPHS = Glyphs.of("utf-8")
SHOWN = Shown(
    Row("total", 24_600_000_000, 60_100_000_000, 312_000_000.0),
    114.2,
    (
        Row("model-00005-of-00012.safetensors", 3_800_000_000, 5 * GB, 81_000_000.0),
        Row("model-00008-of-00012.safetensors", 900_000_000, 5 * GB, 74_000_000.0, "retry 1/8"),
        Row("original/consolidated.00.of.a.very.long.name.pth", 5 * GB, 5 * GB, 0.0, "verifying"),
    ),
    verified=7,
    wanted=15,
    waiting=4,
)


def _text(shown: Shown, width: int, height: int = 24, glyphs: Glyphs = GLYPHS) -> str:
    return "\n".join(text_of(line) for line in frame(shown, width, height, glyphs))


def test_a_hundred_columns() -> None:
    assert (
        _text(SHOWN, 100)
        == """\
  total                        ━━━━━━━━━━───────────────  40%  24.6/60.1 GB  312.0 MB/s  1:54 left
  model-00005-of-00012         ━━━━━━━━━━━━━━━━━━━──────  76%    3.8/5.0 GB   81.0 MB/s
  model-00008-of-00012         ━━━━╸────────────────────  18%    0.9/5.0 GB   74.0 MB/s  retry 1/8
  original/cons~.long.name.pth ━━━━━━━━━━━━━━━━━━━━━━━━━ 100%    5.0/5.0 GB       0 B/s  verifying
  7 of 15 blobs verified, 4 waiting                                  (Ctrl-C keeps what is fetched)\
"""
    )


def test_eighty_columns() -> None:
    assert (
        _text(SHOWN, 80)
        == """\
  total                 ━━━━╸───────  40%  24.6/60.1 GB  312.0 MB/s  1:54 left
  model-00005-of-00012  ━━━━━━━━━───  76%    3.8/5.0 GB   81.0 MB/s
  model-00008-of-00012  ━━──────────  18%    0.9/5.0 GB   74.0 MB/s  retry 1/8
  original/c~g.name.pth ━━━━━━━━━━━━ 100%    5.0/5.0 GB       0 B/s  verifying
  7 of 15 blobs verified, 4 waiting              (Ctrl-C keeps what is fetched)\
"""
    )


def test_sixty_columns_have_no_rates() -> None:
    assert (
        _text(SHOWN, 60)
        == """\
  total                ━━───  40%  24.6/60.1 GB  1:54 left
  model-00005-of-00012 ━━━╸─  76%    3.8/5.0 GB
  model-00008-of-00012 ╸────  18%    0.9/5.0 GB  retry 1/8
  original/~g.name.pth ━━━━━ 100%    5.0/5.0 GB  verifying
  7 of 15 blobs verified, 4 waiting\
"""
    )


def test_fewer_columns_have_the_total_alone() -> None:
    assert _text(SHOWN, 40) == "  total ━━━━━━━━━━╸───────────────  40%"


def test_a_terminal_without_lines_gets_other_signs() -> None:
    assert _text(SHOWN, 60, glyphs=Glyphs.of("ascii")).splitlines()[0] == (
        "  total                ##---  40%  24.6/60.1 GB  1:54 left"
    )


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "no-such-encoding"])
def test_signs_are_those_that_the_encoding_has(encoding: str) -> None:
    assert Glyphs.of(encoding).done == "#"


def test_a_low_terminal_says_how_many_are_hidden() -> None:
    lines = _text(SHOWN, 100, height=6).splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith("  and 1 more; 7 of 15 blobs verified")


@pytest.mark.parametrize("width", range(10, 200))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for shown in (SHOWN, Shown(Row("resolving", note="docker.io/a/b:latest"))):
        for height in (1, 5, 50):
            for line in frame(shown, width, height, GLYPHS):
                assert len(text_of(line)) < width


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.6, "3 s left"), (59.4, "59 s left"), (61, "1:01 left"), (90_000, ">1 day")],
)
def test_what_is_left_is_short(seconds: float, text: str) -> None:
    first = _text(Shown(SHOWN.total, seconds), 100).splitlines()[0]
    assert first.endswith(f"  {text}")


def test_before_there_is_a_plan_it_says_what_it_waits_for() -> None:
    shown = Shown(Row("resolving", note="docker.io/ai/x:latest"))
    assert _text(shown, 80) == "  resolving docker.io/ai/x:latest"
    assert _text(shown, 24) == "  resolving~ai/x:latest"


def test_a_later_phase_is_one_line() -> None:
    text = _text(Shown(Row("laying out", 30 * GB, 60 * GB)), 80)
    assert text == "  laying out ━━━━━━━━━━━╸───────────  50%  30.0/60.0 GB"


def test_a_blob_of_another_process_has_no_bar() -> None:
    row = Row("model.safetensors", note="waiting for pid 7 on host")
    text = _text(Shown(SHOWN.total, None, (row,)), 80)
    assert text.splitlines()[1] == "  model      waiting for pid 7 on host"


def test_roles_are_for_whoever_has_colours() -> None:
    lines = frame(SHOWN, 100, 24, GLYPHS)
    assert [piece.role for piece in lines[2]] == [
        Role.PLAIN, Role.DONE, Role.REST, Role.PLAIN, Role.NOTE,
    ]  # fmt: skip
    assert [piece.role for piece in lines[-1]] == [Role.QUIET]
