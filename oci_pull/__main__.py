"""The command. What can be answered without importing anything is answered here."""

import os
import sys

from oci_pull import __version__
from oci_pull.cli.streams import have_streams, show


def main() -> None:
    """Run the command line and exit with its code."""
    have_streams()
    words = sys.argv[1:]
    if words in (["-V"], ["--version"]):
        sys.exit(_answer("-V", words))
    if words in ([], ["-h"], ["--help"]):
        from oci_pull.cli.help import overview

        if words:
            show(overview())
            sys.exit(0)
        sys.stderr.write(overview())
        sys.exit(2)
    if words[:1] == ["__complete"]:
        _complete(words[1:])
    # httpx imports a command line of its own, and with it rich and pygments, where it can: a fifth
    # of the time that it takes to start. It knows how to do without.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    from oci_pull.cli.arguments import question_in

    if question := question_in(words):
        sys.exit(_answer(question, words))
    from oci_pull.cli.run import run

    run(words)


def _answer(question: str, words: list[str]) -> int:
    """Print the version, or the page of a command; the exit code."""
    if question == "-V":
        show(f"oci-pull {__version__}\n")
        return 0
    from oci_pull.cli.pages import answer

    return answer(words)


def _complete(words: list[str]) -> None:
    """Answer a shell that asks what may come next; a Tab never shows an error."""
    try:
        from oci_pull.cli.completion import answer

        sys.stdout.write(answer(words, os.environ))  # noqa: TID251 - handed on, as to settings
        sys.stdout.flush()
    except Exception:  # noqa: BLE001 - it is no answer
        os._exit(0)
    sys.exit(0)


if __name__ == "__main__":
    main()
