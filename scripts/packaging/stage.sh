#!/bin/sh
# stage.sh PYTHON ROOT puts hcrun and all it needs below ROOT, as it is to lie in /opt/hcrun.
# `make install`, the Debian package and the image all take it from there.
set -eu
python=$1 root=$2
opt=$root/opt/hcrun

"$python" -m venv "$opt"
"$opt/bin/python3" -m pip install -q --no-compile --disable-pip-version-check '.[all]'
# Each of these is only for installing; without them nothing in /opt/hcrun changes by itself.
"$opt/bin/python3" -m pip uninstall -q -y pip setuptools 2>/dev/null
rm -rf "$opt"/lib/python3*/site-packages/hcrun-*.dist-info/direct_url.json "$opt/include"

# boto3's other 400 services are a third of all files.
find "$opt"/lib/python3*/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
    ! -name s3 ! -name sts ! -name 'sso*' ! -name signin -exec rm -r {} +

# This directory is in the PATH of the jobs, so it has our programs only.
for file in "$opt"/bin/*; do
    case ${file##*/} in
    python* | hcrun-mail) ;;
    hcrun)
        version=$("$opt/bin/python3" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        sed "s/@version@/$version/" scripts/packaging/launcher >"$file"
        ;;
    hcctl | probe-*) sed -i '1s|^#!.*|#!/opt/hcrun/bin/python3|' "$file" ;;
    *) rm -rf "$file" ;;
    esac
done
sed -i '/^command = /d' "$opt/pyvenv.cfg"

# The wheel's completion asks hcctl at the first TAB; this one is complete. bash and fish look for a
# file with the name of the program.
bash=$opt/share/bash-completion/completions fish=$opt/share/fish/vendor_completions.d
for shell in bash fish zsh; do
    "$opt/bin/python3" -B "$opt/bin/hcctl" completion $shell >"$root/$shell"
done
for program in "$opt"/bin/hcctl "$opt"/bin/probe-*; do
    ln -sf hcrun "$bash/${program##*/}"
    ln -sf hcrun.fish "$fish/${program##*/}.fish"
done
mv "$root/bash" "$bash/hcrun"
mv "$root/fish" "$fish/hcrun.fish"
mv "$root/zsh" "$opt/share/zsh/site-functions/_hcrun"

# By hash, as a package may change the times of the files. Not all modules of others compile.
"$opt/bin/python3" -m compileall -qq --invalidation-mode unchecked-hash \
    -s "$root" -p / "$opt"/lib/python3* || :
