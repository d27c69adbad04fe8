#!/bin/sh
# Creates .venv with the given Python.
set -eu
python=$1

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "make: $python is older than 3.11; choose another one: make PYTHON=python3.12" >&2
    exit 1
fi
case $PWD in
*[[:space:]]*)
    echo "make: the path '$PWD' contains a space, and the #! line of .venv/bin/hcrun cannot;" \
        "rename the directory" >&2
    exit 1
    ;;
esac
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    sh scripts/debian.sh python3-venv
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
# pip 25.1 is the first with --group, for the dependency groups of pyproject.toml.
.venv/bin/python -m pip install -q --upgrade 'pip>=25.1'
