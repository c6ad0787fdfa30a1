#!/bin/sh
# Build the program as one folder that needs no Python, and on Debian a package of it:
#
#   launchers/build.sh [TARGET]      TARGET/openai-tray-proxy/, TARGET/openai-tray-proxy_VERSION_ARCH.deb
#
# PYTHON names a Python that has the program's packages and PyInstaller; .venv's is taken where it says nothing.
# Build on the oldest system the result is to run on: it needs that system's C library or a newer one.

set -eu

root=$(CDPATH='' cd -P -- "$(dirname -- "$0")/.." && pwd -P)
target=${1:-$root/dist}
python=${PYTHON:-$root/.venv/bin/python}
mkdir -p -- "$target"
target=$(cd -- "$target" && pwd -P)

"$python" -m PyInstaller --noconfirm --log-level WARN --distpath "$target" --workpath "$target/work" \
    "$root/launchers/openai-tray-proxy.spec"
rm -rf -- "$target/work"
if command -v strip >/dev/null; then # a Python made with debug symbols is 16 MB larger; other libraries may not bear it
    find "$target/openai-tray-proxy/_internal" -name 'libpython*' -type f -exec strip --strip-unneeded {} +
fi

command -v dpkg-deb >/dev/null || exit 0
version=$(cd -- "$root" && "$python" -c 'from proxy.identity import __version__; print(__version__)')
architecture=$(dpkg --print-architecture)
tree=$(mktemp -d)
trap 'rm -rf -- "$tree"' EXIT
mkdir -p -- "$tree/opt" "$tree/usr/bin" "$tree/usr/share/applications" "$tree/usr/share/icons/hicolor/scalable/apps" \
    "$tree/DEBIAN"
cp -R -- "$target/openai-tray-proxy" "$tree/opt/"
for program in openai-tray-proxy openai-tray-proxy-tray; do
    ln -s "/opt/openai-tray-proxy/$program" "$tree/usr/bin/$program"
done
for size in 16 22 24 32 48 64 128 256; do
    folder=$tree/usr/share/icons/hicolor/${size}x$size/apps
    mkdir -p -- "$folder"
    cp -- "$root/assets/icon/icon-$size.png" "$folder/openai-tray-proxy.png"
done
cp -- "$root/assets/icon.svg" "$tree/usr/share/icons/hicolor/scalable/apps/openai-tray-proxy.svg"
(cd -- "$root" && "$python" -c '
from proxy.install.applications import launcher_keys
from proxy.install.desktop_entry import entry_text
print(entry_text(launcher_keys(["/opt/openai-tray-proxy/openai-tray-proxy-tray"])), end="")
') >"$tree/usr/share/applications/openai-tray-proxy.desktop"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: openai-tray-proxy
Version: $version
Architecture: $architecture
Maintainer: OpenAI Tray Proxy <https://github.com/openai-tray-proxy/openai-tray-proxy>
Depends: libc6 (>= $("$python" -c 'import platform; print(platform.libc_ver()[1])'))
Recommends: xdg-utils
Section: net
Priority: optional
Installed-Size: $(du -sk "$tree/opt" | cut -f1)
Description: local OpenAI-compatible proxy in the system tray
 One address and one key for every tool on this computer that speaks the
 OpenAI API.
CONTROL
chmod -R u=rwX,go=rX "$tree"
dpkg-deb --root-owner-group -Zxz -z1 --build "$tree" "$target/openai-tray-proxy_${version}_$architecture.deb" >/dev/null
