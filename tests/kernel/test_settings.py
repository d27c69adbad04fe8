"""Where settings come from, and that a broken one never stops a job."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hcrun.errors import SettingsError
from hcrun.settings import CHECK_TIMEOUT, Settings, parse_env_file
from hcrun.units import seconds
from hcrun.variables import load
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import run_hcrun

DURATION = "is not a duration; write it like 30s, 5m, 1h30m or 2d"


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


class TestEnvFile:
    @pytest.mark.parametrize(
        ("line", "values"),
        [
            ("A=1", {"A": "1"}),
            ("  A = 1  ", {"A": "1"}),
            ("export A=1", {"A": "1"}),
            ("A='it \"is\"'", {"A": 'it "is"'}),
            ('A="a b"', {"A": "a b"}),
            ("A=b=c # d", {"A": "b=c"}),
            ("A=1\t# d", {"A": "1"}),
            ("A= # d", {"A": ""}),
            ("A=#monitoring", {"A": "#monitoring"}),
            ("A=#a#b # c", {"A": "#a#b"}),
            ("A=it's", {"A": "it's"}),
            ("A=", {"A": ""}),
            ("A=''", {"A": ""}),
            ('A={"a": "b#c"}', {"A": '{"a": "b#c"}'}),
            ("A = 'b # c' # d", {"A": "b # c"}),
            ('export A="b # c"\r\nB=1\r', {"A": "b # c", "B": "1"}),
            (r'A="a\"b\\c\$d\n"', {"A": r'a"b\c$d\n'}),
            (r"A='a\b'", {"A": r"a\b"}),
            ('A="1\nB=\n2"\nC=3', {"A": "1\nB=\n2", "C": "3"}),
            ("A=$HOME", {"A": "$HOME"}),
            ("A=1\r", {"A": "1"}),
            ("A=x\x0by\u2028z", {"A": "x\x0by\u2028z"}),
            ("\ufeffA=1\nB=2", {"A": "1", "B": "2"}),
            ("A=1\nA=2", {"A": "2"}),
            ("# A=1\n;B=2\n\n   \n", {}),
        ],
    )
    def test_good(self, line: str, values: dict[str, str]) -> None:
        assert parse_env_file(line, "f") == (values, [])

    @pytest.mark.parametrize(
        ("text", "doubt"),
        [
            ("A='secret", "a quote that is not closed"),
            ('A="', "a quote that is not closed"),
            ("A='secret\"", "a quote that is not closed"),
            ('A="secret\\"', "a quote that is not closed"),
            ('A="se" cret', "text after the closing quote"),
            ('A="secret"# d', "text after the closing quote"),
            ("A='se''cret'", "text after the closing quote"),
            ('A="secret\nC=" 1 "', "text after the closing quote"),
            ("A=secret\\", "a backslash outside of quotes"),
            (r"A=C:\secret # d", "a backslash outside of quotes"),
            ('A="secret\\\n"', "a backslash at the end of a line"),
            ("A=secret 'a # b'", "a # inside of a quote that begins in the middle"),
            ("A='sec\n\0ret'", "a NUL"),
        ],
    )
    def test_a_doubtful_value_is_reported_and_not_used(self, text: str, doubt: str) -> None:
        values, problems = parse_env_file(f"X=1\n{text}\nB=2", "f")
        assert (values["X"], values["B"], "A" in values) == ("1", "2", False)
        problem = f"f: line 2: A is not used, because it has {doubt}; put the whole value in single"
        assert problems[0] == f"{problem} quotes"
        assert "ecret" not in "".join(problems)

    @pytest.mark.parametrize("line", ["secret", "=secret", "A B=secret", "A-B=secret", "A=\0"])
    def test_bad_line_is_not_repeated(self, line: str) -> None:
        problem = "f: line 2 is not NAME=value; it is not used"
        assert parse_env_file(f"X=1\n{line}\nY=2", "f") == ({"X": "1", "Y": "2"}, [problem])

    def test_many_bad_lines_are_one_problem(self) -> None:
        problem = "f: line 1 (and 8 more) is not NAME=value; it is not used"
        assert parse_env_file("x\n" * 9, "f") == ({}, [problem])


class TestLoad:
    @pytest.mark.parametrize(
        ("environ", "place"),
        [
            ({"HCRUN_ENV_FILE": "{}/given.env"}, "given.env"),
            ({}, ".config/hcrun/hcrun.env"),
            ({"XDG_CONFIG_HOME": "{}/xdg"}, "xdg/hcrun/hcrun.env"),
        ],
    )
    def test_place(self, environ: dict[str, str], place: str, tmp_path: Path) -> None:
        for other in ("given.env", ".config/hcrun/hcrun.env", "xdg/hcrun/hcrun.env"):
            write(tmp_path / other, f"A={other}")
        environ = {name: value.format(tmp_path) for name, value in environ.items()}
        loaded = Settings.load({"HOME": str(tmp_path)} | environ)
        assert (loaded.path, loaded.problems) == (f"{tmp_path}/{place}", [])
        assert loaded.get("A") == place

    @pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "/dev/null"}, {"HOME": "/x"}])
    def test_none(self, environ: dict[str, str]) -> None:
        loaded = Settings.load(environ)
        assert (loaded.path, loaded.problems) == ("", [])

    def test_given_file_is_missing(self, tmp_path: Path) -> None:
        write(tmp_path / ".config/hcrun/hcrun.env", "A=home")
        loaded = Settings.load({"HOME": str(tmp_path), "HCRUN_ENV_FILE": "/missing/x"})
        assert loaded.get("A") == ""
        assert loaded.problems == [
            "HCRUN_ENV_FILE: /missing/x: no such file; unset it or create it"
        ]

    def test_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / ".config/hcrun/hcrun.env").mkdir(parents=True)
        loaded = Settings.load({"HOME": str(tmp_path)})
        path = f"{tmp_path}/.config/hcrun/hcrun.env"
        assert loaded.problems == [f"{path}: Is a directory; its settings are not used"]

    def test_no_end_of_a_file(self) -> None:
        loaded = Settings.load({"HCRUN_ENV_FILE": "/dev/zero"})
        assert loaded.problems == ["/dev/zero: line 1 is not NAME=value; it is not used"]

    def test_not_utf8(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"A=\xff\nB=1\n")
        loaded = Settings.load({"HCRUN_ENV_FILE": f"{tmp_path}/f"})
        assert (loaded.get("A"), loaded.get("B"), loaded.problems) == ("\udcff", "1", [])


class TestValues:
    @pytest.mark.parametrize(
        ("environ", "from_file", "value"),
        [
            ({"A": "environment"}, {"A": "file"}, "environment"),
            ({"A": " "}, {"A": "file"}, "file"),
            ({}, {"A": " file "}, "file"),
            ({}, {"A": ""}, "default"),
            ({}, {}, "default"),
        ],
    )
    def test_precedence(
        self, environ: dict[str, str], from_file: dict[str, str], value: str
    ) -> None:
        assert Settings(environ, from_file).get("A", "default") == value

    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("HEALTHCHECKS_A", "30  # seconds", "30"),
            ("HEALTHCHECKS_A", '"a # b" # c', "a # b"),
            ("HEALTHCHECKS_A", "#monitoring", "#monitoring"),
            ("HEALTHCHECKS_A", r"a\b", r"a\b"),
            ("HC_CHECK_A", "'x'  # y", "x"),
            ("REDIS_PASSWORD", "a # b", "a # b"),
        ],
    )
    def test_comments_in_the_environment(self, name: str, text: str, value: str) -> None:
        """As `docker run --env-file` leaves them."""
        settings = Settings({name: text}, {})
        assert (settings.get(name), settings.secret(name)) == (value, value)
        assert settings.problems == []

    def test_a_doubtful_value_in_the_environment(self) -> None:
        settings = Settings({"HEALTHCHECKS_A": '"a'}, {})
        assert settings.get("HEALTHCHECKS_A") == '"a'
        (problem,) = settings.problems
        assert problem.startswith("HEALTHCHECKS_A: it has a quote that is not closed; ")

    def test_addresses_follow_from_the_host(self) -> None:
        environ = {"HEALTHCHECKS_HOST": "https://hc.example.com/", "HOME": "/nowhere"}
        loaded = Settings.load(environ)
        assert loaded.ping_url() == "https://hc.example.com/ping"
        assert loaded.api_url() == "https://hc.example.com/api/v3"
        loaded = Settings.load(environ | {"HEALTHCHECKS_PING_URL": "https://p.example.com"})
        assert loaded.ping_url() == "https://p.example.com"
        loaded = Settings.load({"HEALTHCHECKS_HOST": "hc.example.com", "HOME": "/nowhere"})
        (problem,) = loaded.problems
        assert problem.startswith("HEALTHCHECKS_HOST: 'hc.example.com' is not a URL; ")

    def test_names(self) -> None:
        settings = Settings({"HC_B": "1", "X": "1"}, {"HC_A": "1", "HC_B": "2"})
        assert settings.names("HC_") == ["HC_A", "HC_B"]

    @pytest.mark.parametrize("text", ["1", "true", "YES", "On", "", "0", "False", "no", "OFF"])
    def test_flag(self, text: str) -> None:
        settings = Settings({"A": text}, {})
        assert settings.flag("A", True) is (text in ("1", "true", "YES", "On", ""))
        assert settings.problems == []

    @pytest.mark.parametrize(
        ("read", "text", "value"),
        [
            (Settings.integer, "", 3),
            (Settings.integer, "1", 1),
            (Settings.integer, "25", 25),
            (Settings.seconds, "", 3),
            (Settings.seconds, "0", 0),
            (Settings.seconds, "90", 90),
            (Settings.seconds, "1m", 60),
        ],
    )
    def test_numbers(self, read: Callable[..., float], text: str, value: float) -> None:
        settings = Settings({"A": text}, {})
        assert (read(settings, "A", 3), settings.problems) == (value, [])

    def test_bad_values(self) -> None:
        settings = Settings({"A": "maybe"}, {})
        for _ in range(2):
            assert settings.flag("A", True) is True
            assert settings.integer("A", 3) == 3
            assert settings.seconds("A", 1.0) == 1
        assert settings.problems == [
            "A: 'maybe' is neither true nor false; using true",
            "A: 'maybe' is not a whole number of 0 or more; using 3",
            f"A: 'maybe' {DURATION}; using 1s",
        ]

    @pytest.mark.parametrize("text", ["0", "-1", "1.5", "٣", "9" * 5000])
    def test_bad_integers(self, text: str) -> None:
        settings = Settings({"A": text}, {})
        assert settings.integer("A", 3, minimum=1) == 3
        assert settings.problems == [f"A: {text!r} is not a whole number of 1 or more; using 3"]


class TestSecret:
    def test_order(self, tmp_path: Path) -> None:
        file = write(tmp_path / "file", "from-file\n")
        write(tmp_path / "credentials/key", "from-credentials\n")
        environ = {
            "KEY_FILE": file,
            "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"),
            "KEY": "plain",
        }
        assert Settings(environ, {}).secret("KEY") == "from-file"
        del environ["KEY_FILE"]
        assert Settings(environ, {}).secret("KEY") == "from-credentials"
        del environ["CREDENTIALS_DIRECTORY"]
        assert Settings(environ, {}).secret("KEY") == "plain"
        assert Settings({}, {}).secret("KEY") == ""

    def test_credentials_of_others(self, tmp_path: Path) -> None:
        settings = Settings({"CREDENTIALS_DIRECTORY": str(tmp_path), "KEY": "plain"}, {})
        assert settings.secret("KEY") == "plain"

    def test_environment_before_env_file(self, tmp_path: Path) -> None:
        file = write(tmp_path / "file", "from-file\n")
        assert Settings({}, {"KEY_FILE": file, "KEY": "plain"}).secret("KEY") == "from-file"
        assert Settings({"KEY": "environment"}, {"KEY_FILE": file}).secret("KEY") == "environment"

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "No such file or directory; check the path and who may read it"),
            (b"\xff", "is not UTF-8 text; check the path and who may read it"),
            (b" \n", "is empty; put the secret in it"),
        ],
    )
    def test_bad_file(self, tmp_path: Path, content: bytes | None, words: str) -> None:
        path = tmp_path / "file"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SettingsError) as caught:
            Settings({"KEY_FILE": str(path), "KEY": "plain"}, {}).secret("KEY")
        assert str(caught.value) == f"KEY_FILE: {path}: {words}"


def test_bad_values_do_not_stop_a_run(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Each is a line on stderr."""
    check = stub.add_check()
    env = {
        "HCRUN_ENV_FILE": "/missing",
        "HEALTHCHECKS_ENABLED": "maybe",
        "HEALTHCHECKS_RETRY_COUNT": "many",
        "HEALTHCHECKS_RETRY_DELAY": "soon",
    }
    words = ("--no-start", check.uuid, "--", "sh", "-c", "echo ran; exit 3")
    done = run_hcrun(tmp_path, *words, stub=stub, env=env)
    assert (done.returncode, done.stdout) == (3, b"ran\n")
    assert done.stderr.decode() == (
        "hcrun: HCRUN_ENV_FILE: /missing: no such file; unset it or create it\n"
        "hcrun: HEALTHCHECKS_RETRY_COUNT: 'many' is not a whole number of 1 or more; using 3\n"
        f"hcrun: HEALTHCHECKS_RETRY_DELAY: 'soon' {DURATION}; using 1s\n"
        "hcrun: HEALTHCHECKS_ENABLED: 'maybe' is neither true nor false; using true\n"
    )
    assert [ping.kind for ping in check.pings] == ["fail"]


def test_credentials_of_a_run(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    write(tmp_path / "credentials/hc_check_x", f"{check.uuid}\n")
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    done = run_hcrun(tmp_path, "x", "--", "true", stub=stub, env=env)
    assert (done.stderr, check.status) == (b"", "up")


def test_the_defaults_that_are_documented_are_those_in_use() -> None:
    stated = {one.name.removeprefix("HEALTHCHECKS_"): one.default for one in load()}
    unset = Settings({}, {})
    assert (stated["PING_URL"], stated["API_URL"]) == (unset.ping_url(), unset.api_url())
    assert stated["RETRY_COUNT"] == str(unset.retry_count())
    assert seconds(stated["RETRY_DELAY"]) == unset.retry_delay()
    assert seconds(stated["CHECK_TIMEOUT"]) == CHECK_TIMEOUT
