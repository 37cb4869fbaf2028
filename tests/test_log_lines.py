"""A log by line numbers: what is given is what stands there, in any slice, while it grows."""

import time
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runhook import log_lines, log_times
from runhook.log_lines import BLOCK, LONGEST_LINE, Index, lines

texts = st.lists(st.binary(max_size=12).map(lambda each: each.replace(b"\n", b"")), max_size=30)


def texts_of(path: Path, first: int | None, count: int) -> list[str]:
    return [line.data.decode() for line in lines(path, first, count).lines]


@given(texts, st.integers(1, 35), st.integers(1, 35), st.booleans())
def test_a_slice_is_what_splitting_the_whole_would_give(
    tmp_path_factory: object, parts: list[bytes], first: int, count: int, closed: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"  # type: ignore[attr-defined]
    data = b"\n".join(parts) + (b"\n" if closed and parts else b"")
    path.write_bytes(data)
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    found = lines(path, first, count)
    assert found.total == len(expected)
    shown = [log_lines.last_state(each) for each in expected[first - 1 : first - 1 + count]]
    assert [each.data for each in found.lines] == shown
    assert len(lines(path, None, count).lines) == min(count, len(expected))


def test_blocks_are_crossed_and_what_is_written_later_is_counted_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    many = 100_000
    with path.open("w") as log:
        log.writelines(f"line {number}\n" for number in range(1, many + 1))
    assert path.stat().st_size > 3 * BLOCK
    for first in (1, 2, 19_999, 54_321, many - 1):
        assert texts_of(path, first, 2)[0] == f"line {first}"
    index = log_lines.index_of(path)
    for number in (1, 2, 30_000, 77_777, many):
        assert index.line_at(index.offset_of(number)) == number
    seen = index.size
    with path.open("a") as log:
        log.write("and")
    assert texts_of(path, None, 2) == [f"line {many}", "and"]
    assert index.size == seen + 3
    path.write_text("another\n")
    assert texts_of(path, 1, 5) == ["another"]


def test_a_line_without_an_end_is_cut_and_a_progress_bar_shows_its_last_state(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    endless, bar = b"x" * (3 * BLOCK), b"".join(b"\r%d %%" % n for n in range(200_000))
    path.write_bytes(b"before\n" + endless + b"\n" + bar + b"\nafter\n" + endless)
    before, long, progress, after, last = lines(path, 1, 10).lines
    assert (before.data, after.data) == (b"before", b"after")
    assert long.cut and long.data == b"x" * LONGEST_LINE
    assert log_lines.last_state(progress.data) == b"199999 %"
    assert last.cut and last.end == path.stat().st_size


def test_a_million_lines_are_counted_once_and_any_of_them_is_near(tmp_path: Path) -> None:
    path = tmp_path / "log"
    text = b"%06d a line of an ordinary length, as such\n"
    path.write_bytes(b"".join(text % n for n in range(10**6)))
    assert texts_of(path, 10**6, 1) == ["999999 a line of an ordinary length, as such"]
    begun = time.process_time()
    for first in range(1, 10**6, 50_000):
        assert len(lines(path, first, 500).lines) == 500
    assert time.process_time() - begun < 2
    assert len(log_lines.index_of(path).before) < 200


def test_no_more_time_is_taken_than_was_given(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n" * 200_000)
    index = Index(path)
    assert not index.extend(patience=0)
    assert index.size == BLOCK
    assert index.extend()
    assert index.total == 200_000


def test_no_link_is_followed_and_tokens_of_runs_are_masked(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("private\n")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert lines(tmp_path / "link", 1, 5).lines == []
    assert lines(tmp_path / "missing", None, 5).total == 0
    path = tmp_path / "log"
    path.write_text("rhr_" + "a" * 72 + "\n")
    assert texts_of(path, 1, 1) == ["rhr_" + "*" * 72]


def test_each_line_was_written_when_the_log_had_grown_beyond_it(tmp_path: Path) -> None:
    path, second = tmp_path / "log", 1_000_000
    path.write_text("one\ntwo\nthree\n")
    entries = "".join(f"{n * second} {4 * n}\n" for n in range(1, 3))
    (tmp_path / "log.index").write_text(entries + f"{9 * second} 14\n")
    ends = [line.end for line in lines(path, 1, 3).lines]
    at = [datetime.fromtimestamp(n, UTC) for n in (1, 2, 9)]
    assert log_times.times(path, ends) == at
    many = "".join(f"{n * second} {n}\n" for n in range(1, 50_000))
    (tmp_path / "log.index").write_text(many)
    assert log_times.times(path, [40_000]) == [datetime.fromtimestamp(40_001, UTC)]
    assert log_times.times(path, [60_000]) == [None]
    (tmp_path / "log.index").unlink()
    assert log_times.times(path, [3]) == [None]
