"""`vllm serve`, as far as its configuration, which it prints."""

from __future__ import annotations

import argparse
import json

from vllm.engine.arg_utils import EngineArgs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model")
    for name in ("load-format", "revision", "served-model-name", "tokenizer"):
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS)
    parser.add_argument("--speculative-config", type=json.loads, default=argparse.SUPPRESS)
    known, _ = parser.parse_known_args()
    given = {name: value for name, value in vars(known).items() if name != "command"}
    args = EngineArgs(**given)
    args.create_engine_config()
    print("\n" + json.dumps(vars(args)))


if __name__ == "__main__":
    main()
