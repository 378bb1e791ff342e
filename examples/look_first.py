"""Look before you pull: the configuration and the tokenizer, then what the weights will cost.

    python examples/look_first.py REF

What was fetched for the look is not fetched again by the pull behind it.
"""

import json
import shutil
import sys

from oci_pull import plan, pull


def main(reference: str) -> int:
    """Show what a launcher wants to know, and pull where it fits."""
    small = pull(reference, include=["*.json", "tokenizer*"])
    config = json.loads((small.path / "config.json").read_text())
    print(f"{config['model_type']}: {config['num_hidden_layers']} layers")

    found = plan(reference)
    for file in found.files:
        print(f"{file.state:8} {file.size:>14,}  {file.path}")
    for archive in found.archives:
        print(f"{archive.state:8} {archive.size:>14,}  {archive.name}, to be unpacked")
    for left in found.left_out:
        print(f"left out {left.size:>14,}  {left.name}: {left.reason}")
    print(f"{found.fetch_bytes:,} of {found.total_bytes:,} bytes to fetch")

    if found.servable is False:
        print(*found.warnings, sep="\n")
        return 1
    if found.cache_bytes + found.added_bytes > shutil.disk_usage(small.path).free:
        print("no room for it here")
        return 1
    print(pull(reference).path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
