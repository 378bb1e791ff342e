"""A small model directory that is whole: every loader of the format opens it."""

from __future__ import annotations

import itertools
import json
import math
import random
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Shape = tuple[int, ...]

_FLOAT32 = 4
_HEADS = 2
_LOW_EXPONENT = bytes(byte & 0x7F for byte in range(256))
_HIGH_EXPONENT = bytes(byte & 0x80 | 0x3C for byte in range(256))
_SPECIAL = ("<unk>", "<s>", "</s>")


def safetensors(tensors: Mapping[str, tuple[Shape, bytes]]) -> bytes:
    """A safetensors file of float32 tensors: length, JSON header padded to eight, data."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (shape, data) in tensors.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(shape),
            "data_offsets": [offset, offset + len(data)],
        }
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, data in tensors.values())


def tiny_model(
    *,
    shards: int = 1,
    seed: int = 0,
    prefix: str = "",
    hidden: int = 16,
    layers: int = 2,
    vocabulary: int = 64,
) -> dict[str, bytes]:
    """A Llama of a few thousand parameters, the same bytes for the same arguments.

    `prefix` is put before every name (`models/q/`); `hidden` and `layers` make it larger.
    """
    shapes = _shapes(hidden, layers, vocabulary)
    files = _weights(shapes, shards, random.Random(seed))
    files |= {
        "config.json": _json(_config(hidden, layers, vocabulary)),
        "generation_config.json": _json({"bos_token_id": 1, "eos_token_id": 2}),
        "tokenizer.json": _json(_tokenizer(vocabulary)),
        "tokenizer_config.json": _json(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "unk_token": "<unk>",
                "bos_token": "<s>",
                "eos_token": "</s>",
                "model_max_length": 128,
            }
        ),
        "1_Pooling/config.json": _json(
            {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True}
        ),
        "README.md": b"---\nlicense: apache-2.0\n---\n\n# tiny\n\nRandom weights, for tests.\n",
        "LICENSE": b"Apache License\nVersion 2.0, January 2004\n",
    }
    return {prefix + name: files[name] for name in sorted(files)}


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


def _config(hidden: int, layers: int, vocabulary: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": hidden * 2,
        "num_hidden_layers": layers,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "hidden_act": "silu",
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "vocab_size": vocabulary,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }


def _tokenizer(vocabulary: int) -> dict[str, Any]:
    words = [*_SPECIAL, *(f"w{number}" for number in range(len(_SPECIAL), vocabulary))]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": word, "special": True} | special
            for number, word in enumerate(_SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: number for number, word in enumerate(words)},
            "unk_token": "<unk>",
        },
    }


def _shapes(hidden: int, layers: int, vocabulary: int) -> dict[str, Shape]:
    square, wide, tall = (hidden, hidden), (hidden * 2, hidden), (hidden, hidden * 2)
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for number in range(layers):
        parts: dict[str, Shape] = {
            "input_layernorm": (hidden,),
            "self_attn.q_proj": square,
            "self_attn.k_proj": square,
            "self_attn.v_proj": square,
            "self_attn.o_proj": square,
            "post_attention_layernorm": (hidden,),
            "mlp.gate_proj": wide,
            "mlp.up_proj": wide,
            "mlp.down_proj": tall,
        }
        shapes |= {f"model.layers.{number}.{part}.weight": shape for part, shape in parts.items()}
    return shapes | {"model.norm.weight": (hidden,), "lm_head.weight": (vocabulary, hidden)}


def _weights(shapes: Mapping[str, Shape], shards: int, source: random.Random) -> dict[str, bytes]:
    tensors = {name: (shape, _values(shape, source)) for name, shape in shapes.items()}
    if shards == 1:
        return {"model.safetensors": safetensors(tensors)}
    names = list(tensors)
    files: dict[str, bytes] = {}
    weight_map: dict[str, str] = {}
    for number, group in enumerate(_groups(names, shards), start=1):
        file = f"model-{number:05d}-of-{shards:05d}.safetensors"
        files[file] = safetensors({name: tensors[name] for name in group})
        weight_map |= dict.fromkeys(group, file)
    total = sum(len(data) for _, data in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    return files | {"model.safetensors.index.json": _json(index)}


def _groups(names: Sequence[str], count: int) -> list[Sequence[str]]:
    if count > len(names):
        raise ValueError(f"{len(names)} tensors do not fill {count} shards")
    bounds = [len(names) * number // count for number in range(count + 1)]
    return [names[start:end] for start, end in itertools.pairwise(bounds)]


def _values(shape: Shape, source: random.Random) -> bytes:
    """Small numbers of which none is a NaN: random float bits would have some."""
    # Any sign and mantissa under one exponent: between 2**-7 and 2**-6, and no loop over floats.
    block = bytearray(source.randbytes(math.prod(shape) * _FLOAT32))
    block[2::4] = block[2::4].translate(_LOW_EXPONENT)
    block[3::4] = block[3::4].translate(_HIGH_EXPONENT)
    return bytes(block)
