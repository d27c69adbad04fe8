#!/bin/sh
# Builds dist/hcrun_VERSION_ARCH.deb for this release of Debian, and for the Python that is given.
set -eu
cd "$(dirname "$0")/../.."
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tree=$work/hcrun
mkdir "$tree"
tar -c --exclude=./.git --exclude=./.venv --exclude=./dist --exclude=./tests . | tar -x -C "$tree"
cp -r scripts/packaging/debian "$tree/debian"
for kind in sysusers tmpfiles; do
    cp "scripts/packaging/$kind.conf" "$tree/debian/hcrun.$kind"
done
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' hcrun/__init__.py)
cat >"$tree/debian/changelog" <<END
hcrun ($version) unstable; urgency=medium

  * See hcctl docs changelog.

 -- $(sed -n 's/^Maintainer: //p' "$tree/debian/control")  $(date -R)
END

cd "$tree"
log=$work/log
if ! HCRUN_PYTHON=$python dpkg-buildpackage -b -us -uc >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "make: the package could not be built, see above" >&2
    exit 1
fi
cd - >/dev/null
mkdir -p dist
cp "$work"/*.deb dist/
echo "made dist/$(cd "$work" && echo *.deb); install it with: apt install ./dist/$(cd "$work" && echo *.deb)"
