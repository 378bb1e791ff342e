"""One run of a program that may do anything: bounded in time and in what it says."""

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What a program answered."""

    code: int
    output: bytes = field(repr=False)


def ask(argv: list[str], question: bytes, *, seconds: float, limit: int) -> Reply:
    """Run a program without a shell, hand it the question on stdin, and wait for its answer.

    It is a group of its own; where it fails, nothing of that group is left running.
    What it says on stderr is dropped, because helpers have printed secrets there.

    Raises:
        OSError: it cannot be started.
        TimeoutError: it did not end in time.
        ValueError: it said more than `limit` bytes.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + seconds
    try:
        output = _converse(process, question, deadline, limit)
        return Reply(process.wait(max(0.0, deadline - time.monotonic())), output)
    except BaseException as error:
        # With its children, which may hang as well; before `wait`, so that the number is theirs.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise TimeoutError("it closed its output and went on") from error
        raise
    finally:
        for stream in (process.stdin, process.stdout):
            if stream:
                with suppress(OSError):
                    stream.close()


def _converse(
    process: "subprocess.Popen[bytes]", question: bytes, deadline: float, limit: int
) -> bytes:
    """Write and read at the same time, because a program may do either first."""
    assert process.stdin
    assert process.stdout
    given, taken = process.stdin.fileno(), process.stdout.fileno()
    os.set_blocking(given, False)
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(given, selectors.EVENT_WRITE)
        selector.register(taken, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready and time.monotonic() >= deadline:
                raise TimeoutError("it did not answer in time")
            for key, _ in ready:
                if key.fd == given:
                    question = _write(given, question)
                    if not question:
                        selector.unregister(given)
                        process.stdin.close()
                    continue
                chunk = os.read(taken, _CHUNK)
                output += chunk
                if len(output) > limit:
                    raise ValueError("it said too much")
                if not chunk:
                    return output
    return output


def _write(descriptor: int, question: bytes) -> bytes:
    """What is left to be written; nothing where nobody reads."""
    try:
        return question[os.write(descriptor, question) :]
    except BrokenPipeError:
        return b""
