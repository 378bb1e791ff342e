import pytest

from oci_pull.errors import NotAModel, SeveralRoots
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.root import find_image_root, find_root


def root(*paths: str, wanted: str = "") -> str:
    return "/".join(find_root((RelPath.parse(path) for path in paths), wanted))


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["config.json", "model.safetensors"], ""),
        (["config.json", "sub/config.json", "sub/model.safetensors"], ""),
        (["params.json", "models/config.json", "models/model.safetensors"], ""),
        (["models/config.json", "models/model.safetensors"], "models"),
        (["models/params.json", "models/consolidated.safetensors"], "models"),
        (["a/b/config.json", "a/b/MODEL.GGUF", "README.md"], "a/b"),
        (["q/config.json", "q/pytorch_model.bin"], "q"),
        (["q/config.json", "q/m.safetensors", "q/1_Pooling/config.json"], "q"),
        (["q/config.json", "q/m.safetensors", "q/onnx/config.json", "q/onnx/m.onnx"], "q"),
        (["a/config.json", "b/c/config.json", "b/c/m.safetensors"], "b/c"),
        (["q/config.json", "q/weights/m.safetensors"], ""),
        (["q/config.json"], ""),
        (["models/model.gguf"], ""),
        (["models/config.json", "models/m.safetensors", "b/config.json", "b/m.bin"], "models"),
        (["model_index.json", "unet/config.json", "unet/m.safetensors", "vae/config.json"], ""),
        (["p/model_index.json", "p/unet/config.json", "p/unet/m.safetensors"], "p"),
        (["adapter_config.json", "base/config.json", "base/m.safetensors"], ""),
        ([f"models--o--n/snapshots/{'a' * 40}/config.json"], f"models--o--n/snapshots/{'a' * 40}"),
        (["MODELS/Config.json", "MODELS/m.safetensors"], ""),
        ([], ""),
    ],
)
def test_the_root_is_the_shallowest_directory_with_a_configuration_beside_weights(
    paths: list[str], expected: str
) -> None:
    assert root(*paths) == expected


TWO = ("b/config.json", "b/m.safetensors", "a/config.json", "a/m.safetensors", "README.md")


def test_two_roots_are_an_error_that_lists_them_and_names_the_option() -> None:
    with pytest.raises(SeveralRoots) as caught:
        root(*TWO, "a/deeper/config.json", "a/deeper/m.safetensors")
    assert caught.value.facts == ("a", "b")
    assert caught.value.hint == "--root a"
    assert caught.value.exit_code == 9


@pytest.mark.parametrize("wanted", ["b", "/b", "b/", "./b"])
def test_the_wanted_root_decides(wanted: str) -> None:
    assert root(*TWO, wanted=wanted) == "b"


@pytest.mark.parametrize("wanted", [".", "/", "./"])
def test_the_top_can_be_wanted(wanted: str) -> None:
    assert root(*TWO, wanted=wanted) == ""


@pytest.mark.parametrize("wanted", ["c", "b/config.json", "a/deeper"])
def test_a_wanted_root_without_files_is_an_error_that_names_the_top(wanted: str) -> None:
    with pytest.raises(NotAModel, match=rf"--root {wanted}\nat the top: README.md, a, b$"):
        root(*TWO, wanted=wanted)


@pytest.mark.parametrize("wanted", ["..", "a/../b", "//b", "a\\b"])
def test_a_wanted_root_that_is_no_directory_is_an_error(wanted: str) -> None:
    with pytest.raises(NotAModel, match="no directory of a model"):
        root(*TWO, wanted=wanted)


# --- container images

A, B = "a" * 40, "b" * 40
HUB = "root/.cache/huggingface/hub/models--org--name"
MODEL = ("config.json", "m.safetensors")


def image_root(
    *paths: str,
    wanted: str = "",
    links: dict[str, str] | None = None,
    mains: dict[str, str] | None = None,
) -> str:
    """`links` are directories that are somewhere else."""
    files = [tuple(path.split("/")) for path in paths]
    directories = {parts[:depth] for parts in files for depth in range(len(parts))}

    def find(directory: tuple[str, ...]) -> tuple[str, ...] | None:
        target = (links or {}).get("/".join(directory))
        real = tuple(target.split("/")) if target else directory
        return real if real in directories else None

    said = [(tuple(path.split("/")), text) for path, text in (mains or {}).items()]
    return "/".join(find_image_root(files, wanted, find, said))


def in_(directory: str, *names: str) -> list[str]:
    return [f"{directory}/{name}" for name in names or MODEL]


OS = ("etc/os-release", "usr/lib/node/config.json", "usr/share/doc/README", "config.json")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (in_("models"), "models"),
        (in_("models", "params.json", "consolidated.safetensors"), "models"),
        (in_("models", "config.json"), "models"),
        ([*in_("models"), *in_("models/1_Pooling"), *in_("models/original")], "models"),
        ([*in_("models"), *in_("opt/other")], "models"),
        (in_("models/q"), "models/q"),
        (in_("models/org/name/1"), "models/org/name/1"),
        ([*in_("models/q"), *in_("models/q/text_encoder")], "models/q"),
        (in_("models/q", "config.json", "model.safetensors.index.json"), "models/q"),
        (in_("models/p", "model_index.json", "unet/config.json", "unet/m.safetensors"), "models/p"),
        (in_(f"{HUB}/snapshots/{A}"), f"{HUB}/snapshots/{A}"),
        (in_(f"models/models--o--n/snapshots/{A}"), f"models/models--o--n/snapshots/{A}"),
        (in_("workspace/weights"), "workspace/weights"),
        (in_("model"), "model"),
        (in_("mnt/models"), "mnt/models"),
        (["config.json", "m.safetensors", "dir/file"], ""),
        (in_("opt/app/weights"), "opt/app/weights"),
        ([*in_("opt/a"), *in_("opt/a/b"), *in_("srv/deep/er")], "opt/a"),
        (in_("models/q", "model.gguf"), "models/q"),
        (in_("models", "model.gguf"), "models"),
        (["model.gguf"], ""),
        (in_("models", "model.onnx", "README.md"), "models"),
        (in_("models", "model.joblib"), "models"),
        (in_("models/adapter", "adapter_config.json", "adapter_model.safetensors"),
         "models/adapter"),
    ],
)  # fmt: skip
def test_the_model_of_an_image_is_found_among_an_operating_system(
    paths: list[str], expected: str
) -> None:
    system = [path for path in OS if path not in paths]
    assert image_root(*paths, *system) == expected


def test_the_main_snapshot_of_a_hugging_face_cache_counts() -> None:
    two = [*in_(f"{HUB}/snapshots/{A}"), *in_(f"{HUB}/snapshots/{B}")]
    assert image_root(*two, mains={f"{HUB}/refs/main": f"{B}\n"}) == f"{HUB}/snapshots/{B}"
    for other in ("c" * 40, "main", "../..", ""):
        with pytest.raises(SeveralRoots):
            image_root(*two, mains={f"{HUB}/refs/main": other})


def test_models_may_be_a_link() -> None:
    assert image_root(*in_("opt/m"), *OS, links={"models": "opt/m"}) == "opt/m"
    assert image_root(*in_("opt/m/q"), *OS, links={"models": "opt/m"}) == "opt/m/q"
    assert image_root(*in_("opt/m"), *in_("b"), wanted="models", links={"models": "opt/m"}) == (
        "opt/m"
    )


@pytest.mark.parametrize(
    "paths",
    [
        [*in_("models/a"), *in_("models/b")],
        [*in_("opt/a"), *in_("srv/b")],
        [*in_("models/a", "m.gguf"), *in_("models/b", "m.gguf")],
    ],
)
def test_two_models_of_an_image_are_listed(paths: list[str]) -> None:
    with pytest.raises(SeveralRoots) as caught:
        image_root(*paths)
    first, second = sorted({path.rpartition("/")[0] for path in paths})
    assert caught.value.facts == (first, second)
    assert caught.value.hint == f"--root {first}"


def test_an_image_without_a_model_says_what_is_at_its_top() -> None:
    with pytest.raises(NotAModel, match=r"at the top config.json, etc, usr$") as caught:
        image_root(*OS)
    assert caught.value.exit_code == 9
