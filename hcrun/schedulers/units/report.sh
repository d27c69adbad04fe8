# Reports for hcrun-failed@.service that hcrun itself could not. $1 is the check.
# This is a shell script with curl because Python may be what is broken. curl reads the URL from a
# pipe, because everyone can read a command line. systemd passes the script to sh as one line,
# hence the semicolons. Comments are left out, and there are no single quotes.
case "$MONITOR_SERVICE_RESULT:$MONITOR_EXIT_CODE/$MONITOR_EXIT_STATUS" in
    *:exited/125|*:exited/2[0-4][0-9]) ;;
    :*|*:exited/*) exit 0;;
esac;
case "$HEALTHCHECKS_ENABLED" in [Ff]alse|FALSE|[Nn]o|NO|[Oo]ff|OFF|0) exit 0;; esac;
secret() {
    eval "file=\$$1_FILE value=\$$1";
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
