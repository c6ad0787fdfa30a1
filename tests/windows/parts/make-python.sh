#!/usr/bin/env bash
# make-python.sh WHEEL LIB FOLDER: lay out a CPython for Windows in FOLDER.
#
# WHEEL is panda3d's, which holds the binary part of an official CPython; every file taken from it must bear the Python
# Software Foundation's signature. What it lacks (python.exe, pythonw.exe, venvlauncher.exe, python3.dll) is built here
# from the sources beside this script. LIB is the unpatched Lib folder of a CPython of the same minor version.
set -euo pipefail
wheel=$1 lib=$2 folder=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Neither the revocation list nor the time stamp's chain can be had offline: the certificate is judged at a day within
# its time, against Debian's roots.
at=$(date -d 2024-06-01 +%s)
verify() {
    osslsigncode verify -in "$1" -CAfile /etc/ssl/certs/ca-certificates.crt -ignore-cdp -ignore-crl -ignore-timestamp \
        -time "$at"
}

mkdir -p "$folder/DLLs" "$folder/Lib/site-packages"
unzip -qo "$wheel" 'deploy_libs/*' -d "$work"
cd "$work/deploy_libs"
# Microsoft's runtime is Wine's own; Tk is not used.
rm -f VCRUNTIME140*.dll api-ms-* {tcl86t,tk86t}.dll lib{tcl,tk}*.dll _tkinter.pyd
core=$(basename python3*.dll)
taken=(./*.pyd lib{ssl,crypto,ffi}*.dll sqlite3.dll)
for file in "$core" "${taken[@]}"; do
    verify "$file" >"$work/said" 2>&1 && grep -q 'O=Python Software Foundation' "$work/said" || {
        tail -5 "$work/said" >&2
        echo "make-python.sh: $file bears no signature of the Python Software Foundation" >&2
        exit 1
    }
done
mv "$core" "$folder/"
cp "${taken[@]}" "$folder/DLLs/"
tar -C "$lib" -c --exclude=site-packages --exclude=lib-dynload --exclude='config-*' --exclude=./test \
    --exclude=__pycache__ --exclude='_sysconfigdata*' . | tar -C "$folder/Lib" -x

build=(x86_64-w64-mingw32-gcc -O1 -s -municode)
"${build[@]}" -o "$folder/python.exe" "$here/python.c" "$folder/$core"
"${build[@]}" -mwindows -o "$folder/pythonw.exe" "$here/pythonw.c" "$folder/$core"
"${build[@]}" -o "$folder/venvlauncher.exe" "$here/venvlauncher.c"
"${build[@]}" -mwindows -DGUI -o "$folder/venvwlauncher.exe" "$here/venvlauncher.c"

# The stable ABI: every export of the core, handed on by its name, as CPython's own python3.dll does.
{
    printf 'LIBRARY python3.dll\nEXPORTS\n'
    x86_64-w64-mingw32-objdump -p "$folder/$core" |
        awk '/\[Ordinal\/Name Pointer\] Table/ { on = 1; next } NF == 0 { on = 0 } on && /\[ *[0-9]+\]/ { print $NF }' |
        sed "s/.*/& = ${core%.dll}.&/"
} >"$work/python3.def"
echo 'int DllMain(void *a, unsigned b, void *c) { return 1; }' >"$work/main.c"
x86_64-w64-mingw32-gcc -shared -nostdlib -s -e DllMain -o "$folder/python3.dll" "$work/main.c" "$work/python3.def" \
    2>/dev/null
