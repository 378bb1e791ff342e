"""Write what is generated from the command line into a checkout: `make completions man`.

python -m oci_pull.cli.manual completions man
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from oci_pull.cli.manual import bash, fish, man, reference, zsh
from oci_pull.cli.manual.commands import Command, commands

#: What is made, by what one asks for and then by its place in the checkout.
PAGES: Mapping[str, Mapping[str, Callable[[tuple[Command, ...]], str]]] = {
    "completions": {
        "completions/oci-pull.bash": bash.script,
        "completions/_oci-pull": zsh.script,
        "completions/oci-pull.fish": fish.script,
    },
    "man": {
        "docs/oci-pull.1": man.page,
        "docs/reference.md": reference.page,
    },
}


def main(wanted: list[str]) -> None:
    """Write these below the working directory."""
    found = commands()
    for name in wanted:
        for path, render in PAGES[name].items():
            file = Path(path)
            file.parent.mkdir(exist_ok=True)
            file.write_text(render(found), "utf-8")
            print(file)


if __name__ == "__main__":
    main(sys.argv[1:])
