"""The command. What can be answered without importing anything is answered here."""

import sys

from oci_pull import __version__


def main() -> None:
    """Run the command line and exit with its code."""
    words = sys.argv[1:]
    if words in (["-V"], ["--version"]):
        sys.stdout.write(f"oci-pull {__version__}\n")
        sys.exit(0)
    if words in ([], ["-h"], ["--help"]):
        from oci_pull.cli.help import overview

        (sys.stdout if words else sys.stderr).write(overview())
        sys.exit(0 if words else 2)
    # httpx imports a command line of its own, and with it rich and pygments, where it can: a fifth
    # of the time that it takes to start. It knows how to do without.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    from oci_pull.cli.app import run

    run(words)


if __name__ == "__main__":
    main()
