"""Every option, once: its name, its type, its environment twin, its default, and what it does.

This and `oci_pull.places` are the only modules that know the environment, and they are handed it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from oci_pull.config_files import read_configuration
from oci_pull.configuration import Configuration, Entry, typed
from oci_pull.errors import InvalidSetting
from oci_pull.oci.descriptor import Platform
from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import DOCKER_HUB, LayoutReference, Locator
from oci_pull.options import (
    Option,
    as_boolean,
    as_count,
    as_level,
    as_mirror,
    as_number,
    as_pair,
    as_platform,
    as_rate,
    as_text,
    as_time,
    one_of,
    seconds,
    shown,
    size,
)
from oci_pull.packaging.path import RESERVED
from oci_pull.places import as_path, config_home, home_of, places

T = TypeVar("T")

PREFIX = "OCI_PULL_"
#: Where a value comes from that nobody gave.
DEFAULT = "default"
_ETC = Path("/etc")
FORMATS = ("path", "text", "json")
LAYOUTS = ("dir", "hf")
LINK_MODES = ("auto", "reflink", "hardlink", "symlink", "copy")
PROGRESSES = ("auto", "bar", "plain", "json", "none")
COLORS = ("auto", "always", "never")


def _option(default: T, option: Option) -> T:
    """A field with its option; typed as its value, so that a wrong default is seen."""
    return field(default=default, metadata={"option": option})


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What is said of one registry, in its table of the configuration file or on the command line.

    Nothing of it is for anybody else: not for a mirror, a token service, or a storage host.
    """

    #: In the order in which they are asked, before the registry itself.
    mirrors: tuple[Mirror, ...] = ()
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    plain_http: bool = False
    insecure: bool = False
    #: The helper that has its credential, `ecr-login` for `docker-credential-ecr-login`.
    credential_helper: str = ""
    jobs: int | None = None
    #: Hosts beside its own domain whose token service may see the credential.
    token_hosts: tuple[str, ...] = ()
    #: Whether it may redirect to private addresses though it is on a public one.
    private_redirects: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What was decided before anything is done. Sizes in bytes, times in seconds.

    `load` makes them as the command does, `with_options` changes some of them.
    """

    output: Path | None = _option(
        None, Option(as_path, "DIR", "where", "lay the model out here", short="-o")
    )
    cache_dir: Path | None = _option(None, Option(as_path, "DIR", "where", "the cache"))
    layout: str = _option(
        "dir",
        Option(one_of(*LAYOUTS), "LAYOUT", "where", "dir, or hf: the Hugging Face hub cache"),
    )
    no_cache: bool = _option(
        default=False,
        option=Option(as_boolean, "", "where", "with -o: one copy there, and nothing in the cache"),
    )
    link_mode: str = _option(
        "auto",
        Option(
            one_of(*LINK_MODES),
            "HOW",
            "where",
            "weights: auto, reflink, hardlink, symlink or copy",
        ),
    )
    keep_archives: bool = _option(
        default=False,
        option=Option(as_boolean, "", "where", "keep large archives beside the files in them"),
    )
    include: tuple[str, ...] = _option(
        (), Option(as_text, "GLOB", "what", "only files whose path matches", is_list=True)
    )
    exclude: tuple[str, ...] = _option(
        (), Option(as_text, "GLOB", "what", "no file whose path matches", is_list=True)
    )
    allow_pickle: bool = _option(
        default=False, option=Option(as_boolean, "", "what", "take pickles, which can run code")
    )
    datasets: bool = _option(
        default=False, option=Option(as_boolean, "", "what", "take datasets as well")
    )
    platform: Platform | None = _option(
        None,
        Option(as_platform, "OS/ARCH", "what", "of an index, the manifest for it; also /VARIANT"),
    )
    select: tuple[tuple[str, str], ...] = _option(
        (), Option(as_pair, "KEY=VALUE", "what", "of an index, the variant so marked", is_list=True)
    )
    root: str = _option("", Option(as_text, "DIR", "what", "the directory that is the model"))
    jobs: int = _option(8, Option(as_count, "N", "how", "connections in all", short="-j"))
    limit_rate: int | None = _option(
        None, Option(as_rate, "RATE", "how", "bytes a second over all connections, as 50M")
    )
    retries: int = _option(8, Option(as_number, "N", "how", "tries without progress"))
    stall_timeout: float = _option(
        30.0, Option(seconds, "TIME", "how", "the longest silence of a server")
    )
    connect_timeout: float = _option(
        10.0, Option(seconds, "TIME", "how", "the longest wait for a connection")
    )
    max_wait: float = _option(
        300.0, Option(seconds, "TIME", "how", "the longest that a rate limit is waited out")
    )
    lock_timeout: float = _option(
        1800.0, Option(seconds, "TIME", "how", "the longest wait for another oci-pull")
    )
    timeout: float | None = _option(
        None, Option(as_time, "TIME", "how", "the longest that the whole pull may take")
    )
    max_bytes: int | None = _option(
        None, Option(size, "SIZE", "how", "write no more than this, as under a quota")
    )
    no_space_check: bool = _option(
        default=False, option=Option(as_boolean, "", "how", "do not ask whether there is room")
    )
    offline: bool = _option(
        default=False, option=Option(as_boolean, "", "how", "use what is cached, ask nobody")
    )
    stale_ok: bool = _option(
        default=False,
        option=Option(as_boolean, "", "how", "take what is cached where nobody answers"),
    )
    config: Path | None = _option(
        None, Option(as_path, "FILE", "how", "settings, instead of the usual files")
    )
    authfile: Path | None = _option(
        None, Option(as_path, "FILE", "registry", "credentials, as docker or podman keep them")
    )
    username: str = _option(
        "", Option(as_text, "USER", "registry", "log in as this user", short="-u")
    )
    password_stdin: bool = _option(
        default=False, option=Option(as_boolean, "", "registry", "read the password from stdin")
    )
    mirror: tuple[tuple[str, Mirror], ...] = _option(
        (), Option(as_mirror, "[HOST=]URL", "registry", "ask this one first", is_list=True)
    )
    ca_file: Path | None = _option(
        None, Option(as_path, "FILE", "registry", "believe these authorities as well")
    )
    client_cert: Path | None = _option(
        None, Option(as_path, "FILE", "registry", "the certificate to show to the registry")
    )
    client_key: Path | None = _option(
        None, Option(as_path, "FILE", "registry", "its key, where it is not in the same file")
    )
    plain_http: bool = _option(
        default=False, option=Option(as_boolean, "", "registry", "speak http, not https")
    )
    insecure: bool = _option(
        default=False,
        option=Option(as_boolean, "", "registry", "do not verify the registry's certificate"),
    )
    proxy: str = _option("", Option(as_text, "URL", "registry", "reach everything through this"))
    default_registry: str = _option(
        DOCKER_HUB, Option(as_text, "HOST", "registry", "where a name without a host is")
    )
    require_digest: bool = _option(
        default=False, option=Option(as_boolean, "", "trust", "refuse a tag without a digest")
    )
    digest_file: Path | None = _option(
        None, Option(as_path, "FILE", "trust", "write REFERENCE@DIGEST there, to pull that again")
    )
    format: str = _option(
        "path", Option(one_of(*FORMATS), "FORMAT", "output", "stdout: path, text or json")
    )
    progress: str = _option(
        "auto",
        Option(one_of(*PROGRESSES), "HOW", "output", "stderr: auto, bar, plain, json or none"),
    )
    quiet: bool = _option(
        default=False, option=Option(as_boolean, "", "output", "nothing but errors", short="-q")
    )
    verbose: int = _option(
        0,
        Option(
            as_level, "", "output", "requests too; -vv: their headers", short="-v", is_counted=True
        ),
    )
    color: str = _option(
        "auto", Option(one_of(*COLORS), "WHEN", "output", "colours: auto, always or never")
    )

    #: Not options: what the environment says of this machine and its user.
    home: Path | None = None
    docker_config: Path | None = None
    default_cache: Path | None = None
    hub_cache: Path | None = None
    #: What the environment says of credentials: as text, in files of Docker's format, the first of
    #: which counts first, and the password that belongs to `username`.
    docker_auth: str = field(default="", repr=False)
    registry_auth_file: Path | None = None
    auth_files: tuple[Path, ...] = ()
    password_file: Path | None = None
    #: What was read from stdin for `username`; no option and no variable ever holds it.
    password: str = field(default="", repr=False)
    #: Something writes our lines down (CI, a journal), even if it looks like a terminal.
    is_logged: bool = False
    #: The variables that say whether colours are wanted.
    color_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The tables of the configuration file, by registry.
    tables: Mapping[str, RegistrySettings] = field(default_factory=dict)
    #: Keys of the configuration file that are no options: caches that are looked into first, and
    #: references that pruning leaves alone.
    extra_cache_dirs: tuple[Path, ...] = ()
    keep: tuple[str, ...] = ()
    #: Where Docker's daemon, and the tools of containers, may say what mirrors there are: the first
    #: that counts first.
    docker_daemons: tuple[Path, ...] = ()
    containers_registries: tuple[Path, ...] = ()
    #: The same for directories of more such files, the last of which counts most.
    containers_dropins: tuple[Path, ...] = ()
    #: The variables that name proxies, and `certs.d` of Docker and of the tools of containers.
    proxy_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate_directories: tuple[Path, ...] = ()
    #: Where each value comes from, by the name of its field (`jobs`) or by registry
    #: (`registry.docker.io.jobs`): an option, a variable, the line of a file, or `DEFAULT`.
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str],
        given: Mapping[str, object] | None = None,
        *,
        etc: Path = _ETC,
    ) -> Self:
        """What was given, else what the environment says, else the configuration, else the default.

        `given` has values by field name: text as typed, or values of the right type. `etc` is where
        the machine has its configuration.

        Raises:
            InvalidSetting: a value that cannot be, naming the option, the variable, or the line of
                the file; or a file that cannot be read.
            TypeError: there is no such option.
        """
        options = dict(given or {})
        home, settled = home_of(environ), config_home(environ)
        named, origin = _named_file(environ, options.pop("config", None))
        written = read_configuration(
            (named, origin) if named else None, settled, etc, keys=_keys(), table_keys=TABLE_KEYS
        )
        values: dict[str, Any] = {"config": named} if named else {}
        origins = dict.fromkeys(OPTIONS, DEFAULT) | {"config": origin}
        for name in OPTIONS.keys() - {"config"}:
            variable = PREFIX + name.upper()
            if text := environ.get(variable):
                values[name], origins[name] = _from_variable(variable, name, text), variable
        for name in written.values.keys() - values.keys():
            entry = written.values[name]
            values[name] = typed(entry, OPTIONS.get(name) or FILE_KEYS[name], home)
            origins[name] = entry.origin
        found = cls(
            **values,
            **places(environ, etc),
            tables={host: _table(table, home) for host, table in written.tables.items()},
            origins={**origins, **_table_origins(written)},
        )
        return found.with_options(options)

    def with_options(self, given: Mapping[str, object]) -> Self:
        """The same settings where nothing else is given; None and an empty list are nothing.

        Raises:
            InvalidSetting: a value that cannot be.
            TypeError: there is no such option, or it is `config`, which is for `load`.
        """
        given = {
            name: value
            for name, value in given.items()
            if name not in OPTIONS or (value is not None and value not in ([], ()))
        }
        if unknown := given.keys() - (OPTIONS.keys() - {"config"}):
            raise TypeError(f"there is no option {', '.join(sorted(unknown))}")
        values = {
            name: _given(flag_of(name), OPTIONS[name], value) for name, value in given.items()
        }
        origins = {**self.origins, **{name: flag_of(name) for name in values}}
        return replace(self, **cast("Any", values), origins=origins)

    def registry(self, host: str) -> RegistrySettings:
        """What counts for a registry that the command line names: its table, and the options."""
        table = self.tables.get(host, RegistrySettings())
        mirrors = tuple(mirror for name, mirror in self.mirror if name in ("", host))
        return replace(
            table,
            mirrors=mirrors or table.mirrors,
            ca_file=self.ca_file or table.ca_file,
            client_cert=self.client_cert or table.client_cert,
            client_key=self.client_key or table.client_key,
            plain_http=self.plain_http or table.plain_http,
            insecure=self.insecure or table.insecure,
        )

    def unnamed_registry(self, host: str) -> RegistrySettings:
        """What counts for any other: its table, and the mirrors that were given for it."""
        table = self.tables.get(host, RegistrySettings())
        mirrors = tuple(mirror for name, mirror in self.mirror if name == host)
        return replace(table, mirrors=mirrors or table.mirrors)

    def jobs_for(self, reference: Locator) -> int:
        """How many connections there are: a registry's table is for those who gave no number."""
        is_given = self.origins.get("jobs") in (flag_of("jobs"), PREFIX + "JOBS")
        if is_given or isinstance(reference, LayoutReference):
            return self.jobs
        return self.tables.get(reference.host, RegistrySettings()).jobs or self.jobs

    @property
    def cache(self) -> Path:
        """The cache directory; raises `InvalidSetting` where nothing names one.

        Without a cache it is one inside the output, and there until that is complete.
        """
        if self.no_cache:
            if self.output is None or self.layout == "hf":
                raise InvalidSetting("--no-cache is for a directory of one's own", hint="-o DIR")
            return self.output.absolute() / RESERVED / "cache"
        chosen = self.cache_dir or self.default_cache
        if chosen is None:
            raise InvalidSetting(
                "there is no HOME and so no place for a cache",
                hint="--cache-dir DIR  or OCI_PULL_CACHE_DIR",
            )
        return chosen.absolute()


def flag_of(name: str) -> str:
    """The command line's word for a field."""
    return "--" + name.replace("_", "-")


def _given(origin: str, option: Option, value: object) -> object:
    """A value as its field wants it: text is parsed, a number as if it were typed."""
    if type(value) in (int, float):
        value = str(value)
    try:
        if option.is_list and isinstance(value, list | tuple):
            return tuple(option.parse(v) if isinstance(v, str) else v for v in value)
        parsed = option.parse(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InvalidSetting(f"{origin}: {shown(value)} is not right: {error}") from error
    return (parsed,) if option.is_list and isinstance(value, str) else parsed


def _from_variable(variable: str, name: str, text: str) -> object:
    option = OPTIONS[name]
    parts = [part.strip() for part in text.split(",")] if option.is_list else text
    return _given(variable, option, parts)


def _named_file(environ: Mapping[str, str], given: object) -> tuple[Path | None, str]:
    """The configuration file that somebody named, and where."""
    variable = PREFIX + "CONFIG"
    origin = flag_of("config") if given is not None else variable
    named = environ.get(variable) or None if given is None else given
    if named is None:
        return None, DEFAULT
    return cast("Path", _given(origin, OPTIONS["config"], named)), origin


def _keys() -> Collection[str]:
    return (*(name for name in OPTIONS if name != "config"), *FILE_KEYS)


def _table(entries: Mapping[str, Entry], home: Path | None) -> RegistrySettings:
    values = {name: typed(entry, TABLE_KEYS[name], home) for name, entry in entries.items()}
    return RegistrySettings(**cast("Any", values))


def _table_origins(written: Configuration) -> Mapping[str, str]:
    return {
        f"registry.{host}.{name}": entry.origin
        for host, table in written.tables.items()
        for name, entry in table.items()
    }


#: The options by field name, in the order in which help lists them.
OPTIONS: Mapping[str, Option] = {
    each.name: each.metadata["option"] for each in fields(Settings) if "option" in each.metadata
}

#: The keys of the configuration file that are no options.
FILE_KEYS: Mapping[str, Option] = {
    "extra_cache_dirs": Option(
        as_path, "DIR", "file", "caches of others that are looked into first", is_list=True
    ),
    "keep": Option(as_text, "REF", "file", "models that pruning leaves alone", is_list=True),
}
#: The keys of the table of a registry.
TABLE_KEYS: Mapping[str, Option] = {
    "mirrors": Option(
        Mirror.parse, "URL", "file", "asked in this order before the registry itself", is_list=True
    ),
    "credential_helper": Option(
        as_text, "NAME", "file", "the program that has its credential, without docker-credential-"
    ),
    "token_hosts": Option(
        as_text,
        "HOST",
        "file",
        "token services beside its own domain that may see the credential",
        is_list=True,
    ),
    "private_redirects": Option(
        as_boolean, "", "file", "it may redirect to private addresses though it is on a public one"
    ),
    **{
        name: OPTIONS[name]
        for name in ("ca_file", "client_cert", "client_key", "plain_http", "insecure", "jobs")
    },
}
