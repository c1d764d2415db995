"""The settings: which place wins, and what is said about a mistake, wherever it was made."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from app.settings import OPTIONS, Option, Settings, SettingsError, load_settings, stray_variables

INTEGERS = {
    "port": (0, 65535),
    "interval": (1000, 60000),
    "tick": (100, 10000),
    "history": (60, 86400),
    "heartbeat": (1000, 60000),
    "max_clients": (1, 1_000_000),
}
SOURCES = ["flag", "environment", "file"]
NUMBERS = {"drain": (0, 300), "stall_timeout": (1, 600)}


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "pulsewire.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path = Path("/nonexistent"),
) -> Settings:
    """Load from what is given alone, not from the environment of the tests."""
    return load_settings(flags or {}, environ or {}, cwd)


def load_from(source: str, option: str, value: object) -> Settings:
    """Give one option a value in one of the three places."""
    if source == "flag":
        return load({option: str(value)})
    if source == "environment":
        return load(environ={OPTIONS[option].variable: str(value)})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pulsewire.toml").write_text(f"{option} = {value}\n", encoding="utf-8")
        return load(cwd=Path(folder))


def place_of(source: str, option: str) -> str:
    """How an error names the place."""
    return {
        "flag": f"flag {OPTIONS[option].flag}",
        "environment": f"environment {OPTIONS[option].variable}",
        "file": f"file pulsewire.toml, key {option}",
    }[source]


def inside(option: str) -> st.SearchStrategy[tuple[str, int]]:
    low, high = INTEGERS[option]
    return st.tuples(st.just(option), st.integers(low, high) | st.sampled_from([low, high]))


def outside(option: str) -> st.SearchStrategy[tuple[str, int]]:
    low, high = INTEGERS[option]
    values = st.integers(max_value=low - 1) | st.integers(min_value=high + 1)
    return st.tuples(st.just(option), values | st.sampled_from([low - 1, high + 1]))


def refused(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path = Path("/nonexistent"),
) -> SettingsError:
    """Load settings that must not be taken, and give the error."""
    with pytest.raises(SettingsError) as caught:
        load(flags, environ, cwd)
    return caught.value


def test_without_any_source_the_defaults_hold() -> None:
    """They are those that the documentation promises."""
    assert load() == Settings(
        host="127.0.0.1",
        port=8321,
        uds=None,
        root_path="",
        interval=5000,
        tick=1000,
        history=900,
        disk_path="/",
        remote_disks=False,
        container_socket=None,
        heartbeat=15000,
        max_clients=12000,
        stall_timeout=20.0,
        drain=5.0,
        allowed_origins=(),
        allowed_hosts=(),
        log_level="info",
        access_log=False,
    )


def test_the_environment_overrides_the_file_and_a_flag_overrides_both(
    file: Callable[[str], Path],
) -> None:
    """Each option by itself, not the sources as a whole."""
    folder = file("port = 1\ntick = 500\nhistory = 60\n").parent

    settings = load({"port": "3"}, {"PULSEWIRE_PORT": "2", "PULSEWIRE_TICK": "250"}, folder)

    assert (settings.port, settings.tick, settings.history) == (3, 250, 60)


@given(
    source=st.sampled_from(SOURCES),
    wrong=st.sampled_from(sorted(INTEGERS)).flatmap(outside),
)
def test_an_integer_outside_of_its_range_is_refused_from_any_source(
    source: str, wrong: tuple[str, int]
) -> None:
    """The error names place, option, range and value."""
    option, value = wrong
    low, high = INTEGERS[option]
    with pytest.raises(SettingsError) as caught:
        load_from(source, option, value)

    unit = {"history": " s", "port": "", "max_clients": ""}.get(option, " ms")
    assert str(caught.value) == (
        f"{place_of(source, option)}: "
        f"{option} must be an integer from {low} to {high}{unit}, not {value}"
    )


@given(source=st.sampled_from(SOURCES), right=st.sampled_from(sorted(INTEGERS)).flatmap(inside))
def test_an_integer_of_its_range_is_taken_from_any_source(
    source: str, right: tuple[str, int]
) -> None:
    """Both ends of the range are in it."""
    option, value = right
    # interval and tick must agree with the other one's default
    assume(option != "interval" or value >= Settings().tick)
    assume(option != "tick" or value <= Settings().interval)

    assert getattr(load_from(source, option, value), option) == value


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("option", sorted(NUMBERS))
@pytest.mark.parametrize("value", [-0.5, 600.5, "nan", "inf"])
def test_a_number_outside_of_its_range_is_refused_from_any_source(
    source: str, option: str, value: object
) -> None:
    """The range is told with its unit."""
    low, high = NUMBERS[option]
    with pytest.raises(SettingsError) as caught:
        load_from(source, option, value)

    assert str(caught.value).startswith(f"{place_of(source, option)}: {option} must be a number ")
    assert f" from {low} to {high} s, not " in str(caught.value)


@pytest.mark.parametrize("option", sorted(INTEGERS))
@pytest.mark.parametrize("value", ['"5000"', "true", "5000.0", "[5000]", "{a = 5000}", "nan"])
def test_a_file_has_to_give_integers_as_integers(option: str, value: str) -> None:
    """TOML has types; a text, a boolean and a round float are other ones."""
    with pytest.raises(SettingsError, match=f"^file pulsewire.toml, key {option}: .* an integer"):
        load_from("file", option, value)


@pytest.mark.parametrize("source", ["flag", "environment"])
@pytest.mark.parametrize("text", ["abc", "true", "1500.5", ""])
def test_a_flag_or_variable_has_to_be_the_text_of_an_integer(source: str, text: str) -> None:
    """The text is shown in quotes."""
    with pytest.raises(SettingsError) as caught:
        load_from(source, "interval", text)

    assert str(caught.value) == (
        f"{place_of(source, 'interval')}: "
        f'interval must be an integer from 1000 to 60000 ms, not "{text}"'
    )


def test_an_error_can_be_read_by_programs_too() -> None:
    """It has the parts of its text as attributes."""
    error = refused(environ={"PULSEWIRE_MAX_CLIENTS": "0"})

    assert error.source == "environment PULSEWIRE_MAX_CLIENTS"
    assert error.option == "max_clients"
    assert error.message == "max_clients must be an integer from 1 to 1000000, not 0"


def test_a_flag_helps_against_a_wrong_variable() -> None:
    """Kubernetes sets this one for a service named pulsewire, unasked."""
    environ = {"PULSEWIRE_PORT": "tcp://10.0.0.1:8321"}

    assert refused(environ=environ).source == "environment PULSEWIRE_PORT"
    assert load({"port": "8321"}, environ).port == 8321


def test_flags_may_be_values_as_well_as_texts() -> None:
    """Callers other than the command line have them so."""
    settings = load({"port": 0, "drain": 1, "access_log": True, "allowed_hosts": ["A"]})

    assert settings == evolve(Settings(), port=0, drain=1.0, access_log=True, allowed_hosts=("a",))


@pytest.mark.parametrize(
    ("flags", "environ", "text", "culprit"),
    [
        ({"tick": "8000"}, {}, "", "flag --tick"),
        ({}, {"PULSEWIRE_INTERVAL": "1000"}, "tick = 8000", "environment PULSEWIRE_INTERVAL"),
        ({}, {}, "interval = 1000\ntick = 2000", "file pulsewire.toml, key interval"),
    ],
)
def test_an_interval_below_the_tick_is_refused_where_somebody_wrote_it(
    flags: dict[str, object],
    environ: dict[str, str],
    text: str,
    culprit: str,
    file: Callable[[str], Path],
) -> None:
    """A default is nobody's mistake."""
    error = refused(flags, environ, file(text).parent)

    assert error.source == culprit
    assert "must not be less than tick (" in str(error)


def test_an_interval_may_be_no_multiple_of_the_tick() -> None:
    """The server rounds it up."""
    assert load({"interval": "2500", "tick": "1000"}).interval == 2500


def test_settings_made_in_code_are_judged_too() -> None:
    """An instance never holds what is not allowed."""
    with pytest.raises(ValueError, match="must be an integer from 0 to 65535, not 65536"):
        Settings(port=65536)
    with pytest.raises(ValueError, match=r"interval \(5000 ms\) must not be less than tick \(6000"):
        Settings(tick=6000)


def test_a_list_is_an_array_in_the_file_and_has_commas_elsewhere(
    file: Callable[[str], Path],
) -> None:
    """Both come out the same."""
    folder = file('allowed_origins = ["HTTP://A:3000", "https://b"]').parent
    environ = {"PULSEWIRE_ALLOWED_ORIGINS": "HTTP://A:3000,https://b"}

    assert load(cwd=folder).allowed_origins == ("http://a:3000", "https://b")
    assert load(environ=environ).allowed_origins == ("http://a:3000", "https://b")


def test_a_relative_socket_path_is_relative_to_who_wrote_it(tmp_path: Path) -> None:
    """In the file to the file, elsewhere to the working directory; links stay as they are."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "x.toml").write_text('uds = "run/x.sock"', encoding="utf-8")
    (tmp_path / "link").symlink_to("link")

    assert load({"config": "etc/x.toml"}, cwd=tmp_path).uds == folder / "run/x.sock"
    assert load(environ={"PULSEWIRE_UDS": "link"}, cwd=tmp_path).uds == tmp_path / "link"
    assert load({"uds": "/run/x.sock"}, cwd=tmp_path).uds == Path("/run/x.sock")


def test_an_empty_socket_path_takes_that_of_the_file_back(file: Callable[[str], Path]) -> None:
    """So that a flag can go back to TCP."""
    folder = file('uds = "/run/x.sock"').parent

    assert load({"uds": ""}, cwd=folder).uds is None


@pytest.mark.parametrize("text", ["/run/d.sock", "unix:///run/d.sock"])
def test_an_engines_socket_may_be_written_as_docker_writes_it(text: str) -> None:
    """It is a path all the same."""
    assert load({"container_socket": text}).container_socket == Path("/run/d.sock")
    assert load(environ={"PULSEWIRE_CONTAINER_SOCKET": ""}).container_socket is None


@pytest.mark.parametrize("text", ["tcp://10.0.0.1:2375", "unix://run/d.sock", "a\0b"])
def test_what_is_no_socket_of_this_machine_is_refused(text: str) -> None:
    """The error tells what it may be."""
    assert str(refused({"container_socket": text})).startswith(
        "flag --container-socket: container_socket must be the path of a Unix socket, or empty to "
        'look for one, not "'
    )


def test_keys_of_the_file_may_be_written_as_flags_are(file: Callable[[str], Path]) -> None:
    """With hyphens."""
    assert load(cwd=file("max-clients = 7").parent).max_clients == 7


@pytest.mark.parametrize(
    ("text", "key"), [("intervall = 5000", "intervall"), ("[intervall]", "intervall")]
)
def test_an_unknown_key_of_the_file_is_an_error_that_names_the_nearest(
    text: str, key: str, file: Callable[[str], Path]
) -> None:
    """A table is no setting either, even an empty one."""
    assert str(refused(cwd=file(text).parent)) == (
        f"file pulsewire.toml, key {key}: there is no such setting; the nearest is interval"
    )


def test_an_error_stays_on_one_line_whatever_the_key(file: Callable[[str], Path]) -> None:
    """TOML lets a quoted key hold a line break."""
    assert "\n" not in str(refused(cwd=file(r'"a\nb" = 1').parent))


@pytest.mark.parametrize(
    ("text", "line"),
    [("port = 1\ntick = = 2\n", 2), ("port = 1\nport = 2", 2), ("port = [\n1,\n", 3)],
)
def test_a_broken_file_is_named_with_the_line(
    text: str, line: int, file: Callable[[str], Path]
) -> None:
    """Also if it is at its end that something is missing."""
    error = str(refused(cwd=file(text).parent))

    assert error.startswith("file pulsewire.toml: ")
    assert f"(at line {line}, " in error


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Not text, not numbers, not even a file."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff = 1")
    (tmp_path / "digits.toml").write_text("port = " + "9" * 5000, encoding="utf-8")
    (tmp_path / "folder.toml").mkdir()

    for name in ("bytes.toml", "digits.toml", "folder.toml"):
        assert refused({"config": name}, cwd=tmp_path).source == f"file {name}"


def test_a_file_that_somebody_named_must_be_there(tmp_path: Path) -> None:
    """The error names who named it."""
    assert str(refused({"config": "x.toml"}, cwd=tmp_path)) == (
        "flag --config: there is no file x.toml"
    )
    assert str(refused(environ={"PULSEWIRE_SETTINGS": "x.toml"}, cwd=tmp_path)) == (
        "environment PULSEWIRE_SETTINGS: there is no file x.toml"
    )


def test_a_named_file_is_read_instead_of_the_default_one(
    file: Callable[[str], Path],
) -> None:
    """The flag names it before the environment, which an empty variable leaves silent."""
    folder = file("port = 1").parent
    for number in (2, 3):
        (folder / f"{number}.toml").write_text(f"port = {number}", encoding="utf-8")

    assert load(environ={"PULSEWIRE_SETTINGS": ""}, cwd=folder).port == 1
    assert load(environ={"PULSEWIRE_SETTINGS": "2.toml"}, cwd=folder).port == 2
    assert load({"config": "3.toml"}, {"PULSEWIRE_SETTINGS": "2.toml"}, folder).port == 3


def test_the_name_of_a_file_may_hold_any_character(tmp_path: Path) -> None:
    """Also those that mean something to settings libraries."""
    (tmp_path / "a!b:c").write_text("port = 5", encoding="utf-8")

    assert load({"config": "a!b:c"}, cwd=tmp_path).port == 5


def test_a_stray_variable_is_told_with_the_nearest_known_one() -> None:
    """Known ones and those of other programs are not."""
    environ = {"PULSEWIRE_PROT": "1", "PULSEWIRE_SETTINGS": "x", "PULSEWIRE_TICK": "1", "HOME": "/"}

    assert list(stray_variables(environ)) == [
        "environment PULSEWIRE_PROT: there is no such setting; the nearest is PULSEWIRE_PORT"
    ]


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS.keys())
def test_every_option_has_names_a_group_help_and_a_default_in_its_range(option: Option) -> None:
    """The help of the command line is made of them."""
    assert option.flag == "--" + option.name.replace("_", "-")
    assert option.variable == f"PULSEWIRE_{option.name.upper()}"
    assert option.group
    assert option.text.endswith(".")
    assert option.rule(option.default) == option.default
