"""One scene for each way in which the command fails: a name, what goes wrong, and the error."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from oci_pull import errors
from tests import builders, kits
from tests.archives import symlink
from tests.content import IndexEntry, encode, index, layer
from tests.e2e import isolation, lookups
from tests.e2e.command import until
from tests.e2e.disk import bytes_kept
from tests.e2e.models import (
    MIB,
    REPOSITORY,
    TAG,
    archive_layer,
    document,
    model,
    pack_around,
    put,
    put_raw,
    raw_layer,
    weights,
)
from tests.e2e.ports import closed
from tests.fakes.registry import (
    Auth,
    BlobFaults,
    FakeRegistry,
    ManifestFaults,
    Redirects,
    ServerFaults,
)
from tests.producers import images
from tests.servers.process import HOST
from tests.servers.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from tests.e2e.command import Command

    Scene = Callable[["Stage"], list[str]]

_SECRET = "s3cret-of-ana"
_MODEL = builders.docker_v02(model())
#: Patterns of what differs from run to run, and what stands for it.
_SMOOTHED = (
    (r"[\d.]+ [kMGT]?B free", "12.3 GB free"),
    (r"[\d.]+ [kMGT]?B of models", "37.4 GB of models"),
    (r"issued by: .*", "issued by: Corp Inspection CA"),
    (r"until 20\d\d-\d\d-\d\d \d\d:\d\d UTC", "until 2026-11-23 17:30 UTC"),
    (r"pid \d+ on \S+?(?=[,. ])", "pid 4711 on node-7"),
    (r"[\d.]+ [kMGT]?B of 8.4 MB kept", "4.2 MB of 8.4 MB kept"),
    (r"[\d.]+ [kMGT]?B of that are here", "3.1 MB of that are here"),
    # They lie beside the models of whoever runs the tests.
    (r"at \w+\.py, line \d+", "at space.py, line 40"),
    (r"curl -i http:", "curl -i https:"),
)


@dataclass
class Stage:
    """Where a scene plays."""

    registry: FakeRegistry
    user: Command
    stack: ExitStack
    #: What stands in the golden for something that is only known here.
    hidden: dict[str, str] = field(default_factory=dict)
    #: What is typed on stdin.
    stdin: str = ""
    #: Done while it runs.
    meanwhile: Callable[[Command, int], None] | None = None

    def put(self, artifact: object = _MODEL, **where: str) -> str:
        return put(self.registry, artifact, **where)  # type: ignore[arg-type]

    def with_config(self, auths: Mapping[str, object]) -> None:
        """The credentials of the user."""
        folder = self.user.home / ".docker"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(auths))

    def log_in(self, password: str = _SECRET) -> None:
        auth = {"username": "ana", "password": password}
        self.with_config({"auths": {self.registry.address: auth}})

    def another_registry(self, **options: object) -> FakeRegistry:
        return self.stack.enter_context(FakeRegistry(**options))  # type: ignore[arg-type]

    def smoothed(self, text: str) -> str:
        known = {
            **self.hidden,
            self.registry.address: "registry.example",
            self.registry.storage.address: "storage.example",
            self.registry.token_server.address: "auth.example",
            str(self.user.home): "/home/ana",
        }
        for found, name in known.items():
            text = text.replace(found, name)
        for pattern, name in _SMOOTHED:
            text = re.sub(pattern, name, text)
        return text


#: By name: the error that it ends with, and what prepares it and says what is typed.
SCENES: dict[str, tuple[type[errors.OciPullError], Scene]] = {}


def _ends_with(kind: type[errors.OciPullError]) -> Callable[[Scene], Scene]:
    """The scene fails with this error, of which it has the name in the goldens."""

    def add(scene: Scene) -> Scene:
        name = scene.__name__.removeprefix("_").replace("_", "-")
        SCENES[name] = (kind, scene)
        return scene

    return add


# 1: unexpected


@_ends_with(errors.OciPullError)
def _surprise(stage: Stage) -> list[str]:
    stage.user = lookups.a_surprise(stage.user)
    return [stage.put()]


# 2: usage


@_ends_with(errors.InvalidReference)
def _scheme_of_a_web_page(_: Stage) -> list[str]:
    return ["https://ghcr.io/acme/llama:v3.1"]


@_ends_with(errors.InvalidReference)
def _upper_case(_: Stage) -> list[str]:
    return ["ai/SmolLM2"]


@_ends_with(errors.InvalidSetting)
def _option_that_cannot_be(_: Stage) -> list[str]:
    return ["--stall-timeout", "soon", "ai/smollm2"]


@_ends_with(errors.InvalidSetting)
def _key_that_is_unknown(stage: Stage) -> list[str]:
    file = stage.user.home / ".config" / "oci-pull" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('jobs = 4\nmirors = ["mirror.corp"]\n')
    return ["ai/smollm2"]


@_ends_with(errors.UsageError)
def _mistyped_command(_: Stage) -> list[str]:
    return ["cahce", "ls"]


@_ends_with(errors.UsageError)
def _mistyped_option(_: Stage) -> list[str]:
    return ["ai/smollm2", "--ouput", "smollm2"]


@_ends_with(errors.UsageError)
def _nobody_to_ask(_: Stage) -> list[str]:
    return ["cache", "rm", "ai/smollm2"]


@_ends_with(errors.TargetNotUsable)
def _target_of_somebody_else(stage: Stage) -> list[str]:
    (stage.user.home / "models").mkdir()
    (stage.user.home / "models" / "notes.txt").touch()
    return ["-o", str(stage.user.home / "models"), stage.put()]


# 3: not found


@_ends_with(errors.RepositoryUnknown)
def _unknown_name(stage: Stage) -> list[str]:
    stage.put()
    return [f"{stage.registry.address}/team/another:v1"]


@_ends_with(errors.ManifestUnknown)
def _unknown_tag(stage: Stage) -> list[str]:
    for tag in ("v3.1", "v3.0", "v2.9-Q4_K_M", "latest"):
        stage.put(tag=tag)
    return [f"{stage.registry.address}/{REPOSITORY}:v31"]


@_ends_with(errors.BlobUnknown)
def _lost_blob(stage: Stage) -> list[str]:
    whole = pack_around()
    weight = whole.document["layers"][-1]["digest"]
    blobs = {digest: blob for digest, blob in whole.blobs.items() if digest != weight}
    stage.registry.put(REPOSITORY, TAG, whole.manifest, whole.media_type, blobs)
    return [f"{stage.registry.address}/{REPOSITORY}:{TAG}"]


@_ends_with(errors.NotFoundError)
def _not_in_the_cache(_: Stage) -> list[str]:
    return ["cache", "rm", "-y", "ai/smollm2"]


# 4: access


@_ends_with(errors.CredentialsRequired)
def _nobody_logged_in(stage: Stage) -> list[str]:
    stage.registry.auth = Auth(users={"ana": _SECRET}, private=[REPOSITORY])
    return [stage.put()]


def _docker_hub(stage: Stage, name: str) -> list[str]:
    authority = Authority(stage.user.home / "tls")
    context = authority.server("registry-1.docker.io", "127.0.0.1").server_context()
    hub = stage.another_registry(tls=context)
    hub.auth = Auth(private=[f"library/{name.partition(':')[0]}"])
    port = int(hub.address.rpartition(":")[2])
    stage.user = lookups.docker_hub_is_here(stage.user, port).with_env(
        SSL_CERT_FILE=str(authority.ca_file)
    )
    return [name]


@_ends_with(errors.CredentialsRequired)
def _one_word_of_docker_hub(stage: Stage) -> list[str]:
    return _docker_hub(stage, "smollm2")


@_ends_with(errors.CredentialsRequired)
def _registry_alone(stage: Stage) -> list[str]:
    return _docker_hub(stage, "ghcr.io")


@_ends_with(errors.CredentialsRejected)
def _wrong_password(stage: Stage) -> list[str]:
    stage.registry.auth = Auth(users={"ana": "another"}, anonymous=False)
    stage.log_in()
    return [stage.put()]


@_ends_with(errors.AccessDenied)
def _account_without_the_right(stage: Stage) -> list[str]:
    stage.registry.auth = Auth(users={"ana": _SECRET})
    stage.registry.server_faults = ServerFaults(status=403, only=[f"/v2/{REPOSITORY}/manifests/v1"])
    stage.log_in()
    return [stage.put()]


@_ends_with(errors.RealmNotTrusted)
def _token_service_of_somebody_else(stage: Stage) -> list[str]:
    stage.user = lookups.look_up_finds_it_here(stage.user)
    port = stage.registry.token_server.address.rpartition(":")[2]
    stage.registry.auth = Auth(realm=f"http://{lookups.NAME}:{port}/token")
    stage.hidden[f"{lookups.NAME}:{port}"] = stage.hidden[lookups.NAME] = "auth.example"
    stage.log_in()
    return [stage.put()]


@_ends_with(errors.HelperFailed)
def _helper_that_is_not_there(stage: Stage) -> list[str]:
    stage.registry.auth = Auth(users={"ana": _SECRET})
    stage.with_config({"credsStore": "desktop"})
    stage.stdin = _SECRET
    return ["login", "--username", "ana", "--password-stdin", stage.registry.address]


# 5: network and server


@_ends_with(errors.NameNotResolved)
def _no_such_host(stage: Stage) -> list[str]:
    stage.user = lookups.look_up_finds_nothing(stage.user)
    stage.hidden[lookups.NAME] = "registry.example"
    return [f"{lookups.NAME}/team/model:v1"]


@_ends_with(errors.ConnectionFailed)
def _nothing_listens(stage: Stage) -> list[str]:
    address = f"{HOST}:{stage.stack.enter_context(closed())}"
    stage.hidden[address] = "registry.example"
    return [f"{address}/team/model:v1"]


@_ends_with(errors.ServerFailed)
def _server_in_trouble(stage: Stage) -> list[str]:
    stage.registry.server_faults = ServerFaults(status=503)
    return [stage.put()]


@_ends_with(errors.RequestRefused)
def _request_refused(stage: Stage) -> list[str]:
    stage.registry.manifest_faults = ManifestFaults(status=400)
    return [stage.put()]


@_ends_with(errors.BadReply)
def _reply_that_makes_no_sense(stage: Stage) -> list[str]:
    stage.registry.blob_faults = BlobFaults(content_encoding="br")
    return [stage.put()]


@_ends_with(errors.TlsFailed)
def _certificate_of_a_proxy(stage: Stage) -> list[str]:
    authority = Authority(stage.user.home / "tls")
    stage.registry = stage.another_registry(tls=authority.server().server_context())
    return [stage.put()]


@_ends_with(errors.NotTls)
def _no_tls(stage: Stage) -> list[str]:
    stage.user = lookups.look_up_finds_it_here(stage.user)
    address = stage.registry.address.replace("127.0.0.1", lookups.NAME)
    stage.hidden[address] = stage.hidden[lookups.NAME] = "registry.example"
    return [stage.put().replace("127.0.0.1", lookups.NAME)]


@_ends_with(errors.NotARegistry)
def _login_page(stage: Stage) -> list[str]:
    stage.registry.server_faults = ServerFaults(html=True)
    return [stage.put()]


@_ends_with(errors.TimedOut)
def _time_is_over(stage: Stage) -> list[str]:
    stage.registry.manifest_faults = ManifestFaults(hold=threading.Event())
    return ["--timeout", "1s", stage.put()]


# 6: rate limit


@_ends_with(errors.RateLimited)
def _rate_limit(stage: Stage) -> list[str]:
    limits = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"}
    stage.registry.server_faults = ServerFaults(status=429, retry_after=7800, headers=limits)
    return [stage.put()]


# 7: the local disk


def _too_large(stage: Stage) -> str:
    """A model of a hundred terabytes."""
    found = document()
    found["layers"][-1]["size"] = 10**14
    return put_raw(stage.registry, encode(found))


@_ends_with(errors.NoSpace)
def _no_space(stage: Stage) -> list[str]:
    stage.user(stage.put(tag="old")).must_succeed()
    before = time.time() - 40 * 86400
    for stamp in (stage.user.cache / "used").rglob("*"):
        os.utime(stamp, (before, before))
    return [_too_large(stage)]


@_ends_with(errors.NoSpace)
def _quota(stage: Stage) -> list[str]:
    return ["--max-bytes", "1M", stage.put(builders.docker_v02(model(4 * MIB)))]


@_ends_with(errors.NoSpace)
def _disk_that_fills_up(stage: Stage) -> list[str]:
    stage.user = lookups.disk_is_full_after(stage.user, MIB)
    return [stage.put(builders.docker_v02(model(4 * MIB)))]


@_ends_with(errors.NotWritable)
def _no_permission(stage: Stage) -> list[str]:
    closed = stage.user.home / "closed"
    closed.mkdir(mode=0o555)
    stage.user = replace(stage.user, prefix=isolation.without_privileges())
    return ["--cache-dir", str(closed / "cache"), stage.put()]


@_ends_with(errors.DiskError)
def _cache_below_a_file(stage: Stage) -> list[str]:
    (stage.user.home / "file").touch()
    return ["--cache-dir", str(stage.user.home / "file" / "cache"), stage.put()]


@_ends_with(errors.CacheTooNew)
def _cache_of_a_newer_release(stage: Stage) -> list[str]:
    stage.user.cache.mkdir(parents=True)
    (stage.user.cache / "version").write_text("99\n")
    return [stage.put()]


# 8: integrity


@_ends_with(errors.DigestMismatch)
def _wrong_bytes(stage: Stage) -> list[str]:
    reference = stage.put(pack_around())
    weight = pack_around().document["layers"][-1]["digest"]
    stage.registry.redirects = Redirects()
    stage.registry.blob_faults = BlobFaults(corrupt_at=-1, at="storage", only=[weight])
    return [reference]


@_ends_with(errors.SizeMismatch)
def _wrong_size(stage: Stage) -> list[str]:
    stage.put(pack_around())
    found = document()
    found["layers"][-1]["size"] += 1
    return [put_raw(stage.registry, encode(found))]


@_ends_with(errors.InvalidManifest)
def _no_manifest(stage: Stage) -> list[str]:
    return [put_raw(stage.registry, b"<html>")]


@_ends_with(errors.DamagedArchive)
def _archive_that_ends_early(stage: Stage) -> list[str]:
    whole = archive_layer({"vocab.json": b"{}" * 2000})
    cut = layer(whole.media_type, bytes(whole.content)[:2000], whole.annotations)
    return [stage.put(pack_around(cut))]


@_ends_with(errors.InconsistentModel)
def _shard_that_is_not_there(stage: Stage) -> list[str]:
    shards = {"weight_map": {"w": "model-00001-of-00001.safetensors"}}
    named = raw_layer("model.safetensors.index.json", encode(shards))
    return [stage.put(pack_around(named))]


@_ends_with(errors.DamagedCache)
def _damaged_cache(stage: Stage) -> list[str]:
    found = stage.user(stage.put()).json["path"]
    path = Path(found, "model.safetensors")
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    return ["cache", "verify"]


# 9: no model


@_ends_with(errors.NotAModel)
def _chart(stage: Stage) -> list[str]:
    config = layer("application/vnd.cncf.helm.config.v1+json", b"{}")
    chart = layer("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart")
    return [stage.put(builders.artifact(config, [chart]))]


@_ends_with(errors.NotAModel)
def _something_unknown(stage: Stage) -> list[str]:
    files = [layer("application/x-frob", b"1"), layer("application/x-frob", b"2")]
    return [stage.put(builders.artifact(layer("application/x-thing", b"{}"), files))]


@_ends_with(errors.NotAModel)
def _image_without_a_model(stage: Stage) -> list[str]:
    files = {"etc/nginx/nginx.conf": b"x", "usr/sbin/nginx": b"x", "var/run/x": b"x"}
    return [stage.put(images.image_of(images.image_layer(files)))]


@_ends_with(errors.SeveralVariants)
def _two_in_an_index(stage: Stage) -> list[str]:
    entries = [
        IndexEntry(builders.modelpack(builders.tiny_model(seed=seed)), annotations={"quant": name})
        for seed, name in enumerate(("Q4", "Q8"))
    ]
    return [stage.put(index(entries))]


@_ends_with(errors.PlatformUnknown)
def _other_platform(stage: Stage) -> list[str]:
    entry = IndexEntry(
        builders.modelpack(builders.tiny_model()), platform={"os": "linux", "architecture": "amd64"}
    )
    return ["--platform", "linux/s390x", stage.put(index([entry]))]


@_ends_with(errors.SeveralRoots)
def _two_directories(stage: Stage) -> list[str]:
    both = {
        f"{name}/{path}": content
        for seed, name in enumerate(("large", "small"))
        for path, content in builders.tiny_model(seed=seed).items()
    }
    return [stage.put(builders.modelpack(both))]


@_ends_with(errors.UnsupportedDigest)
def _other_algorithm(stage: Stage) -> list[str]:
    found = document()
    found["layers"][-1]["digest"] = f"sha384:{'ab' * 48}"
    return [put_raw(stage.registry, encode(found))]


@_ends_with(errors.Unsupported)
def _encrypted_image(stage: Stage) -> list[str]:
    secret = layer("application/vnd.oci.image.layer.v1.tar+encrypted", b"x")
    return [stage.put(images.image_of(secret))]


@_ends_with(errors.EndlessParents)
def _kits_in_a_circle(stage: Stage) -> list[str]:
    own = {"notes.md": b"x"}
    pieces = [kits.Piece("docs", "notes.md")]
    reference = f"{stage.registry.address}/{REPOSITORY}:v1"
    return [stage.put(kits.kit(own, pieces, parent=reference))]


# 10: refused


@_ends_with(errors.UnsafePath)
def _name_that_leaves(stage: Stage) -> list[str]:
    return [stage.put(pack_around(raw_layer("../.bashrc", b"x")))]


@_ends_with(errors.UnsafeArchive)
def _link_in_an_archive(stage: Stage) -> list[str]:
    return [stage.put(pack_around(archive_layer([symlink("link", "/etc/passwd")])))]


@_ends_with(errors.PathConflict)
def _twins(stage: Stage) -> list[str]:
    return [stage.put(pack_around(raw_layer("a.txt", b"1"), raw_layer("A.txt", b"2")))]


@_ends_with(errors.PickleOnly)
def _pickle_only(stage: Stage) -> list[str]:
    files = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    return [stage.put(builders.modelpack(files))]


@_ends_with(errors.RedirectRefused)
def _redirect_to_the_cloud(stage: Stage) -> list[str]:
    stage.registry.redirects = Redirects(location="http://169.254.169.254/latest/meta-data")
    return [stage.put()]


@_ends_with(errors.RegistryBlocked)
def _blocked(stage: Stage) -> list[str]:
    file = stage.user.home / ".config" / "containers" / "registries.conf"
    file.parent.mkdir(parents=True)
    file.write_text(f'[[registry]]\nprefix = "{stage.registry.address}"\nblocked = true\n')
    return [stage.put()]


@_ends_with(errors.DigestRequired)
def _tag_alone(stage: Stage) -> list[str]:
    reference = stage.put()
    stage.user(reference).must_succeed()
    return ["--require-digest", reference]


# 11: busy


@_ends_with(errors.Busy)
def _held_by_another(stage: Stage) -> list[str]:
    reference = stage.put()
    weight = pack_around().document["layers"][-1]["digest"]
    stage.registry.blob_faults = BlobFaults(hold=threading.Event(), only=[weight])
    other = stage.stack.enter_context(stage.user.start(reference))
    other.until(lambda: stage.registry.count("GET", "blob") >= 3, "the other one fetches")
    return ["--lock-timeout", "1s", reference]


# 12: offline


@_ends_with(errors.NotCached)
def _never_pulled(stage: Stage) -> list[str]:
    stage.user(stage.put(repository="team/smollm2", tag="latest")).must_succeed()
    return ["--offline", f"{stage.registry.address}/team/smolm2"]


def _begun(stage: Stage) -> None:
    """A pull that had all but the weights, and a part of these."""
    reference = stage.put(pack_around())
    by_digest = f"{stage.registry.address}/{REPOSITORY}@{pack_around().digest}"
    stage.user("--exclude", "model.safetensors", by_digest).must_succeed()
    weight = pack_around().document["layers"][-1]["digest"]
    stage.registry.blob_faults = BlobFaults(cut_after=1000, only=[weight])
    stage.user(reference).must_fail(5)


@_ends_with(errors.NotCached)
def _unfinished(stage: Stage) -> list[str]:
    _begun(stage)
    return ["--offline", f"{stage.registry.address}/{REPOSITORY}:v1"]


@_ends_with(errors.NotCached)
def _incomplete(stage: Stage) -> list[str]:
    _begun(stage)
    return ["--offline", f"{stage.registry.address}/{REPOSITORY}@{pack_around().digest}"]


# 130 and 143


def _stopped(stage: Stage, number: signal.Signals) -> list[str]:
    reference = stage.put(
        builders.docker_v02({"config.json": b"{}", "model.safetensors": weights(8 * MIB)})
    )
    stage.registry.blob_faults = BlobFaults(stall_after=4 * MIB)
    stage.meanwhile = lambda user, pid: _signal(user, pid, number)
    return [reference]


def _signal(user: Command, pid: int, number: signal.Signals) -> None:
    until(lambda: bytes_kept(user.cache) > MIB, "some of the weights is on disk")
    os.kill(pid, number)


@_ends_with(errors.Cancelled)
def _ctrl_c(stage: Stage) -> list[str]:
    return _stopped(stage, signal.SIGINT)


@_ends_with(errors.Terminated)
def _sigterm(stage: Stage) -> list[str]:
    return _stopped(stage, signal.SIGTERM)
