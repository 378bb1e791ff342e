"""A loader that takes names of the Hub and nothing else, fed from a registry.

    HF_HUB_OFFLINE=1 python examples/in_the_hub_cache.py REF

The model goes into the Hugging Face hub cache, under the name that it has in its registry; whatever
asks the Hub's client for that name, offline, finds it there.
"""

import sys

from huggingface_hub import snapshot_download

from oci_pull import Reference, pull


def main(reference: str) -> None:
    """Put the model there, and let somebody else find it."""
    pull(reference, layout="hf")
    name = Reference.parse(reference).repository
    print(snapshot_download(name))


if __name__ == "__main__":
    main(sys.argv[1])
