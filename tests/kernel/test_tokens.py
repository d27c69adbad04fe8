"""Tokens of services, made up here, and the output of ordinary programs, which stays as it is."""

import base64
import hashlib
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hcrun.excerpt import excerpt
from hcrun.redact import HIDDEN, Redactor
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import last_run, run_hcrun

ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
WORD = ALNUM + "_-"
UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
made = random.Random(4)


def some(characters: str, number: int) -> str:
    return "".join(made.choices(characters, k=number))


def base64_lines(number: int) -> str:
    lines = [base64.b64encode(made.randbytes(48)).decode() for _ in range(number)]
    return "\n".join([*lines, "x7Qe1w=="])


def jwt(parts: int = 3) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').decode().rstrip("=")
    return ".".join([head, *(some(WORD, 80) for _ in range(parts - 1))])


TOKENS = [
    *(f"{begin}{some(UPPER, 16)}" for begin in ("AKIA", "ASIA")),
    *(f"gh{kind}_{some(ALNUM, 36)}" for kind in "oprsu"),
    f"github_pat_{some(ALNUM, 22)}_{some(ALNUM, 59)}",
    f"glpat-{some(WORD, 20)}",
    f"xoxb-{some('0123456789', 12)}-{some('0123456789', 13)}-{some(ALNUM, 24)}",
    *(f"xox{kind}-{some('0123456789', 12)}-{some(ALNUM, 24)}" for kind in "aeoprs"),
    f"xoxe.xoxp-1-{some(ALNUM, 40)}",
    f"xapp-1-{some(UPPER, 11)}-{some('0123456789', 13)}-{some('0123456789abcdef', 64)}",
    jwt(),
    jwt(2) + ".",
    jwt(5),
    *(f"hv{kind}.{some(WORD, 90)}" for kind in "bsr"),
    *(f"{kind}k_live_{some(ALNUM, 24)}" for kind in "rs"),
    f"AIza{some(WORD, 35)}",
    f"ya29.{some(WORD, 120)}",
    f"npm_{some(ALNUM, 36)}",
    f"pypi-AgEIcHlwaS5vcmc{some(WORD, 150)}",
    f"SG.{some(WORD, 22)}.{some(WORD, 43)}",
    f"sk-ant-api03-{some(WORD, 90)}",
    f"sk-proj-{some(WORD, 90)}",
]
AROUND = [
    ("", ""),
    ("token ", " is not valid"),
    ('{"access": "', '", "n": 1}'),
    ("export T='", "'"),
    ("https://h.example/x?t=", "&page=2"),
    ("(", ")"),
    ("a\n", "\nb"),
    ("+ curl -H 'Private: ", "' https://h.example"),
]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:8])
def test_token(token: str) -> None:
    for before, after in AROUND:
        text = f"{before}{token}{after}"
        assert Redactor().text(text) == f"{before}{HIDDEN}{after}"


SECRET = some(ALNUM, 40)
SIGNATURE = some("0123456789abcdef", 64)
HEADERS = [
    ("Cookie: #; #", "session={0}; csrftoken={0}"),
    ("< set-cookie: #; HttpOnly; Secure", "sid={0}; Path=/"),
    ("-H 'Cookie: #' https://h.example/", "a={0}; b={0}"),
    ("{'Cookie': '#', 'Accept': '*/*'}", "a={0}; b=c"),
    ("> cookie: #", 'a="{0}"; b={0}'),
    ("PRIVATE-TOKEN: #", "{0}"),
    ("-H 'JOB-TOKEN: #' -v", "{0}"),
    ("X-Vault-Token: #", "{0}"),
    ("Authorization: #", "GenieKey {0}"),
    ("authorization: #", "Bot {0}"),
    ("Proxy-Authorization: #", "Basic {0}"),
    ("https://b.s3.example/k?X-Amz-Signature=#&X-Amz-Date=20260101T000000Z", "{1}"),
    ("https://b.s3.example/k?X-Amz-Credential=#&X-Amz-Expires=60", "AKIA/20260101/eu/s3/aws4"),
    ("https://b.s3.example/k?X-Amz-Security-Token=#&a=b", "{0}%2F{0}"),
    ("https://storage.example/k?X-Goog-Credential=#&X-Goog-Signature=#", "{1}"),
    ("https://a.blob.example/c?sv=2024-11-04&sig=#&se=2026-01-01", "{0}%3D"),
    ("https://cdn.example/f?Expires=1700000000&Signature=#&Key-Pair-Id=K1", "{0}~{0}__"),
    ("href='https://a.blob.example/c?sp=r&amp;sig=#'", "{0}%3D"),
    ("POST https://hooks.slack.com/services/# 200", "T0{0}/B0{0}/{0}"),
    ("POST https://discord.com/api/webhooks/#", "1234567890/{0}"),
    ("https://x.webhook.office.com/webhookb2/#", "{0}@{0}/IncomingWebhook/{0}"),
    ("aws_secret_access_key=#", "{0}"),
    ("aws_secret_access_key = #", "{0}"),
    ('"SecretAccessKey": "#",', "{0}"),
    ("curl -u deploy:#", "{0}"),
]


@pytest.mark.parametrize(("text", "value"), HEADERS)
def test_header_or_address(text: str, value: str) -> None:
    value = value.format(SECRET, SIGNATURE)
    if "; " in text and text.count("#") == 2:
        values = value.split("; ")
    else:
        values = [value] * text.count("#")
    for one in values:
        text = text.replace("#", one, 1)
    shown = Redactor().text(text)
    assert SECRET not in shown
    assert SIGNATURE not in shown
    assert HIDDEN in shown
    assert Redactor().text(shown) == shown


KINDS = ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "]


class TestPrivateKey:
    """In PEM, of which the excerpt of an output may have only a part."""

    BODY = base64_lines(20)

    def key(self, kind: str = "RSA ", body: str = "") -> str:
        body = body or self.BODY
        return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"

    def leaked(self, shown: str) -> list[str]:
        return [line for line in self.BODY.split("\n") if len(line) > 9 and line in shown]

    @pytest.mark.parametrize("kind", KINDS)
    def test_whole(self, kind: str) -> None:
        shown = Redactor().text(f"before\n{self.key(kind)}\nafter\n{self.key(kind)}\nlast")
        assert shown == f"before\n{self.key(kind, HIDDEN)}\nafter\n{self.key(kind, HIDDEN)}\nlast"

    def test_block_of_pgp(self) -> None:
        text = self.key("PGP ", f"\n{self.BODY}").replace("KEY-", "KEY BLOCK-")
        assert self.leaked(Redactor().text(text)) == []

    @pytest.mark.parametrize(
        "change",
        [
            lambda key: key.replace("\n", "\r\n"),
            lambda key: key.replace("\n", "\\n"),
            lambda key: "\n".join(f"    {line}" for line in key.split("\n")),
            lambda key: "\n".join(f"Nov 30 04:00:01 app[12]: {line}" for line in key.split("\n")),
            lambda key: key.replace("\n", "\nProc-Type: 4,E\nDEK-Info: AES\n\n", 1),
        ],
        ids=["CRLF", "in one line", "indented", "in a log", "encrypted"],
    )
    def test_written_otherwise(self, change: Callable[[str], str]) -> None:
        shown = Redactor().text(f"before\n{change(self.key())}\nafter")
        assert self.leaked(shown) == []
        assert shown.startswith("before\n")
        assert shown.endswith("\nafter")

    @pytest.mark.parametrize("prefix", ["", "  ", "Nov 30 04:00:01 app[12]: "])
    def test_without_its_begin_or_its_end(self, prefix: str) -> None:
        lines = [prefix + line for line in self.key().split("\n")]
        ordinary = [f"copied {number} rows into table_{number} in 0.3 s" for number in range(30)]
        for cut in range(1, len(lines)):
            before = Redactor().text("\n".join([*ordinary, *lines[:cut]]))
            after = Redactor().text("\n".join([*lines[cut:], *ordinary]))
            assert self.leaked(before + after) == []
            assert before.startswith("\n".join(ordinary))
            assert after.endswith("\n".join(ordinary))

    def test_public_ones_are_shown(self) -> None:
        text = self.key().replace("RSA PRIVATE KEY", "CERTIFICATE")
        assert Redactor().text(text) == text

    def test_that_is_only_named(self) -> None:
        text = "-----BEGIN PRIVATE KEY-----\nis how PEM begins\nrow 1\nrow 2"
        assert Redactor().text(text) == text


def test_secret_at_every_cut() -> None:
    """The end of the kept beginning, or the start of the kept end, is inside of a secret."""
    cookie = f"Cookie: a=b; c=d; e={SECRET[:20]}; f=g; h=i; sid={SECRET}"
    for secret in (TOKENS[2], jwt(), cookie, f"?X-Amz-Signature={SIGNATURE}"):
        for line in (f"login {secret} done", f"first line\nlogin {secret} done\nlast line"):
            data = line.encode()
            start = line.index(secret)
            for cut in range(start, start + len(secret)):
                kept = excerpt(data[:cut], 5, data[cut:], Redactor())
                shown = kept.head + kept.tail
                pieces = [secret[at : at + 8] for at in range(len(secret) - 16, len(secret) - 8)]
                assert not [piece for piece in pieces if piece in shown], (cut, shown)


def test_in_pieces_through_hcrun(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Written in two parts, behind more than one buffer, to a server that takes little."""
    check = stub.add_check()
    token = TOKENS[2]
    script = tmp_path / "job.py"
    script.write_text(
        "import os\n"
        f"for part in ('x' * 79 + '\\n') * 819, 'key {token[:20]}', '{token[20:]} end\\n',"
        f" 'Cookie: a={SECRET}\\n', ('y' * 79 + '\\n') * 2000, '{token}\\n':\n"
        "    os.write(1, part.encode())\n"
    )
    run_hcrun(tmp_path, check.uuid, "--", "python3", str(script), stub=stub)
    body = stub.wait_for(check, 2)[1].body.decode()
    kept = last_run(tmp_path).excerpt
    for text in (body, kept.head, kept.tail):
        assert token[20:] not in text
        assert SECRET not in text
    assert HIDDEN in kept.tail


# Ordinary output. {w}: a word, {n}: a number, {hN}: N hexadecimal digits, {b}: a digest in base64.
ORDINARY = """\
Get:{n} http://deb.example.org/debian bookworm/main amd64 lib{w}{n} amd64 {n}.{n}+deb12u1 [{n} kB]
Unpacking python3-{w} ({n}.{n}) over ({n}.0) ...
Setting up {w}-{w}-private-key-tools ({n}.{n}-1) ...
Collecting {w}-{w}=={n}.{n} --hash=sha256:{h64}
  Using cached {w}-{n}.0-py3-none-any.whl ({n} kB)
      "integrity": "sha512-{b}{b}",
npm warn deprecated {w}@{n}.{n}: use npm_config_{w} instead, see sk-{w}.example
Nov 30 04:00:11 host sshd[{n}]: Accepted publickey for {w} from {ip} port {n}: ED25519 SHA256:{b}
Nov 30 04:00:01 host sudo: pam_unix(sudo:session): session opened for user root(uid=0) by {w}
Nov 30 04:00:02 host systemd[1]: {w}-{w}.service: Consumed {n}ms CPU time.
[{n}.{n}] audit: type=1400 apparmor="ALLOWED" pid={n} comm="{w}" requested_mask="r" fsuid={n}
commit {h40} (HEAD -> main, tag: v{n}.{n})
   {h7}..{h7}  main -> origin/{w}-{w}
{h9} {w}: rotate the token of the {w} session
index {h7}..{h7} 100644
pg_dump: dumping contents of table "public.{w}_{w}"
2026-11-30 04:00:00.{n} UTC [{n}] LOG:  checkpoint complete: wrote {n} buffers; lsn={h1}/{h8}
LOG:  execute <unnamed>: SELECT * FROM {w} WHERE token_id = $1 AND token = $2
Digest: sha256:{h64}
{h12}   {w}:{n}   "/bin/{w}"   Up {n} days   0.0.0.0:{n}->{n}/tcp   {w}_{w}_1
#{n} sha256:{h64} {n}B / {n}B done
{ip} - - [30/Nov/2026:04:00:00 +0000] "GET /{w}/{u}?page={n}&sort=-date HTTP/1.1" 200 {n} "-" "{w}"
INFO request_id={u} user={n} path=/{w} ms={n}
{"level":"info","trace_id":"{h32}","span_id":"{h16}","msg":"{w} {w}","etag":"{b}","n":{n}}
	at com.{w}.{w}.KeyManagerFactory.getToken({w}.java:{n})
  File "/usr/lib/python3/dist-packages/{w}/tokens.py", line {n}, in {w}
sent {n} bytes  received {n} bytes  {n}.00 bytes/sec
Archive fingerprint: {h64}
snapshot {h8} saved; repository {h10} opened
{h64}  ./{w}/{w}.tar.zst
notAfter=Mar 7 12:00:00 2027 GMT; serial={h32}; signature algorithm=sha256WithRSAEncryption
GROUP {w} TOPIC {w}.{w} PARTITION {n} LAG {n}
REDIS OK - up | used_keys={n} expired_token={n};;;0
(root) CMD (cd / && run-parts --report /etc/cron.{w})
token: expired; password: incorrect; cookie: none; key: {w}
Set-Cookie headers: {n}; cookies={n}, signature ok
s3://{w}/{w}/{u}.parquet {n} bytes, ETag {h32}
{w}.{w}: Refreshing state... [id=i-0{h16}]
pod/{w}-{h10}-{h5}   1/1   Running   0   {n}d
job {n} in Asia/Tokyo: {w} MSG.{w} {w}.SG.{w}, {n} tasks
  data: {b}
""".splitlines()
LINES = 1000  # of each


def ordinary(template: str) -> str:
    """A line of that kind."""

    def filled(match: re.Match[str]) -> str:
        kind, size = match.groups()
        if kind == "w":
            return some("abcdefghijklmnopqrstuvwxyz", made.randint(3, 11))
        if kind == "n":
            return str(made.randint(1, 9999))
        if kind == "h":
            return some("0123456789abcdef", int(size))
        if kind == "u":
            return "-".join(some("0123456789abcdef", n) for n in (8, 4, 4, 4, 12))
        if kind == "ip":
            return ".".join(str(made.randint(1, 254)) for _ in range(4))
        return base64.b64encode(hashlib.sha256(made.randbytes(8)).digest()).decode()

    return re.sub(r"\{(w|n|h|u|ip|b)(\d*)\}", filled, template)


def test_ordinary_output_stays() -> None:
    """docs/redaction.md has the rate."""
    redactor = Redactor()
    lines = [ordinary(template) for template in ORDINARY for _ in range(LINES)]
    assert [(line, redactor.text(line)) for line in lines if redactor.text(line) != line] == []
