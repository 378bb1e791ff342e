"""References in vLLM's `EngineArgs` become paths; who named none notices nothing."""

import json
import logging
import os
from typing import TYPE_CHECKING, Any

from oci_pull.vllm_plugin.loader import LOAD_FORMAT, ORIGINS

if TYPE_CHECKING:
    from oci_pull.pull import PullResult

_SCHEME = "oci://"
#: Fields that name a model of which no weights are read.
_WITHOUT_WEIGHTS = ("tokenizer", "hf_config_path")

_log = logging.getLogger("vllm.oci_pull")


def resolve_engine_args(args: Any) -> None:
    """Nothing in these `EngineArgs` is a reference any more: what was one is a path.

    Anything else stays as it is; a second call finds nothing to do.

    Raises:
        OciPullError: a subclass for every cause, in one line that says what to do.
    """
    if _is_wanted(args):
        _resolve_model(args, str(args.model))
    for field in _WITHOUT_WEIGHTS:
        if _is_ours(getattr(args, field, None)):
            found = _provide(args, _bare(getattr(args, field)), is_weighted=False)
            setattr(args, field, str(found.path))
    _resolve_draft(args)


def _is_wanted(args: Any) -> bool:
    """Whether the model is a reference: `org/name` alone could be the Hub's, and is not taken."""
    if _is_ours(args.model):
        return True
    is_named = str(args.load_format).lower() == LOAD_FORMAT
    # It was one, and a speculator's configuration may name a model of the Hub in its place.
    is_done = ORIGINS in (args.model_loader_extra_config or ())
    return is_named and not is_done and not os.path.exists(args.model)  # noqa: PTH110 - any text


def _resolve_model(args: Any, model: str) -> None:
    """The model is a path, is served under the name that was typed, and other nodes can find it."""
    found = _provide(args, _with_revision(_bare(model), args.revision))
    args.revision = None
    args.served_model_name = args.served_model_name or [model]
    if args.tokenizer and _bare(args.tokenizer) == _bare(model):
        args.tokenizer = None
    if args.tokenizer is None:
        # It is that of the model, which has no revisions.
        args.tokenizer_revision = None
    is_plain = str(args.load_format).lower() in ("auto", LOAD_FORMAT)
    if found.primary is not None and not found.servable:
        _require_gguf(model)
        if args.tokenizer is None:
            _log.warning(
                "oci-pull: GGUF often takes --tokenizer ORG/NAME, for its configuration too"
            )
        args.model = str(found.primary)
        args.load_format = "auto" if is_plain else args.load_format
        return
    if not found.servable:
        _object(model, found, is_certain=is_plain)
    args.model = str(found.path)
    if is_plain:
        args.load_format = LOAD_FORMAT
        args.model_loader_extra_config = _with_origin(args, found)


def _with_revision(reference: str, revision: str | None) -> str:
    """The reference with what `--revision` says, where it has neither a tag nor a digest itself."""
    if not revision:
        return reference
    if ":" in reference.rpartition("/")[2] or "@" in reference:
        _log.warning(
            "oci-pull: --revision %s is ignored: %s says which one it is", revision, reference
        )
        return reference
    return f"{reference}{'@' if ':' in revision else ':'}{revision}"


def _with_origin(args: Any, found: "PullResult") -> dict[str, Any]:
    """The configuration of the loader, in which another node finds what a directory is."""
    from oci_pull.vllm_plugin.provide import pinned

    extra = dict(args.model_loader_extra_config or {})
    return {**extra, ORIGINS: {**extra.get(ORIGINS, {}), str(found.path): pinned(found)}}


def _require_gguf(model: str) -> None:
    """Raises `Unsupported` where this vLLM cannot load a file in GGUF."""
    from vllm.model_executor import model_loader

    from oci_pull.errors import Unsupported
    from oci_pull.vllm_plugin.provide import told

    # Older ones read it themselves; a plugin adds it to those from 0.24 on.
    if "gguf" not in getattr(model_loader, "_LOAD_FORMAT_TO_MODEL_LOADER", ()):
        raise told(
            _bare(model),
            Unsupported(
                "the model is in GGUF, and this vLLM does not read that",
                hint="pip install vllm-gguf-plugin  in the environment of vLLM",
            ),
        )


def _object(model: str, found: "PullResult", *, is_certain: bool) -> None:
    """Say why a directory is not for vLLM; what other loaders read of it is not known here."""
    from oci_pull.errors import Unsupported
    from oci_pull.vllm_plugin.provide import told

    reasons = "; ".join(found.warnings)
    if is_certain:
        raise told(_bare(model), Unsupported(f"{reasons} ({found.path})"))
    _log.warning("oci-pull: %s: %s", model, reasons)


def _resolve_draft(args: Any) -> None:
    """The model that speculates, named by `--spec-model` or in the speculative configuration."""
    if _is_ours(getattr(args, "spec_model", None)):
        args.spec_model = _draft(args, args.spec_model)
    given = getattr(args, "speculative_config", None)
    is_text = isinstance(given, str)
    config = _parsed(given) if isinstance(given, str) else given
    if isinstance(config, dict) and _is_ours(config.get("model")):
        config = {**config, "model": _draft(args, config["model"])}
        args.speculative_config = json.dumps(config) if is_text else config


def _draft(args: Any, reference: str) -> str:
    """Its path, which the loader on another node finds beside that of the model."""
    found = _provide(args, _bare(reference))
    if ORIGINS in (args.model_loader_extra_config or ()):
        args.model_loader_extra_config = _with_origin(args, found)
    return str(found.path)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None  # for vLLM to complain about


def _provide(args: Any, reference: str, *, is_weighted: bool = True) -> "PullResult":
    from oci_pull.vllm_plugin.provide import provide

    _open_log(args)
    return provide(reference, is_weighted=is_weighted)


def _open_log(args: Any) -> None:
    """What is logged is seen: newer ones set that up in the method that has not begun yet."""
    from vllm import logger

    configure = getattr(logger, "configure_logging_if_needed", None)
    if configure and hasattr(args, "create_logging_config"):
        configure(args.create_logging_config())


def _is_ours(value: object) -> bool:
    return isinstance(value, str) and value.startswith(_SCHEME)


def _bare(text: str) -> str:
    return text.removeprefix(_SCHEME)
