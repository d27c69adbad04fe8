"""The units that all checks share; @hcrun@ and @path@ are put in when they are rendered."""

from __future__ import annotations

# hcrun.env is read as root and handed over as a credential: only the unit's own user can read it,
# and no child has its secrets in the environment. A host without that file has an empty one.
# A credential without a path is looked up in /etc/credstore, and may be missing.
_CREDENTIALS = """\
LoadCredential=hcrun.env:/etc/hcrun/hcrun.env
SetCredential=hcrun.env:#
LoadCredential=healthchecks_ping_key
Environment=HCRUN_ENV_FILE=%d/hcrun.env
"""

_SANDBOX = """\
CapabilityBoundingSet=
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077
"""

PROBE = f"""\
[Unit]
Description=Probe %i
Wants=network-online.target
After=network-online.target
OnFailure=hcrun-failed@%i.service

[Service]
Type=oneshot
ExecStart=@hcrun@ %i -- probe-%i
Environment=PATH=@path@
IgnoreSIGPIPE=no
{_CREDENTIALS}
# The journal is where hcrun has it under cron, for a user whose home is /var/lib/hcrun-hcrun.
User=hcrun
StateDirectory=hcrun-hcrun
StateDirectoryMode=0700
Environment=STATE_DIRECTORY=%S/hcrun-hcrun/.local/state/hcrun

# A probe needs the network and its state, and nothing else.
{_SANDBOX}"""

JOB = f"""\
[Unit]
Description=Job %i
Wants=network-online.target
After=network-online.target
OnFailure=hcrun-failed@%i.service

[Service]
Type=oneshot
ExecStart=@hcrun@ %i -- %i
Environment=PATH=@path@
IgnoreSIGPIPE=no
User=root
WorkingDirectory=-~
{_CREDENTIALS}
# A job may be anything: a backup, docker exec, sudo. Nothing here is in the way of those.
ProtectControlGroups=yes
ProtectSystem=yes
"""

# A shell and curl, no Python: that may be what is broken. The URL goes to curl by a pipe, as
# everybody may read a command line. It is one line for sh, hence all the semicolons.
_REPORT = """\
case "$MONITOR_SERVICE_RESULT:$MONITOR_EXIT_CODE/$MONITOR_EXIT_STATUS" in
    *:exited/125|*:exited/2[0-4][0-9]) ;;
    :*|*:exited/*) exit 0;;
esac;
case "$HEALTHCHECKS_ENABLED" in [Ff]alse|FALSE|[Nn]o|NO|[Oo]ff|OFF|0) exit 0;; esac;
secret() {
    eval "file=\\$$1_FILE value=\\$$1";
    [ -z "$file" ] || value=$(cat "$file");
    printf %s "$value" | tr -d "[:space:]";
};
base=${HEALTHCHECKS_PING_URL:-https://hc-ping.com};
url=$(secret HC_CHECK_$(printf %s "$1" | tr a-z- A-Z_));
case "$url" in
    *://*) ;;
    ?*) url=${base%/}/$(printf %s "$url" | tr A-Z a-z);;
    *)
        credential=$CREDENTIALS_DIRECTORY/healthchecks_ping_key;
        [ ! -e "$credential" ] || HEALTHCHECKS_PING_KEY_FILE=$credential;
        key=$(secret HEALTHCHECKS_PING_KEY);
        [ -n "$key" ] || { echo "no ping key: nobody was told"; exit 1; };
        url=${base%/}/$key/$1;;
esac;
end="result $MONITOR_SERVICE_RESULT, $MONITOR_EXIT_CODE $MONITOR_EXIT_STATUS";
what="hcrun could not do its work";
case "$MONITOR_EXIT_STATUS" in
    125|2[0-4][0-9]) what="$what, or its command has that status";;
esac;
text="$what: $end; see journalctl -u $MONITOR_UNIT";
echo "url = ${url%/}/fail" |
curl -fsS -o /dev/null -m 10 --retry 3 --retry-connrefused -K - --data-binary "$text"
"""

FAILED = f"""\
# The back-stop for a hcrun that could not speak for itself: it was not there (203, as all from 200
# to 249 a status of systemd's own), was killed, or was called in a way it does not know (125).
# After any other status the server has been told already, and perhaps that it is no failure. A
# command may end with one of these, too, as docker does with 125: then the server hears it twice.
[Unit]
Description=Report of a failed start of %i
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c @report@ sh %i
TimeoutStartSec=90
EnvironmentFile=-/etc/hcrun/hcrun.env
LoadCredential=healthchecks_ping_key
{_SANDBOX}
# A key may be in a file that only another user reads.
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
ProtectHome=read-only
"""


def render(hcrun: str, path: str) -> dict[str, str]:
    """The shared units by name. Neither `hcrun` nor `path` may need quotes."""
    texts = {
        "hcrun-probe@.service": PROBE,
        "hcrun-job@.service": JOB,
        "hcrun-failed@.service": FAILED.replace("@report@", _long(_REPORT)),
    }
    return {
        name: text.replace("@hcrun@", hcrun).replace("@path@", path) for name, text in texts.items()
    }


def _long(script: str) -> str:
    """A script without single quotes as one word, its lines continued as systemd has it."""
    for character, escaped in (("\\", "\\\\"), ("$", "$$"), ("%", "%%")):
        script = script.replace(character, escaped)
    return "'" + script.rstrip("\n").replace("\n", " \\\n    ") + "'"
