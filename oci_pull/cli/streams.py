"""The streams that a process begins with, whatever became of them: closed, full, or gone."""

import io
import os
import sys

# As `typing` has it, which takes longer to import than all that `oci-pull -V` does.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Log(io.FileIO):
    """stderr: what there is no room for is lost, and what is done goes on."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """All of the data; nothing of it where the disk is full or the terminal is gone."""
        try:
            return super().write(data)
        except BrokenPipeError:
            # Whoever read it has seen enough.
            raise
        except OSError:
            return memoryview(data).nbytes


def have_streams() -> None:
    """What was closed before we began (`2>&-`) is open to nothing, and a full log costs no pull.

    Else the next file would get the number of stderr, and a blob what is written there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Whoever embeds us has put something else there.
    if sys.stderr is sys.__stderr__:
        encoding = sys.stderr.encoding if sys.stderr else "utf-8"
        log = io.BufferedWriter(_Log(2, "w", closefd=False))
        sys.stderr = io.TextIOWrapper(log, encoding, "backslashreplace", line_buffering=True)
    if sys.stdout is None:
        sys.stderr.write("error: stdout is closed, and the directory would be printed there\n")
        sys.exit(1)


def emit(text: str) -> None:
    """One result on stdout, seen at once by whoever reads it.

    Raises:
        NotWritable: it did not get there.
    """
    emit_bytes(_encoded(f"{text}\n"))


def emit_bytes(data: bytes) -> None:
    """A result as it is.

    Raises:
        NotWritable: it did not get there.
    """
    try:
        _write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        from oci_pull.errors import NotWritable

        raise NotWritable(_complaint(error)) from error


def show(page: str) -> None:
    """A page on stdout; the process ends where it cannot be written."""
    try:
        _write(_encoded(page))
    except BrokenPipeError:
        os._exit(1)
    except OSError as error:
        sys.stderr.write(f"error: {_complaint(error)}\n")
        os._exit(7)


def _encoded(text: str) -> bytes:
    """Names as the file system has them, whatever the terminal has: a path is to be used."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode(sys.getfilesystemencoding(), "backslashreplace")


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _complaint(error: OSError) -> str:
    return f"stdout cannot be written: {error.strerror}"
