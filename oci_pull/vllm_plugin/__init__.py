"""Models from OCI registries in vLLM: `vllm serve oci://REF`, or REF with `--load-format oci`.

It calls `register` in every process of every start in its environment, whether or not anybody wants
a model from a registry. So nothing is imported here before it is needed, nothing gets out of
`register`, and only who names `oci` is served.

A reference becomes a directory in `EngineArgs`, before anything looks for a configuration or a
tokenizer; vLLM has no hook there, so two methods are wrapped, as its own plugins do it. What a tag
was found to be goes to all processes of the engine in the environment, and to those on other nodes
in the configuration of the loader. Written against vLLM 0.10.1 to 0.33.
"""

import functools
import logging
import sys
from typing import Any

from oci_pull.vllm_plugin.arguments import resolve_engine_args
from oci_pull.vllm_plugin.loader import LOAD_FORMAT, loader_over

_MARK = "_resolves_oci"
_WRAPPED = ("create_engine_config", "create_model_config")

# What is below the name of vLLM is in its log; of anybody else there are only warnings.
_log = logging.getLogger("vllm.oci_pull")


def register() -> None:
    """Teach vLLM `oci`; where it is too different from those that are known, that is logged."""
    try:
        _install()
    except Exception as error:  # noqa: BLE001 - it would end every vLLM of this environment
        from oci_pull import __version__

        _log.warning(
            "oci-pull %s does not fit vLLM %s (%s: %s): oci:// and --load-format oci do not work "
            'in it. Serve by path: vllm serve "$(oci-pull REF)", or change one of the two versions',
            __version__,
            getattr(sys.modules.get("vllm"), "__version__", "of an unknown version"),
            type(error).__name__,
            error,
        )


def _install() -> None:
    """Everything that is changed in vLLM, once it is sure that all of it is there."""
    from vllm.engine import arg_utils
    from vllm.model_executor import model_loader

    kind = arg_utils.EngineArgs
    methods = {name: getattr(kind, name) for name in _WRAPPED}
    register_loader, base = model_loader.register_model_loader, model_loader.DefaultModelLoader
    if getattr(methods["create_engine_config"], _MARK, False):
        return
    register_loader(LOAD_FORMAT)(loader_over(base))
    for name, method in methods.items():
        setattr(kind, name, _resolving(method))
    # It looks a model up in the cache of the Hub where that is offline; not there before 0.10.2.
    if look_up := getattr(arg_utils, "get_model_path", None):
        arg_utils.get_model_path = _resolving_look_up(look_up, kind)


def _resolving(method: Any) -> Any:
    """A method of `EngineArgs` that finds paths where there were references."""

    @functools.wraps(method)
    def resolved(self: Any, *args: Any, **more: Any) -> Any:
        resolve_engine_args(self)
        return method(self, *args, **more)

    setattr(resolved, _MARK, True)
    return resolved


def _resolving_look_up(look_up: Any, kind: Any) -> Any:
    """The look-up that `EngineArgs.__post_init__` does for `self.model` and `self.tokenizer`.

    It is the only place between the loading of plugins and the look-up in the same method.
    """

    @functools.wraps(look_up)
    def resolved(model: Any, *args: Any, **more: Any) -> Any:
        caller = sys._getframe(1).f_locals.get("self")  # noqa: SLF001
        if isinstance(caller, kind):
            field = "model" if model == caller.model else "tokenizer"
            resolve_engine_args(caller)
            model = getattr(caller, field)
        return look_up(model, *args, **more)

    return resolved
