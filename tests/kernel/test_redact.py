"""What is a secret, what is none, and that it takes no time to tell."""

import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hcrun.journal.run import command_line
from hcrun.redact import HIDDEN, Redactor, secret_values
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import last_run, run_hcrun

UUID = "11111111-2222-3333-4444-555555555555"
KEY = "aBcDeFgHiJkLmNoPqRsTuV"


class TestShapes:
    """Secrets that are known by what is around them."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            # flags, assignments
            ("--password=x", "--password=[redacted]"),
            ("--db-password='a b' -v", "--db-password='[redacted]' -v"),
            ('PGPASSWORD="it\\"s me" psql', 'PGPASSWORD="[redacted]" psql'),
            ("api_key=a1b2c3&page=2", "api_key=[redacted]&page=2"),
            ("Uid=sa;Pwd=hunter2;Db=x", "Uid=sa;Pwd=[redacted];Db=x"),
            ("aws_secret_access_key=a/b+c", "aws_secret_access_key=[redacted]"),
            ("user=x,password=y,host=z", "user=x,password=[redacted],host=z"),
            ("+ mysqldump --password hunter2 app", "+ mysqldump --password [redacted] app"),
            # JSON, Python, JSON in JSON
            ('{"token": "abc", "n": 1}', '{"token": "[redacted]", "n": 1}'),
            ('{"dbPassword":"a,b}c","n":1}', '{"dbPassword":"[redacted]","n":1}'),
            ("{'secret': 'a b', 'n': 1}", "{'secret': '[redacted]', 'n': 1}"),
            (r"{\"password\":\"abc\",\"n\":1}", r'{\"password\":\"[redacted]",\"n\":1}'),
            # YAML
            ("db:\n  password: hunter2\n  port: 1", "db:\n  password: [redacted]\n  port: 1"),
            ("- api-key: a1b2", "- api-key: [redacted]"),
            # headers
            ("Authorization: Bearer abc", "Authorization: [redacted]"),
            ("authorization=Basic dXNlcjpwYXNz", "authorization=[redacted]"),
            ("{'Authorization': 'Token abc'}", "{'Authorization': '[redacted]'}"),
            ("-H 'Authorization: a1b2c3' -v", "-H 'Authorization: [redacted]' -v"),
            ('Authorization: Digest username="a", response="b"', "Authorization: [redacted]"),
            ("Authorization: AWS4-HMAC-SHA256 Credential=A, S=b", "Authorization: [redacted]"),
            ("sent Bearer eyJhbGciOiJIUzI1NiJ9.e30", "sent Bearer [redacted]"),
            ("> X-Api-Key: abcdef", "> X-Api-Key: [redacted]"),
            ("X-Auth-Token:abc", "X-Auth-Token:[redacted]"),
            # URLs
            ("postgres://app:hunter2@db/app", "postgres://[redacted]@db/app"),
            ("redis://:p@ss@cache:6379/0", "redis://[redacted]@cache:6379/0"),
            ("amqp://a:b@h1,amqp://c:d@h2", "amqp://[redacted]@h1,amqp://[redacted]@h2"),
            (f"POST http://a.x/ping/{UUID}/fail", "POST http://a.x/ping/[redacted]/fail"),
            (f"POST http://a.x/ping/{UUID.upper()}", "POST http://a.x/ping/[redacted]"),
            (f"http://a.x/ping/{KEY}/db/start?rid=1", "http://a.x/ping/[redacted]/start?rid=1"),
            (f"https://hc-ping.com/{UUID}", "https://hc-ping.com/[redacted]"),
            (f"https://hc-ping.com/{KEY}/db-1/3", "https://hc-ping.com/[redacted]/3"),
        ],
    )
    def test_hidden(self, text: str, shown: str) -> None:
        assert Redactor().text(text) == shown
        assert Redactor().text(shown) == shown

    @pytest.mark.parametrize(
        "text",
        [
            "deleted tokens: 12",
            "| expired_tokens=12;;;0 expired_token=12;;;0 used_keys=3c",
            "token: expired",
            "Password: incorrect.",
            "error: --password is missing, --token or --api-key must be given",
            "Authorization failed",
            "Authorization: required",
            "authorization: denied for role app",
            "Bearer authentication failed",
            "token=None password= secret=null api_key=*** token=true",
            'password="" token=[redacted]',
            "PWD=/root OLDPWD=/var/tmp",
            "primary_key=id sort-key=name cache_key=user monkey=12345678",
            '"key": "value", "tokens": 4096, "max_tokens": 100000',
            "http://host:8080/a/b?mail=me@example.com",
            "https://user@host/x and ssh://git@github.com:22/repo",
            "GET /ping/status 200, https://api.example.com/ping/live",
            "docs: https://hc-ping.com/ and https://healthchecks.io/docs/",
            "WARN token bucket=full secret santa=me",
            f"run {UUID}",
        ],
    )
    def test_readable(self, text: str) -> None:
        assert Redactor().text(text) == text

    @pytest.mark.parametrize(
        "piece",
        [
            "a",
            "a.",
            "-",
            "--",
            " ",
            "\n",
            "://",
            "://a:",
            "http://",
            "https://hc-ping.com/",
            "/ping/",
            "/ping/aaaaaaaaaaaaaaaa",
            "password",
            "password=",
            "password='",
            'password="\\',
            "password: ",
            '"password":',
            "--password ",
            "--key-",
            "x-",
            "x-a-",
            "authorization:",
            "authorization: basic ",
            "bearer a",
            "bearer ",
            "token\\",
            "key_",
            " -u",
            " -u a:",
            " -u a -p",
            "Cookie: a=b;",
            "Cookie: a=",
            "authorization: a ",
            "&sig=",
            "X-Amz-Signature=",
            "discord.com/api/webhooks/",
            "hooks.slack.com/a",
            "password = ",
            "eyJ",
            "-eyJaaaaaaaa",
            "eyJaaaaaaaa.",
            " eyJaaaaaaaa.eyJaaaaaaaa",
            "SG.aaaaaaaaaaaaaaaaaaaa.",
            "xoxb-",
            "glpat-",
            "github_pat_",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\n",
            "-----END PRIVATE KEY-----",
            "-----BEGIN ",
            "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        ],
    )
    def test_quick(self, piece: str) -> None:
        """72 KB of what the patterns look for, together with all words that wake them."""
        waking = "\n:// /ping/ hc-ping.com/ authorization bearer x- password= token: key' key \n"
        waking += " -u -p --user cookie: x-amz- sig= hooks.slack.com/ password = AKIA eyJ SG. xox\n"
        waking += "glpat- github_pat_ -----END PRIVATE KEY----- -----BEGIN PRIVATE KEY-----\n"
        text = waking + piece * (72_000 // len(piece)) + waking
        began = time.process_time()
        Redactor(["a" * 20, "ab" * 10]).text(text)
        assert time.process_time() - began < 0.5


class TestKnown:
    """Secrets whose value is known."""

    @pytest.mark.parametrize(
        ("name", "value", "secret"),
        [
            ("PGPASSWORD", "letmein", True),
            ("db_passwd", "letmein", True),
            ("GPG_PASSPHRASE", "letmein", True),
            ("GITHUB_TOKEN", "letmein", True),
            ("APP_SECRET", "letmein", True),
            ("HC_CHECK_BACKUP", UUID, True),
            ("MYSQL_PWD", "letmein", True),
            ("SMTP_PASS", "letmein", True),
            ("REDISCLI_AUTH", "letmein", True),
            ("API_KEY", "12345678", True),
            ("PGPASSWORD", "12345", False),
            ("API_KEY", "1234567", False),
            ("KEYMAP", "us", False),
            ("KEYBOARD", "qwertz", False),
            ("PGPASSWORD_FILE", "/run/secrets/pg", False),
            ("SSH_KEY_PATH", "/root/.ssh/id_rsa", False),
            ("TOKEN_DIR", "/var/tokens", False),
            ("PWD", "/root/work", False),
            ("SSH_AUTH_SOCK", "/tmp/agent.1", False),
            ("COMPASS", "letmein", False),
            ("HOME", "/root/home", False),
        ],
    )
    def test_variables(self, name: str, value: str, secret: bool) -> None:
        assert Redactor(secret_values({name: value})).text(f"<{value}>") == (
            f"<{HIDDEN}>" if secret else f"<{value}>"
        )

    @pytest.mark.parametrize(
        ("url", "text", "shown"),
        [
            ("postgres://app:hunter2@db/app", "hunter2 is wrong for app", "# is wrong for app"),
            ("redis://:hunter2@a,redis://:trustno1@b/1", "hunter2 trustno1", "# #"),
            ("pg://app:p%40ss%2Fw%C3%B6rd%@db", "p@ss/wörd% p%40ss%2Fw%C3%B6rd%", "# #"),
        ],
    )
    def test_passwords_of_urls(self, url: str, text: str, shown: str) -> None:
        secrets = secret_values({"URL": url})
        assert Redactor(secrets).text(text) == shown.replace("#", HIDDEN)

    @pytest.mark.parametrize(
        ("secrets", "text", "shown"),
        [
            (["p@ss/wörd"], "u:p%40ss%2Fw%C3%B6rd!", "u:#!"),
            (["--BEGIN\r\nabcdefg\r\nhijklmn\n--END\n"], "x abcdefg\n> hijklmn", "x #\n> #"),
            (["abcdef", "abcdefghi"], "abcdefghi abcdef", "# #"),
            (["redacted", "letmein"], "letmein", "#"),  # the mark has the former
        ],
    )
    def test_secrets(self, secrets: list[str], text: str, shown: str) -> None:
        assert Redactor(secrets).text(text) == shown.replace("#", HIDDEN)

    def test_not_utf8(self) -> None:
        assert Redactor(["pass\udcffword"]).words(["pass\udcffword"]) == [HIDDEN]

    @given(
        st.lists(st.text(min_size=1), max_size=5),
        st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=6),
    )
    @example([""], "100%%%")
    @example(["password="], "hunter2")
    def test_nothing_of_it_is_left(self, around: list[str], secret: str) -> None:
        text = secret.join(["<", *around, ">"])
        shown = Redactor([secret]).text(text)
        assert secret not in shown.replace(HIDDEN, "\0")


@pytest.mark.parametrize(
    ("patterns", "text", "shown"),
    [
        ([r"card (\d+)"], "my card 123!", "my [redacted]!"),
        (["^a.*$"], "b\nabc\nc", "b\n[redacted]\nc"),
        (["x*"], "axxb", "a[redacted]b"),
        (["one", "two"], "one two", "[redacted] [redacted]"),
    ],
)
def test_patterns(patterns: list[str], text: str, shown: str) -> None:
    assert Redactor(patterns=patterns).text(text) == shown


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["echo", "hello", "a b", ""], "echo hello 'a b' ''"),
        (["echo", "it's", "$HOME", "*"], "echo 'it'\"'\"'s' '$HOME' '*'"),
        (["sh", "-c", "set -e\ndump\tx\x1b[31m"], r"sh -c 'set -e\ndump?x?[31m'"),
        (["cp", "naïve.txt", "a,b=c:d@e/f%g+h-i_j"], "cp naïve.txt a,b=c:d@e/f%g+h-i_j"),
        (["x", "\udcff"], "x '\N{REPLACEMENT CHARACTER}'"),
        (["dump", "--password", "a b", "app"], "dump --password [redacted] app"),
        (["dump", "--db_password=a b,c", "app"], "dump --db_password=[redacted] app"),
        (["java", "-Dapp.token=a,b;c"], "java -Dapp.token=[redacted]"),
        (["env", "PGPASSWORD=a,b", "psql"], "env PGPASSWORD=[redacted] psql"),
        (["vault", "-token", "s.1", "x"], "vault -token [redacted] x"),
        (["sh", "-c", "PGPASSWORD=a psql -l"], "sh -c 'PGPASSWORD=[redacted] psql -l'"),
        (
            ["curl", "-H", "Authorization: Bearer abc", "https://u:p@h/x"],
            "curl -H 'Authorization: [redacted]' https://[redacted]@h/x",
        ),
        (["curl", "-u", "me:s3cret", "https://h/"], "curl -u me:[redacted] https://h/"),
        (["curl", "--proxy-user", "me:s3cret"], "curl --proxy-user me:[redacted]"),
        (["mysqldump", "-uroot", "-ps3cret", "app"], "mysqldump -uroot -p[redacted] app"),
        (["sh", "-c", "mysql -u root -ps3cret"], "sh -c 'mysql -u root -p[redacted]'"),
        (["docker", "run", "-u", "1000:1000", "-p", "80:80"], "docker run -u 1000:1000 -p 80:80"),
        (["sort", "-u", "-k", "a:b"], "sort -u -k a:b"),
        (["tool", "--keyboard", "us", "--token-ttl", "5"], "tool --keyboard us --token-ttl 5"),
        (["echo", "known-secret"], "echo [redacted]"),
    ],
)
def test_command_line(command: list[str], line: str) -> None:
    assert command_line(command, Redactor(["known-secret"])) == line


def test_long_command_line() -> None:
    line = command_line(["echo", "a" * 1000], Redactor())
    assert line == "echo " + "a" * 494 + "…"


class TestRun:
    """The same through the real command."""

    SECRETS = ("hunter2-in-env", "trustno1", "s3cr3t-of-file", "4111-1111")
    SCRIPT = (
        "echo env $PGPASSWORD, url $DSN, file s3cr3t-of-file, card 4111-1111 >&2;"
        " echo check $HC_CHECK_DUMP; exit 3"
    )

    def environment(self, tmp_path: Path) -> dict[str, str]:
        path = tmp_path / "hcrun.env"
        path.write_text("APP_SECRET=s3cr3t-of-file\n", encoding="utf-8")
        return {
            "PGPASSWORD": "hunter2-in-env",
            "DSN": "postgres://app:trustno1@db/app",
            "HCRUN_ENV_FILE": str(path),
        }

    def test_everywhere_but_on_the_terminal(self, tmp_path: Path, stub: HealthchecksStub) -> None:
        check = stub.add_check()
        command = ["sh", "-c", self.SCRIPT, "hunter2-in-env", "--password=trustno1"]
        done = run_hcrun(
            tmp_path,
            *("--redact", r"4[\d-]+", "dump", "--", *command),
            stub=stub,
            env=self.environment(tmp_path) | {"HC_CHECK_DUMP": check.uuid},
        )
        assert done.stdout.decode() == f"check {check.uuid}\n"
        assert done.stderr.decode() == (
            "env hunter2-in-env, url postgres://app:trustno1@db/app,"
            " file s3cr3t-of-file, card 4111-1111\n"
        )
        bodies = [ping.body.decode() for ping in stub.wait_for(check, 2)]
        assert (
            "env [redacted], url postgres://[redacted]@db/app, file [redacted], card [redacted]\n"
        ) in f"{bodies[1]}\n"  # stdout may come first
        for body in bodies:
            assert "[redacted] --password=[redacted]\n" in body + "\n"
        run = last_run(tmp_path)
        kept = "".join(bodies) + run.command + run.why + run.excerpt.head
        assert "check [redacted]\n" in kept
        assert not [secret for secret in (*self.SECRETS, check.uuid) if secret in kept]
        for path in (tmp_path / "state").iterdir():
            data = path.read_bytes()
            assert not [secret for secret in self.SECRETS if secret.encode() in data]

    def test_a_pattern_that_matches_without_end(self, tmp_path: Path) -> None:
        """What cannot be looked through is not told; the run is, and passes untouched."""
        line = "a" * 60 + "!"
        done = run_hcrun(tmp_path, "--redact", "(a+)+$b", "job", "--", "echo", line)
        assert (done.returncode, done.stdout) == (0, f"{line}\n".encode())
        run = last_run(tmp_path)
        left_out = "[left out: a --redact pattern matches it without end]"
        assert (run.command, run.excerpt.head) == (f"echo '{left_out}'", left_out)
        assert run.why.startswith("exit status 0 after ")

    def test_messages(self, tmp_path: Path) -> None:
        env = {"APP_SECRET": "hunter2-in-env"}
        done = run_hcrun(tmp_path, "x", "--", "hunter2-in-env", env=env)
        assert done.stderr == b"hcrun: [redacted]: command not found in PATH\n"
        assert last_run(tmp_path).why == "[redacted]: command not found in PATH"
