"""The model inside a container image: which files it is, which layers have them, and their way out.

The headers of all layers tell which files win; only then is it known what has to be written, and
that a layer may not be needed at all.
"""

from collections.abc import Container
from dataclasses import dataclass

from oci_pull.errors import Vanished
from oci_pull.events import Counter, Unpacking
from oci_pull.packaging.layout import Images
from oci_pull.packaging.overlay import ImageFile, Overlay, Parts, Place, merge
from oci_pull.packaging.path import RESERVED, RelPath
from oci_pull.packaging.plan import ApplyLayers, FilePlan, LeftOut
from oci_pull.packaging.root import find_image_root
from oci_pull.ports import BlobStore, Fetcher, ImageStore, Job, Observer, Space

#: How much larger than a compressed layer its files are taken to be, until its headers are known.
_EXPANSION = 1.3
_MAIN = ("refs", "main")


@dataclass(frozen=True, slots=True)
class Model:
    """The files of an image that are its model. Paths are relative to its root."""

    wanted_root: str
    files: tuple[tuple[RelPath, ImageFile], ...]
    outside: LeftOut | None

    @property
    def size(self) -> int:
        """What writing it out adds on disk, in bytes; links of one file are one."""
        return sum({file.place: file.size for _, file in self.files}.values())

    def of_layer(self, number: int) -> dict[int, tuple[RelPath, ...]]:
        """Which entries of a layer are part of it, counted from 0, and under which paths."""
        found: dict[int, tuple[RelPath, ...]] = {}
        for path, file in self.files:
            if file.place.layer == number:
                found[file.place.ordinal] = (*found.get(file.place.ordinal, ()), path)
        return found


@dataclass(frozen=True, slots=True)
class Demand:
    """What has to be done before a model can be written out."""

    jobs: tuple[Job, ...] = ()
    #: What writing it out will add on disk (bytes); an estimate until all headers are known.
    unpacked: int = 0


def merged_images(plan: FilePlan, wanted_root: str, images: ImageStore) -> Images:
    """The models of the plan's images that are written out already."""
    found = {each.image: images.merged(each.image, wanted_root) for each in plan.images}
    return {image: merged for image, merged in found.items() if merged is not None}


def find_model(image: ApplyLayers, wanted_root: str, images: ImageStore) -> Model | None:
    """The model in an image, None while the headers of a layer are not known.

    Raises:
        NotAModel, SeveralRoots: see `find_image_root`.
        UnsafePath: a file that could not be written under its name.
    """
    layers = []
    for layer in image.layers:
        entries = images.entries(layer)
        if entries is None:
            return None
        layers.append(entries)
    overlay = merge(layers)
    files = dict(overlay.files())
    mains = ((path, file.content) for path, file in files.items() if path[-2:] == _MAIN)
    root = find_image_root(files.keys(), wanted_root, overlay.directory, mains)
    inside = _model_files(overlay, root)
    return Model(wanted_root, tuple(inside), _outside(files, root, {f.place for _, f in inside}))


def _model_files(overlay: Overlay, root: Parts) -> list[tuple[RelPath, ImageFile]]:
    found = []
    for parts, file in overlay.below(root):
        # What a pull writes beside a tree is no part of the model that was put into the image.
        if RESERVED not in (part.lower() for part in parts):
            found.append((RelPath.parse("/".join(parts)), file))
    return sorted(found, key=lambda each: each[0])


def _outside(
    files: dict[Parts, ImageFile], root: Parts, inside: Container[Place]
) -> LeftOut | None:
    """The rest of the image in one; nobody wants a line for each file of an operating system.

    Links from there to files of the model are none of it.
    """
    others = [
        file.size
        for path, file in files.items()
        if path[: len(root)] != root and file.place not in inside
    ]
    if not others:
        return None
    count = "1 other file" if len(others) == 1 else f"{len(others)} other files"
    where = "/" + "/".join(root)
    return LeftOut(f"{count} of the image", sum(others), f"not in {where}, which is the model")


def demand(image: ApplyLayers, wanted_root: str, images: ImageStore, store: BlobStore) -> Demand:
    """The layers whose headers are wanted; once they are known, those that have the model."""
    if images.merged(image.image, wanted_root) is not None:
        return Demand()
    if model := find_model(image, wanted_root, images):
        return Demand(tuple(_content_jobs(image, model)), model.size)
    jobs = []
    for number, layer in enumerate(image.layers):
        name = _name(image, number)
        if images.entries(layer) is None:
            jobs.append(Job(name, layer.blob, images.reader(layer)))
        elif store.find(layer.blob):
            jobs.append(Job(name, layer.blob))
    return Demand(tuple(jobs), int(sum(each.blob.size for each in image.layers) * _EXPANSION))


def layer_jobs(image: ApplyLayers) -> list[Job]:
    """All of its layers as they are."""
    return [Job(_name(image, number), layer.blob) for number, layer in enumerate(image.layers)]


def write_model(
    image: ApplyLayers,
    wanted_root: str,
    *,
    images: ImageStore,
    store: BlobStore,
    fetcher: Fetcher,
    space: Space,
    observer: Observer,
) -> None:
    """The model of an image is written out; a layer that is needed and gone is fetched again.

    Raises:
        NoSpace: it does not fit, now that its size is known.
        Vanished: somebody removed the headers of a layer.
        OciPullError: see `find_model`, `Fetcher.fetch`, `ImageStore.write`.
    """
    if images.merged(image.image, wanted_root) is not None:
        return
    model = find_model(image, wanted_root, images)
    if model is None:
        raise Vanished(
            "what was noted of the layers of the image was removed from the cache",
            hint="run the same command again",
        )
    jobs = _content_jobs(image, model)
    found = ((job, store.find(job.blob)) for job in jobs)
    here = {job.blob.digest: blob for job, blob in found if blob}
    missing = [job for job in jobs if job.blob.digest not in here]
    space.check(sum(job.blob.size for job in missing) + model.size, 0)
    fetched = fetcher.fetch(missing) if missing else {}
    written = Counter()
    observer.on(Unpacking("the model in the image", model.size, written))
    fetcher.map(lambda _: images.write(image, model, {**here, **fetched}, written), [None])


def _content_jobs(image: ApplyLayers, model: Model) -> list[Job]:
    return [
        Job(_name(image, number), layer.blob)
        for number, layer in enumerate(image.layers)
        if model.of_layer(number)
    ]


def _name(image: ApplyLayers, number: int) -> str:
    return f"layer {number + 1} of {len(image.layers)}"
