"""SGLang by path, in a program.

    python examples/sglang_engine.py REF

On a command line it is `python -m sglang.launch_server --model-path "$(oci-pull REF)"`.
"""

import sys

import sglang

from oci_pull import pull


def main(reference: str) -> None:
    """Answer a question."""
    engine = sglang.Engine(model_path=str(pull(reference).path), served_model_name=reference)
    try:
        print(engine.generate("The capital of France is", {"max_new_tokens": 8})["text"])
    finally:
        engine.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
