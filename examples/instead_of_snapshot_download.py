"""A program that was written for the Hub, and the one line that changed.

python examples/instead_of_snapshot_download.py REF

snapshot_download(repo_id)          pull(reference).path
revision="v1"                       REF:v1, or REF@sha256:... for good
allow_patterns, ignore_patterns     include, exclude
local_dir                           output
cache_dir                           cache_dir
local_files_only=True               offline=True
token                               docker login, or username and password
max_workers                         jobs
"""

import sys

from oci_pull import pull


def main(reference: str) -> None:
    """Show what there is, as any program would that has a directory."""
    # path = snapshot_download(repo_id, allow_patterns=["*.json", "*.safetensors"])
    path = pull(reference, include=["*.json", "*.safetensors"]).path
    for file in sorted(path.rglob("*.json")):
        print(file.name, file.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
