"""Settings: one class, filled from four places.

Each place overrides the one before: the defaults below, the file ``pulsewire.toml``, variables
``PULSEWIRE_*`` of the environment, flags of the command line. typed-settings declares the options,
reads the file, merges the places and keeps for each value where it came from. Its own checks are
not used, since they take ``1.5`` and ``true`` for integers and name a loader class as the place of
a mistake; here it is the flag, variable or key that somebody has to correct.
"""

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast

import typed_settings as ts
from attrs import fields, frozen
from typed_settings.cls_utils import deep_options
from typed_settings.constants import METADATA_KEY
from typed_settings.dict_utils import merge_settings
from typed_settings.exceptions import ConfigFileLoadError, ConfigFileNotFoundError
from typed_settings.loaders import TomlFormat
from typed_settings.types import LoadedSettings, LoaderMeta, MergedSettings

from app import rules
from schema.errors import PulsewireError

__all__ = ["OPTIONS", "Option", "Settings", "SettingsError", "load_settings", "stray_variables"]

PREFIX = "PULSEWIRE_"
FILE_NAME = "pulsewire.toml"
"""The settings file, looked for in the working directory; it may be absent."""
FILE_VARIABLE = "PULSEWIRE_SETTINGS"
"""Names another settings file, which must be there; the flag ``--config`` overrides it."""

T = TypeVar("T")

_FLAG = "flag"
_ENVIRONMENT = "environment"


class SettingsError(PulsewireError):
    """A setting that cannot be used; the text is one line for the person who wrote it.

    ``source`` is the place to correct (``flag --port``, ``environment PULSEWIRE_PORT``,
    ``file pulsewire.toml, key port``), ``option`` the name of the setting, ``message`` what is
    wrong with it.
    """

    def __init__(self, source: str, option: str, message: str) -> None:
        # Split and joined: a quoted TOML key and the name of a file may hold line breaks.
        super().__init__(" ".join(f"{source}: {message}".split()))
        self.source = source
        self.option = option
        self.message = message


def _option(rule: rules.Rule, *, default: T, group: str, text: str) -> T:
    # Typed as the value that the attribute will have, like attrs.field.
    return ts.option(default=default, converter=rule, metadata={"group": group}, help=text)


@frozen
class Settings:
    """All settings of one server; an instance holds nothing that is not allowed.

    Raises:
        ValueError: a value breaks its rule, or ``interval`` is less than ``tick``.
    """

    host: str = _option(
        rules.HOST,
        default="127.0.0.1",
        group="Listening",
        text="Address to listen on; 0.0.0.0 or :: for all that this machine has.",
    )
    port: int = _option(
        rules.whole(0, 65535),
        default=8321,
        group="Listening",
        text="TCP port to listen on; 0 takes any that is free.",
    )
    uds: Path | None = _option(  # noqa: RUF009 - declares a field, as attrs.field does
        rules.FILE_PATH,
        default=None,
        group="Listening",
        text="Unix socket to listen on, instead of host and port.",
    )
    tls_cert: Path | None = _option(  # noqa: RUF009 - declares a field, as attrs.field does
        rules.FILE_PATH,
        default=None,
        group="Listening",
        text="File in PEM with the certificate chain to serve under TLS; the key may be in it.",
    )
    tls_key: Path | None = _option(  # noqa: RUF009 - declares a field, as attrs.field does
        rules.FILE_PATH,
        default=None,
        group="Listening",
        text="File in PEM with the private key of the certificate.",
    )
    root_path: str = _option(
        rules.ROOT_PATH,
        default="",
        group="Listening",
        text="Path under which a proxy serves Pulsewire.",
    )
    interval: int = _option(
        rules.whole(1000, 60000, "ms"),
        default=5000,
        group="Measuring",
        text="Time between two messages to a client that asks for no interval of its own; "
        "not less than tick, and rounded up to a multiple of it.",
    )
    tick: int = _option(
        rules.whole(100, 10000, "ms"),
        default=1000,
        group="Measuring",
        text="Time between two samples of the machine.",
    )
    history: int = _option(
        rules.whole(60, 86400, "s"),
        default=900,
        group="Measuring",
        text="How much of the past is kept, for charts and for clients that come back.",
    )
    disk_path: str = _option(
        rules.MOUNT_POINT,
        default="/",
        group="Measuring",
        text="The file system whose use is measured, by a path that lies in it.",
    )
    remote_disks: bool = _option(
        rules.SWITCH,
        default=False,
        group="Measuring",
        text="Tell also of file systems on other machines and of those that programs make (FUSE).",
    )
    container_socket: Path | None = _option(  # noqa: RUF009 - declares a field, as attrs.field does
        rules.ENGINE_SOCKET,
        default=None,
        group="Measuring",
        text="Unix socket of Docker or Podman; by default DOCKER_HOST and the usual places.",
    )
    heartbeat: int = _option(
        rules.whole(1000, 60000, "ms"),
        default=15000,
        group="Clients",
        text="Time of silence after which a client gets a sign of life.",
    )
    max_clients: int = _option(
        rules.whole(1, 1_000_000),
        default=12000,
        group="Clients",
        text="Clients at one time, on all transports together; more are turned away.",
    )
    stall_timeout: float = _option(
        rules.number(1, 600, "s"),
        default=20.0,
        group="Clients",
        text="Time after which a client that takes none of the bytes waiting for it is cut off.",
    )
    drain: float = _option(
        rules.number(0, 300, "s"),
        default=5.0,
        group="Clients",
        text="Time over which clients are sent away before the server ends.",
    )
    allowed_origins: tuple[str, ...] = _option(
        rules.ORIGINS,
        default=(),
        group="Access",
        text="Origins, beside the server's own, whose pages may read from it.",
    )
    allowed_hosts: tuple[str, ...] = _option(
        rules.HOST_NAMES,
        default=(),
        group="Access",
        text="Names, beside localhost and this machine's, by which clients may call the server.",
    )
    process_commands: bool = _option(
        rules.SWITCH,
        default=False,
        group="Access",
        text="Tell the command lines of processes, with what looks like a secret masked, to all "
        "who may read from the server.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _option(
        rules.LOG_LEVEL,
        default="info",
        group="Logging",
        text="The least important kind of lines that is logged.",
    )
    access_log: bool = _option(
        rules.SWITCH,
        default=False,
        group="Logging",
        text="Log each request and each WebSocket connection.",
    )

    def __attrs_post_init__(self) -> None:
        if self.interval < self.tick:
            raise ValueError(_too_short(self.interval, self.tick))


def _too_short(interval: int, tick: int) -> str:
    return f"interval ({interval} ms) must not be less than tick ({tick} ms)"


@frozen
class Option:
    """A setting as seen from outside: its names, its default, its range and its help."""

    name: str
    default: object
    rule: rules.Rule
    group: str
    text: str

    @property
    def flag(self) -> str:
        """The flag, as in ``--disk-path``."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The variable of the environment, as in ``PULSEWIRE_DISK_PATH``."""
        return PREFIX + self.name.upper()


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        field.name: Option(
            name=field.name,
            default=field.default,
            rule=cast("rules.Rule", field.converter),
            group=field.metadata["group"],
            text=field.metadata[METADATA_KEY]["help"],
        )
        for field in fields(Settings)
    }
)
"""All settings by name, in the order of the class."""


def load_settings(
    flags: Mapping[str, object] = MappingProxyType({}),
    environ: Mapping[str, str] = os.environ,
    cwd: Path = Path(),
) -> Settings:
    """Read the settings from all places.

    Only the value that counts is judged, so that a flag helps against a variable that somebody
    else set (Kubernetes sets ``PULSEWIRE_PORT=tcp://…`` where a service is named pulsewire).
    Relative paths in the file are relative to the file, all others to ``cwd``.

    Args:
        flags: values of the flags by the name of the option; ``config`` names the settings file.
        environ: the environment.
        cwd: the working directory.

    Raises:
        SettingsError: a value, a key of the file, or the file itself cannot be used.
    """
    base = cwd.absolute()
    places = [
        _from_file(flags, environ, base),
        _from_environment(environ, base),
        LoadedSettings(dict(flags), LoaderMeta(_FLAG, base)),
    ]
    merged = merge_settings(deep_options(Settings), places)
    # Not ts.convert: the rules have judged each value, and left nothing to convert.
    values: dict[str, Any] = {
        name: _judged(OPTIONS[name], value, meta) for name, (value, meta) in merged.items()
    }
    _judge_together(values, merged)
    return Settings(**values)


def stray_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Tell of each ``PULSEWIRE_*`` variable that is no setting, one line each, and the nearest."""
    known = [option.variable for option in OPTIONS.values()] + [FILE_VARIABLE]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            yield f"environment {name}: {_unknown(name, known)}"


def _unknown(name: str, known: Collection[str]) -> str:
    (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"there is no such setting; the nearest is {nearest}"


def _from_environment(environ: Mapping[str, str], base: Path) -> LoadedSettings:
    # Not ts.EnvLoader: it reads os.environ whatever it is given.
    values: dict[str, object] = {
        option.name: environ[option.variable]
        for option in OPTIONS.values()
        if option.variable in environ
    }
    return LoadedSettings(values, LoaderMeta(_ENVIRONMENT, base))


def _from_file(
    flags: Mapping[str, object], environ: Mapping[str, str], base: Path
) -> LoadedSettings:
    # Not ts.FileLoader: it cannot tell who named a missing file, and "!" in a name confuses it.
    named_by, name = _settings_file(flags, environ)
    place, path = f"file {name}", base / name
    try:
        content = TomlFormat(None)(path, Settings, ())
    except ConfigFileNotFoundError as error:
        if named_by:
            raise SettingsError(named_by, "config", f"there is no file {name}") from error
        content = {}
    except (OSError, ValueError, ConfigFileLoadError) as error:
        raise SettingsError(place, "config", _unreadable(error, path)) from error
    values = {key.replace("-", "_"): value for key, value in content.items()}
    for key in values:
        if key not in OPTIONS:
            raise SettingsError(f"{place}, key {key}", key, _unknown(key, OPTIONS))
    return LoadedSettings(values, LoaderMeta(place, path.parent))


def _settings_file(flags: Mapping[str, object], environ: Mapping[str, str]) -> tuple[str, str]:
    """Who named the settings file ("" for nobody), and its name."""
    if flags.get("config"):
        return f"{_FLAG} --config", str(flags["config"])
    if environ.get(FILE_VARIABLE):
        return f"{_ENVIRONMENT} {FILE_VARIABLE}", environ[FILE_VARIABLE]
    return "", FILE_NAME


def _unreadable(error: Exception, path: Path) -> str:
    text = str(error)
    if "end of document" in text:  # of all mistakes, tomllib tells these without their line
        last = path.read_bytes().count(b"\n") + 1
        text = text.replace("end of document", f"line {last}, the end of the file")
    return text


def _judged(option: Option, value: object, meta: LoaderMeta) -> object:
    judge = option.rule
    try:
        if isinstance(value, str) and meta.name in {_FLAG, _ENVIRONMENT}:
            value = judge.read(value)
        else:
            value = judge(value)
    except rules.RuleError as error:
        message = f"{option.name} {error}"
        raise SettingsError(_source(option, meta), option.name, message) from None
    # The library's way would follow symbolic links, and a loop of them is an exception.
    return meta.base_dir / value if isinstance(value, Path) else value


def _judge_together(values: Mapping[str, Any], merged: MergedSettings) -> None:
    interval, tick = (values.get(name, OPTIONS[name].default) for name in ("interval", "tick"))
    if interval < tick:
        culprit = OPTIONS["interval" if "interval" in values else "tick"]
        source = _source(culprit, merged[culprit.name].loader_meta)
        raise SettingsError(source, culprit.name, _too_short(interval, tick))


def _source(option: Option, meta: LoaderMeta) -> str:
    if meta.name == _FLAG:
        return f"{_FLAG} {option.flag}"
    if meta.name == _ENVIRONMENT:
        return f"{_ENVIRONMENT} {option.variable}"
    return f"{meta.name}, key {option.name}"
