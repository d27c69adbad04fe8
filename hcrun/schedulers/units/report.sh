# Reports for hcrun-failed@.service that hcrun itself could not. $1 is the check.
# This is a shell script with curl because Python may be what is broken. So it looks into the env file
# itself, for plain values only: no ping URL, key, path or UUID needs a backslash or a space. curl reads
# the URL from a pipe, because everyone can read a command line. systemd passes the script to sh as one
# line, hence the semicolons. Comments are left out, and there are no single quotes.
case "$MONITOR_SERVICE_RESULT:$MONITOR_EXIT_CODE/$MONITOR_EXIT_STATUS" in
    *:exited/125|*:exited/2[0-4][0-9]) ;;
    :*|*:exited/*) exit 0;;
esac;
setting() {
    eval "value=\$$1";
    [ -n "$value" ] || value=$(sed -n "s/^[ \t]*\(export \)\{0,1\}$1=[\"\x27]\{0,1\}\([A-Za-z0-9:\/._~%@-]*\)[\"\x27]\{0,1\}\([ \t\r].*\)\{0,1\}$/\2/p" "${HCRUN_ENV_FILE:-/etc/hcrun/hcrun.env}" 2> /dev/null | tail -n 1);
    printf %s "$value" | tr -d "[:space:]";
};
case "$(setting HEALTHCHECKS_ENABLED)" in [Ff]alse|FALSE|[Nn]o|NO|[Oo]ff|OFF|0) exit 0;; esac;
secret() {
    file=$(setting $1_FILE);
    if [ -n "$file" ]; then tr -d "[:space:]" < "$file"; else setting $1; fi;
};
base=$(setting HEALTHCHECKS_PING_URL);
host=$(setting HEALTHCHECKS_HOST);
[ -z "$host" ] || base=${base:-${host%/}/ping};
base=${base:-https://hc-ping.com};
url=$(secret HC_CHECK_$(printf %s "$1" | tr a-z- A-Z_));
case "$url" in
    *://*) ;;
    ?*) url=${base%/}/$(printf %s "$url" | tr A-Z a-z);;
    *)
        credential=$CREDENTIALS_DIRECTORY/healthchecks_ping_key;
        [ ! -e "$credential" ] || HEALTHCHECKS_PING_KEY_FILE=$credential;
        key=$(secret HEALTHCHECKS_PING_KEY);
        [ -n "$key" ] || { echo "HEALTHCHECKS_PING_KEY is not set: failure not reported"; exit 1; };
        url=${base%/}/$key/$1;;
esac;
end="result $MONITOR_SERVICE_RESULT, $MONITOR_EXIT_CODE $MONITOR_EXIT_STATUS";
what="hcrun failed";
case "$MONITOR_EXIT_STATUS" in
    125|2[0-4][0-9]) what="$what, or its command has that status";;
esac;
text="$what: $end; see journalctl -u $MONITOR_UNIT";
echo "url = ${url%/}/fail" |
curl -fsS -o /dev/null -m 10 --retry 3 --retry-connrefused -K - --data-binary "$text"
