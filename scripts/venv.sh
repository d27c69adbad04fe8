#!/bin/sh
# Makes .venv with the given Python, or says what is missing.
set -eu
python=$1

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "make: $python is older than 3.11; say which one to use: make PYTHON=python3.12" >&2
    exit 1
fi
case $PWD in
*[[:space:]]*)
    echo "make: the path '$PWD' has a space in it, where the #! line of .venv/bin/hcrun would end;" \
        "give this directory another name" >&2
    exit 1
    ;;
esac
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    sh scripts/debian.sh python3-venv
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
# --group, which reads the dependency groups of pyproject.toml, came with pip 25.1.
.venv/bin/python -m pip install -q --upgrade 'pip>=25.1'
