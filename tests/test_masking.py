"""Command lines lose their secrets, and as little else as can be."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.sources.proc.masking import HIDDEN, LENGTH_MAX, mask


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("mysqld --password=x --port=3306", "mysqld --password=*** --port=3306"),
        ("mysql -uroot -phunter2 shop", "mysql -uroot -p*** shop"),
        ("sshpass -p hunter2 ssh web-1", "sshpass -p *** ssh web-1"),
        ("plink -pw hunter2 web-1", "plink -p*** *** web-1"),
        ("app --api-key x --verbose", "app --api-key *** --verbose"),
        ("app --authToken x", "app --authToken ***"),
        ("app --use-key --password x run", "app --use-key *** *** run"),
        ("app --password= x", "app --password=*** ***"),
        ("app password x", "app password ***"),
        ("java -Ddb.password=x -cp a.jar Main", "java -Ddb.password=*** -cp a.jar Main"),
        ("env DB=x python run.py", "env DB=*** python run.py"),
        ("docker run -e FOO=x -eBAR=x nginx", "docker run -e FOO=*** -eBAR=*** nginx"),
        ("docker run --env=FOO=x nginx", "docker run --env=FOO=*** nginx"),
        ("curl -u name:x http://a/", "curl -u name:*** http://a/"),
        ("curl --proxy-user=name:x http://a/", "curl --proxy-user=name:*** http://a/"),
        ("curl -uname:x http://a/", "curl -uname:*** http://a/"),
        ("smbclient -U name%x //a/b", "smbclient -U name:*** //a/b".replace("e:", "e%")),
        ("app postgres://u:p@ss/w@db/shop", "app postgres://***@db/shop"),
        ("git clone https://sometoken@git.test/a", "git clone https://***@git.test/a"),
        ("app root:x@tcp(127.0.0.1)/shop", "app root:***@tcp(127.0.0.1)/shop"),
        ("app http://a/?token=x&b=1", "app http://a/?token=***"),
        ("kubectl create --from-literal=user=x", "kubectl create --from-literal=***"),
        ("redis-cli -a x -h a", "redis-cli -a *** -h a"),
        ("/usr/bin/snmpget -c x a", "/usr/bin/snmpget -c *** a"),
        ("ldapsearch -w x -b a", "ldapsearch -w *** -b a"),
        ("openssl enc -k x -in a", "openssl enc -k *** -in a"),
        ("app ghp_16C7e42F292c6912E7710c838347Ae178B4a", "app ***"),
        ("app 900150983cd24fb0d6963f7d28e17f72", "app ***"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(line: str, shown: str) -> None:
    """And what stands beside it is not."""
    assert mask(line.split(" ")) == shown


@pytest.mark.parametrize(
    "line",
    [
        "/usr/lib/systemd/systemd --switched-root --system --deserialize 31",
        "/usr/bin/ssh-keygen -t rsa",
        "/usr/sbin/sshd -D",
        "python -u script.py --workers=4",
        "sudo -u postgres psql",
        "nginx: worker process",
        "redis-server *:6379",
        "git clone git@github.test:a/b.git",
        "rsync a@b:/c d@e:/f",
        "tail -f /var/log/syslog",
        "dd if=/dev/zero of=/dev/null",
        "psql -a -w",
        "-bash",
    ],
)
def test_what_does_not_is_shown(line: str) -> None:
    """Word for word."""
    assert mask(line.split(" ")) == line


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["sh", "-c", "mysql --password=x shop"], "sh -c mysql --password=***"),
        (["sh", "-c", "mysql -px shop"], "sh -c mysql -p***"),
        (["sh", "-c", "app --user a:x b"], "sh -c app --user a:***"),
        (["sh", "-c", "A=x app"], "sh -c A=***"),
        (["curl", "-H", "Authorization: Bearer x"], "curl -H Authorization:***"),
        (["curl", "-d", '{"password": "x"}'], 'curl -d {"password***'),
        (["app --password=x y"], "app --password=***"),
        (["user:x@host"], "user:***@host"),
        (["app", "--password", "two words"], "app --password ***"),
    ],
)
def test_within_an_argument_all_that_follows_is_hidden(arguments: list[str], shown: str) -> None:
    """Nobody but the program knows where the value ends."""
    assert mask(arguments) == shown


def test_no_arguments_are_no_text() -> None:
    """Nor are empty ones."""
    assert mask([]) == mask([""]) == ""


def test_the_text_is_one_line_without_control_characters() -> None:
    """A terminal that prints it obeys nothing in it."""
    assert mask(["a\x1b[31m", "b\nc", "d\u202ee"]) == "a [31m b c d e"


def test_the_text_is_bounded() -> None:
    """It is cut after it was masked."""
    text = mask(["app", *["word"] * 1000, "--password=x"])
    assert len(text) == LENGTH_MAX
    assert text.endswith("…")
    assert len(mask(["a" * 15 + " "] * (LENGTH_MAX // 17) + ["a" * 15])) <= LENGTH_MAX


# ---- whatever the secret is

words = st.sampled_from(
    ["run", "-v", "--port=80", "/etc/app.toml", "a=b", "http://a/b", "x y", "8"]
)
# It may be anything that a program takes for one word; a mark makes sure that it is no other word.
secrets = st.text(string.ascii_letters + string.digits + string.punctuation, max_size=60).map(
    lambda text: f"Zq7{text}"
)
# Where the value is a part of something, it cannot hold what would end it.
parts = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "token", "my-pass."]),  # words that tell, where they do not
    st.just("Zq7"),
    st.text(string.ascii_letters + string.digits + "!$*+-._~", max_size=60),
)
NAMES = ["password", "passwd", "PASS", "pwd", "token", "secret", "api-key", "apiKey", "passphrase"]
names = st.builds(
    "{}{}{}".format,
    st.sampled_from(["--", "-", "--db-", "--my", ""]),
    st.sampled_from(
        [
            "password",
            "passwd",
            "PASS",
            "pwd",
            "token",
            "secret",
            "api-key",
            "apiKey",
            "auth",
            "authToken",
            "passphrase",
        ]
    ),
    st.sampled_from(["", "-file", "2", ".x"]),
)


@given(st.lists(words), names, secrets, st.lists(words), st.sampled_from(["=", ":", ": ", " "]))
def test_a_named_secret_never_occurs(
    before: list[str], name: str, secret: str, after: list[str], sign: str
) -> None:
    """In its own argument, in that of its name, and within a script."""
    for telling in ([name, secret], [f"{name}{sign}{secret}"], [f"sh -c '{name}{sign}{secret}'"]):
        assert secret not in mask(["app", *before, *telling, *after])
    assert secret not in mask([" ".join(["app", *before, f"{name}{sign}{secret}", *after])])


@given(
    st.lists(words), secrets, st.lists(words), st.from_regex(r"[A-Z_][A-Z0-9_]*", fullmatch=True)
)
def test_a_variables_value_never_occurs(
    before: list[str], secret: str, after: list[str], name: str
) -> None:
    """Whatever its name; as the shell has it, and as docker and compilers do."""
    for form in (f"{name}={secret}", f"-e{name}={secret}", f"--env={name}={secret}"):
        assert secret not in mask(["env", *before, form, *after])


@given(st.lists(words), secrets, st.lists(words))
def test_a_password_of_one_letter_never_occurs(
    before: list[str], secret: str, after: list[str]
) -> None:
    """Behind -p, with a blank or without."""
    assert secret not in mask(["app", *before, f"-p{secret}", *after])
    assert secret not in mask(["app", *before, "-p", secret, *after])


@given(st.lists(words), parts, parts, st.lists(words))
def test_a_user_of_a_url_never_occurs(
    before: list[str], user: str, password: str, after: list[str]
) -> None:
    """Neither the name, which may be a token, nor the password."""
    assume(user not in password)
    text = mask(["app", *before, f"amqp://{user}:{password}@mq:5672/x", *after])
    assert user not in text
    assert password not in text
    assert password not in mask(["app", *before, "-u", f"u:{password}", *after])


@given(st.lists(st.text(max_size=20), max_size=8))
def test_any_command_line_can_be_masked(arguments: list[str]) -> None:
    """The result is one line that can be printed."""
    text = mask(arguments)
    assert len(text) <= LENGTH_MAX
    assert text.isprintable()


@given(st.text(string.ascii_letters + string.digits, min_size=40, max_size=200))
def test_a_long_word_of_letters_and_digits_is_hidden(word: str) -> None:
    """It is a token or a hash."""
    assume(any(c.isdigit() for c in word))
    assume(any(c.isalpha() for c in word))
    assert mask(["app", word]) == f"app {HIDDEN}"


@pytest.mark.parametrize(
    "text", ["pass", "-", "--user", "a:", "://", "A", "a0-", "a.b", " ", "-p ", "a:b@", "--user-"]
)
def test_nobody_can_make_it_slow(text: str) -> None:
    """Whoever may start a process chooses its words."""
    began = time.thread_time()
    mask(["app", (text * 1024)[:1024]])
    assert time.thread_time() - began < 0.1
