"""The headers of layers, and the files that are written from them."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from oci_pull.adapters.cache.images import DirectoryImages
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.errors import Cancelled, DamagedArchive, Vanished
from oci_pull.events import Counter
from oci_pull.image import Model, find_model
from oci_pull.oci.digest import Digest
from oci_pull.oci.verify import verify
from oci_pull.packaging.overlay import EntryKind, ImageFile, LayerEntry, Place
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import ApplyLayers, ImageLayer, LeftOut
from oci_pull.ports import StoredBlob
from tests.archives import Entry, directory, symlink, tar_of
from tests.fakes.memory import blob_of

IMAGE = Digest.of(b"the manifest")
FILES = {"models/config.json": b"{}", "models/m.safetensors": b"w" * 3000, "etc/x": b"x"}


@dataclass
class Shelf:
    root: Path
    cancel: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.cache = Cache(self.root)
        self.store = DirectoryStore(self.cache)
        self.images = DirectoryImages(self.cache, self.cancel)

    def note(self, content: bytes) -> ImageLayer:
        """The headers of a layer are known."""
        layer = ImageLayer(blob_of(content))
        staged = self.images.reader(layer).consume(io.BytesIO(content))
        staged.publish(verify(layer.blob, content))
        staged.discard()
        return layer

    def add(self, *contents: bytes) -> tuple[ApplyLayers, dict[Digest, StoredBlob]]:
        layers = tuple(self.note(content) for content in contents)
        blobs = [
            self.store.add(layer.blob, content)
            for layer, content in zip(layers, contents, strict=True)
        ]
        return ApplyLayers(IMAGE, layers), {blob.descriptor.digest: blob for blob in blobs}

    def left(self) -> list[Path]:
        return list(self.cache.incomplete.iterdir())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "cache")


def tar(*entries: Entry, **files: bytes) -> bytes:
    content = tar_of([*entries, *(Entry(name, text) for name, text in files.items())]).content
    assert isinstance(content, bytes)
    return content


def model_of(image: ApplyLayers, shelf: Shelf, root: str = "") -> Model:
    found = find_model(image, root, shelf.images)
    assert found
    return found


def test_headers_come_back_as_they_were(shelf: Shelf) -> None:
    odd = "na\udcffme \u00e4"
    content = tar(
        directory("d"),
        Entry("d/a", b"abc"),
        symlink("l", "../d/a"),
        Entry("h", type=b"1", link="d/a"),
        Entry("p", type=b"6"),
        Entry(odd, b""),
        Entry("hub/models--o--n/refs/main", b"c" * 40),
        Entry("stargz.index.json", b"{}"),
    )
    layer = ImageLayer(blob_of(content))
    assert shelf.images.entries(layer) is None
    assert shelf.note(content) == layer
    assert shelf.images.entries(layer) == [
        LayerEntry(EntryKind.DIRECTORY, "d/"),
        LayerEntry(EntryKind.FILE, "d/a", size=3),
        LayerEntry(EntryKind.SYMLINK, "l", "../d/a"),
        LayerEntry(EntryKind.HARDLINK, "h", "d/a"),
        LayerEntry(EntryKind.OTHER, "p"),
        LayerEntry(EntryKind.FILE, odd),
        LayerEntry(EntryKind.FILE, "hub/models--o--n/refs/main", size=40, content="c" * 40),
        LayerEntry(EntryKind.OTHER, "stargz.index.json", size=2),
    ]
    assert shelf.left() == []


def test_headers_of_a_damaged_layer_are_not_noted(shelf: Shelf) -> None:
    content = tar(a=b"a" * 5000)[:3000]
    with pytest.raises(DamagedArchive):
        shelf.note(content)
    assert shelf.images.entries(ImageLayer(blob_of(content))) is None
    assert shelf.left() == []


A = '["file", "a", "", 1, ""]\n'


@pytest.mark.parametrize(
    "damage",
    ["", A, f"{A}2\n", "not JSON\n", '["file", "a"]\n1\n', '["x", "", "", 0, ""]\n1\n'],
)
def test_headers_that_are_not_all_there_are_noted_again(shelf: Shelf, damage: str) -> None:
    content = tar(a=b"a")
    layer = shelf.note(content)
    entries = shelf.cache.headers(layer.blob.digest) / "entries"
    assert entries.read_text() == f"{A}1\n"
    entries.write_text(damage)
    assert shelf.images.entries(layer) is None
    assert shelf.images.entries(shelf.note(content)) == [LayerEntry(EntryKind.FILE, "a", size=1)]


def test_the_model_is_written_and_nothing_else(shelf: Shelf) -> None:
    image, blobs = shelf.add(
        tar(**FILES), tar(Entry("models/again", type=b"1", link="models/config.json"))
    )
    assert shelf.images.merged(IMAGE, "") is None
    shelf.images.write(image, model_of(image, shelf), blobs, Counter())
    found = shelf.images.merged(IMAGE, "")
    assert found
    assert {str(member.path): member.size for member in found.members} == {
        "again": 2, "config.json": 2, "m.safetensors": 3000,
    }  # fmt: skip
    assert found.outside == LeftOut(
        "1 other file of the image", 1, "not in /models, which is the model"
    )
    for member in found.members:
        path = shelf.images.path(IMAGE, "", member.digest)
        assert Digest.of(path.read_bytes()) == member.digest
        assert path.stat().st_mode & 0o777 == 0o444
    files = shelf.cache.merged(IMAGE, "") / "files"
    assert len(list(files.iterdir())) == 2
    assert shelf.left() == []


def test_an_image_with_nothing_beside_its_model_says_so(shelf: Shelf) -> None:
    image, blobs = shelf.add(tar(**{name: FILES[name] for name in FILES if "models" in name}))
    shelf.images.write(image, model_of(image, shelf), blobs, Counter())
    found = shelf.images.merged(IMAGE, "")
    assert found
    assert found.outside is None


def test_what_another_run_wrote_stays(shelf: Shelf) -> None:
    image, blobs = shelf.add(tar(**FILES))
    for _ in range(2):
        shelf.images.write(image, model_of(image, shelf), blobs, Counter())
    assert shelf.images.merged(IMAGE, "")
    assert shelf.images.merged(IMAGE, "models") is None
    assert shelf.left() == []


def test_a_model_that_lost_a_file_is_written_again(shelf: Shelf) -> None:
    image, blobs = shelf.add(tar(**FILES))
    shelf.images.write(image, model_of(image, shelf), blobs, Counter())
    whole = shelf.images.merged(IMAGE, "")
    next((shelf.cache.merged(IMAGE, "") / "files").iterdir()).unlink()
    assert shelf.images.merged(IMAGE, "") is None
    shelf.images.write(image, model_of(image, shelf), blobs, Counter())
    assert shelf.images.merged(IMAGE, "") == whole


def test_a_cache_behind_is_looked_into(shelf: Shelf, tmp_path: Path) -> None:
    image, blobs = shelf.add(tar(**FILES))
    shelf.images.write(image, model_of(image, shelf), blobs, Counter())
    front = DirectoryImages(Cache(tmp_path / "front"), threading.Event(), shelf.images)
    assert front.entries(image.layers[0]) == shelf.images.entries(image.layers[0])
    assert front.merged(IMAGE, "") == shelf.images.merged(IMAGE, "")


def test_a_stop_leaves_nothing(shelf: Shelf) -> None:
    image, blobs = shelf.add(tar(**FILES))
    model = model_of(image, shelf)
    shelf.cancel.set()
    with pytest.raises(Cancelled):
        shelf.images.write(image, model, blobs, Counter())
    assert shelf.images.merged(IMAGE, "") is None
    assert shelf.left() == []


def test_a_stop_would_be_heard_where_nothing_is_wanted(shelf: Shelf) -> None:
    # The model comes last: everything before it is only read over.
    image, blobs = shelf.add(tar(**{"etc/big": b"x" * (4 << 20), **FILES}))
    model = model_of(image, shelf)
    looks = 0

    class Counted:
        def is_set(self) -> bool:
            nonlocal looks
            looks += 1
            return False

    DirectoryImages(shelf.cache, Counted()).write(image, model, blobs, Counter())
    assert looks > len(FILES)


def test_a_layer_that_somebody_removed_is_asked_for_again(shelf: Shelf) -> None:
    image, blobs = shelf.add(tar(**FILES))
    model = model_of(image, shelf)
    (blob,) = blobs.values()
    blob.path.unlink()
    with pytest.raises(Vanished):
        shelf.images.write(image, model, blobs, Counter())
    assert shelf.left() == []


def test_an_entry_that_is_not_there_is_an_error(shelf: Shelf) -> None:
    image, blobs = shelf.add(tar(**FILES))
    wrong = Model("", ((RelPath.parse("a"), ImageFile(Place(0, 9), 1)),), None)
    with pytest.raises(DamagedArchive, match="has changed"):
        shelf.images.write(image, wrong, blobs, Counter())
