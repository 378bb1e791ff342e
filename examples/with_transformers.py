"""A configuration and a tokenizer for transformers, without the weights.

    python examples/with_transformers.py REF

transformers gets a directory, so it asks no Hub, and no HF_HUB_OFFLINE is needed. Without `include`
the same directory has the weights for `AutoModelForCausalLM.from_pretrained`.
"""

import sys

from transformers import AutoConfig, AutoTokenizer

from oci_pull import pull


def main(reference: str) -> None:
    """Say what the model is, and take a sentence apart."""
    path = pull(reference, include=["*.json", "*.jinja", "tokenizer*", "*.model"]).path
    config = AutoConfig.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    print(config.model_type, config.hidden_size)
    print(tokenizer("the capital of France")["input_ids"])


if __name__ == "__main__":
    main(sys.argv[1])
