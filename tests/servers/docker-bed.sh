#!/bin/sh
# A Docker engine of its own for tests, which leaves the host as it was. It needs root, and Debian's
# docker.io, debootstrap and iproute2.
#   docker-bed.sh start DIR   engine in DIR, DIR/docker.sock; builds the image hcbed:base once, and
#                             keeps it in $BED_CACHE (450 MB, ~/.cache/docker-bed)
#   docker-bed.sh stop DIR    ends all containers and the engine, and removes DIR/data
# hcbed:base is a Debian with redis, postgresql, cron and python3. There is no firewall rule
# (--iptables=false: published ports go through docker-proxy), so containers have no way out of
# their networks but `--network host`.
set -eu
command=${1:?start or stop} D=${2:?DIR}
CACHE=${BED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/docker-bed}
SUITE=bookworm
docker() { DOCKER_HOST=unix://$D/docker.sock command docker "$@"; }

is_up() {
    [ -s "$D/pid" ] && kill -0 "$(cat "$D/pid")" 2>/dev/null && docker info >/dev/null 2>&1
}

start() {
    mkdir -p "$D" "$CACHE"
    chmod 700 "$D"
    # A pool of its own, as two engines with the default pool make the same networks. And a bridge of
    # its own: --bridge=none would delete the docker0 of another engine.
    n=$((100 + $$ % 100))
    bridge=hcbed$n
    ip link add "$bridge" type bridge
    echo "$bridge" >"$D/bridge"
    ip addr replace "10.$n.255.1/24" dev "$bridge"
    ip link set "$bridge" up
    driver=overlay2
    grep -q overlay /proc/filesystems || driver=vfs
    # An engine that has run here before leaves FORWARD DROP, which bridged packets meet.
    if sysctl -n net.bridge.bridge-nf-call-iptables 2>/dev/null | grep -q 1 &&
        iptables -S FORWARD 2>/dev/null | grep -q '^-P FORWARD DROP'; then
        iptables -I FORWARD -s "10.$n.0.0/16" -d "10.$n.0.0/16" -m comment --comment "$bridge" \
            -j ACCEPT
    fi
    setsid dockerd --data-root "$D/data" --exec-root "$D/exec" -p "$D/pid" \
        -H "unix://$D/docker.sock" --storage-driver $driver --bridge="$bridge" --iptables=false \
        --ip6tables=false --ip-forward=false --ip-masq=false --shutdown-timeout 5 \
        --default-address-pool "base=10.$n.0.0/17,size=24" --log-level warn \
        >"$D/log" 2>&1 </dev/null &
    i=0
    until docker info >/dev/null 2>&1; do
        i=$((i + 1))
        [ $i -lt 100 ] || { tail -n 5 "$D/log" >&2; exit 1; }
        sleep 0.2
    done
    [ -s "$CACHE/hcbed-base.tar" ] || build_base
    docker import --change 'CMD ["/bin/sh"]' "$CACHE/hcbed-base.tar" hcbed:base >/dev/null
}

build_base() {
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep "/debian/*$" | head -n 1)
    debootstrap --variant=minbase $SUITE "$D/rootfs" "$mirror" >"$D/debootstrap.log"
    tar -C "$D/rootfs" -c . | docker import - hcbed:root >/dev/null
    rm -rf "$D/rootfs"
    # shellcheck disable=SC2016 # the container's shell expands them
    docker run --name hcbed-build --network host -e MIRROR="$mirror" -e SUITE="$SUITE" \
        hcbed:root sh -ec '
        export DEBIAN_FRONTEND=noninteractive
        echo "deb $MIRROR $SUITE main" >/etc/apt/sources.list
        printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        apt-get -q update
        apt-get -q -y --no-install-recommends install redis-server postgresql cron python3 \
            python3-venv ca-certificates tzdata
        apt-get clean
        rm -rf /var/lib/apt/lists/* /usr/share/doc /usr/share/locale /usr/share/man' \
        >"$D/build.log" 2>&1 || { tail -n 5 "$D/build.log" >&2; exit 1; }
    docker export hcbed-build >"$CACHE/hcbed-base.tar.new"
    mv "$CACHE/hcbed-base.tar.new" "$CACHE/hcbed-base.tar"
    docker rm hcbed-build >/dev/null
    docker rmi hcbed:root >/dev/null
}

stop() {
    if is_up; then
        ids=$(docker ps -aq)
        # shellcheck disable=SC2086 # a list of words
        [ -z "$ids" ] || docker rm -fv $ids >/dev/null 2>&1 || :
        docker network prune -f >/dev/null 2>&1 || : # which removes their bridges from the host
    fi
    if [ -s "$D/pid" ] && kill -0 "$(cat "$D/pid")" 2>/dev/null; then
        pid=$(cat "$D/pid")
        kill "$pid"
        i=0
        while kill -0 "$pid" 2>/dev/null; do
            i=$((i + 1))
            [ $i -lt 100 ] || { kill -9 "$pid"; break; }
            sleep 0.2
        done
    fi
    # What it mounted: network namespaces, shm, overlays.
    grep -o " $D/[^ ]*" /proc/mounts | sort -r | while read -r path; do
        umount "$path" 2>/dev/null || umount -l "$path" 2>/dev/null || :
    done
    if [ -s "$D/bridge" ]; then
        bridge=$(cat "$D/bridge")
        iptables -S FORWARD 2>/dev/null | grep -- "--comment $bridge " | sed 's/^-A/-D/' |
            while read -r rule; do
                # shellcheck disable=SC2086 # words
                iptables $rule || :
            done
        ip link del "$bridge" 2>/dev/null || :
    fi
    rm -rf "$D/exec" "$D/pid" "$D/docker.sock" "$D/bridge" "$D/data"
}

case $command in
start) start ;;
stop) stop ;;
*)
    echo "docker-bed.sh: start or stop" >&2
    exit 2
    ;;
esac
