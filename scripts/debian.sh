#!/bin/sh
# Installs missing Debian packages, as root or with sudo if that needs no password.
set -eu

missing=
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    become=
elif sudo -n true 2>/dev/null; then
    become=sudo
else
    echo "make: these Debian packages are missing:$missing" >&2
    echo "make: run as root: apt-get install$missing" >&2
    exit 1
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
$become apt-get -qq update
# shellcheck disable=SC2086 # a list of words
$become apt-get -qq -y --no-install-recommends install $missing >/dev/null
