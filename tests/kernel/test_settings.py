"""Where settings come from, and that a broken one never stops a job."""

from pathlib import Path

import pytest

from hcrun.errors import SettingsError
from hcrun.settings import Settings, parse_env_file
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import run_hcrun

DURATION = "'soon' is not a duration; write it like 30s, 5m, 1h30m or 2d"


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
            ('A="', {"A": '"'}),
            ("A='b\"", {"A": "'b\""}),
            ("A=b=c # d", {"A": "b=c # d"}),
            ("A=$HOME", {"A": "$HOME"}),
            ("A=", {"A": ""}),
            ("A=1\r", {"A": "1"}),
            ("A=x\x0by\u2028z", {"A": "x\x0by\u2028z"}),
            ("\ufeffA=1\nB=2", {"A": "1", "B": "2"}),
            ("A=1\nA=2", {"A": "2"}),
            ("# A=1\n;B=2\n\n   \n", {}),
        ],
    )
    def test_good(self, line: str, values: dict[str, str]) -> None:
        assert parse_env_file(line, "f") == (values, [])

    @pytest.mark.parametrize("line", ["secret", "=secret", "A B=secret", "A-B=secret", "A=\0"])
    def test_bad_line_is_not_repeated(self, line: str) -> None:
        problem = "f: line 2 is not NAME=value; it is not used"
        assert parse_env_file(f"X=1\n{line}\nY=2", "f") == ({"X": "1", "Y": "2"}, [problem])

    def test_many_bad_lines_are_one_problem(self) -> None:
        problem = "f: line 1 (and 8 more) is not NAME=value; it is not used"
        assert parse_env_file("x\n" * 9, "f") == ({}, [problem])


class TestLoad:
    def test_given_file_first(self, tmp_path: Path) -> None:
        given = write(tmp_path / "given.env", "A=given")
        write(tmp_path / ".config/hcrun/hcrun.env", "A=home")
        loaded = Settings.load({"HOME": str(tmp_path), "HCRUN_ENV_FILE": given})
        assert (loaded.get("A"), loaded.path, loaded.problems) == ("given", given, [])

    def test_home(self, tmp_path: Path) -> None:
        path = write(tmp_path / ".config/hcrun/hcrun.env", "A=home")
        loaded = Settings.load({"HOME": str(tmp_path)})
        assert (loaded.get("A"), loaded.path, loaded.problems) == ("home", path, [])

    def test_xdg(self, tmp_path: Path) -> None:
        path = write(tmp_path / "xdg/hcrun/hcrun.env", "A=xdg")
        loaded = Settings.load({"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "xdg")})
        assert (loaded.get("A"), loaded.path) == ("xdg", path)

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

    def test_names(self) -> None:
        settings = Settings({"HC_B": "1", "X": "1"}, {"HC_A": "1", "HC_B": "2"})
        assert settings.names("HC_") == ["HC_A", "HC_B"]

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            *((text, True) for text in ("1", "true", "YES", "On", "")),
            *((text, False) for text in ("0", "False", "no", "OFF")),
        ],
    )
    def test_flag(self, text: str, value: bool) -> None:
        settings = Settings({"A": text}, {})
        assert settings.flag("A", True) is value
        assert settings.problems == []

    @pytest.mark.parametrize(("text", "value"), [("", 3), ("1", 1), ("25", 25)])
    def test_integer(self, text: str, value: int) -> None:
        settings = Settings({"A": text}, {})
        assert settings.integer("A", 3, minimum=1) == value
        assert settings.problems == []

    @pytest.mark.parametrize(("text", "value"), [("", 1), ("0", 0), ("90", 90), ("1m", 60)])
    def test_seconds(self, text: str, value: float) -> None:
        settings = Settings({"A": text}, {})
        assert settings.seconds("A", 1) == value
        assert settings.problems == []

    def test_bad_values(self) -> None:
        settings = Settings({"A": "maybe"}, {})
        for _ in range(2):
            assert settings.flag("A", True) is True
            assert settings.integer("A", 3) == 3
            assert settings.seconds("A", 1.0) == 1
        assert settings.problems == [
            "A: 'maybe' is neither true nor false; using true",
            "A: 'maybe' is not a whole number of 0 or more; using 3",
            "A: 'maybe' is not a duration; write it like 30s, 5m, 1h30m or 2d; using 1s",
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


class TestRun:
    """Through the real command: what is wrong is a line on stderr, and the job runs."""

    def run(
        self, tmp_path: Path, stub: HealthchecksStub | None = None, **env: str
    ) -> tuple[int, bytes, list[str]]:
        done = run_hcrun(
            tmp_path, "--no-start", "x", "--", "sh", "-c", "echo ran; exit 3", stub=stub, env=env
        )
        return done.returncode, done.stdout, done.stderr.decode().splitlines()

    def test_bad_values(self, tmp_path: Path, stub: HealthchecksStub) -> None:
        check = stub.add_check(slug="x")
        status, stdout, lines = self.run(
            tmp_path,
            stub,
            HC_CHECK_X=check.uuid,
            HEALTHCHECKS_ENABLED="maybe",
            HEALTHCHECKS_RETRY_COUNT="many",
            HEALTHCHECKS_RETRY_DELAY="soon",
        )
        assert (status, stdout) == (3, b"ran\n")
        assert lines == [
            f"hcrun: {line}"
            for line in (
                "HEALTHCHECKS_RETRY_COUNT: 'many' is not a whole number of 1 or more; using 3",
                f"HEALTHCHECKS_RETRY_DELAY: {DURATION}; using 1s",
                "HEALTHCHECKS_ENABLED: 'maybe' is neither true nor false; using true",
            )
        ]
        assert [ping.kind for ping in check.pings] == ["fail"]

    def test_missing_env_file(self, tmp_path: Path) -> None:
        assert self.run(tmp_path, HCRUN_ENV_FILE="/missing") == (
            3,
            b"ran\n",
            ["hcrun: HCRUN_ENV_FILE: /missing: no such file; unset it or create it"],
        )

    def test_env_file_of_home(self, tmp_path: Path, stub: HealthchecksStub) -> None:
        check = stub.add_check(slug="x")
        path = write(tmp_path / ".config/hcrun/hcrun.env", f"HC_CHECK_X='{check.uuid}'\nnonsense\n")
        assert self.run(tmp_path, stub) == (
            3,
            b"ran\n",
            [f"hcrun: {path}: line 2 is not NAME=value; it is not used"],
        )
        assert [ping.kind for ping in check.pings] == ["fail"]

    def test_credentials(self, tmp_path: Path, stub: HealthchecksStub) -> None:
        check = stub.add_check(slug="x")
        write(tmp_path / "credentials/hc_check_x", f"{check.uuid}\n")
        directory = str(tmp_path / "credentials")
        assert self.run(tmp_path, stub, CREDENTIALS_DIRECTORY=directory) == (3, b"ran\n", [])
        assert [ping.kind for ping in check.pings] == ["fail"]
