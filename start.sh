#!/bin/sh
# Make .venv beside this file when it is missing or out of date, and start the program in it.
#
#   ./start.sh                the tray icon; flags are handed on to it
#   ./start.sh headless       only the proxy, no tray
#   ./start.sh demo           the proxy with its built-in upstream: no key, no network
#   ./start.sh test           the whole test suite; what follows goes to pytest
#   ./start.sh install        adds it to the applications menu; uninstall removes all of it, this .venv too
#   ./start.sh check --stream any other command of the program
#
# What stands in requirements.lock is installed, each file held against its hash; requirements-test.lock is the same
# with the test tools added. Both also pin hatchling and editables, the build tools, so that the last step, which adds
# the commands of this project, needs no build environment of its own and fetches nothing.
#
# .venv belongs to this script, which may delete it and make it anew. Its file start.stamp is written last and says
# what is in it: no stamp, no trust. To change the Python, delete .venv and run PYTHON=/path/to/python3 ./start.sh.

set -u

# A double-click may leave us without standard streams; what is opened next would take their places.
{ true <&0; } 2>/dev/null || exec 0</dev/null
{ true >&1; } 2>/dev/null || exec 1>/dev/null
{ true >&2; } 2>/dev/null || exec 2>/dev/null

terminal=
if [ -t 0 ] || [ -t 1 ] || [ -t 2 ]; then terminal=terminal; fi

desktop_told=
say() {
    printf '%s\n' "$1" >&2
}

on_desktop() { # $1: error or news. Shows $2 and never waits: nobody may be there to close the window.
    [ -z "$terminal" ] && [ -n "${DISPLAY-}${WAYLAND_DISPLAY-}" ] || return 0
    title='OpenAI Tray Proxy'
    if [ "$1" = news ]; then
        if command -v notify-send; then
            notify-send --expire-time=60000 "$title" "$2"
        else
            kdialog --title "$title" --passivepopup "$2" 60
        fi
    elif command -v zenity; then
        zenity --error --no-markup --title="$title" --text="$2"
    elif command -v kdialog; then
        kdialog --title "$title" --error "$2"
    elif command -v notify-send; then
        notify-send --urgency=critical "$title" "$2"
    else
        xmessage "$title: $2"
    fi </dev/null >/dev/null 2>&1 9<&- &
}

fail() {
    say "start.sh: $1"
    [ -n "$desktop_told" ] || on_desktop error "$1"
    exit 1
}

# --- where we are ---------------------------------------------------------------------------------------------------

self=$0
while [ -h "$self" ]; do
    target=$(readlink -- "$self")
    case $target in
    /*) self=$target ;;
    *) self=$(dirname -- "$self")/$target ;;
    esac
done
case $self in
*/*) folder=${self%/*}/ ;;
*) folder=. ;;
esac
root=$(CDPATH='' cd -P -- "$folder" && pwd -P) || fail "cannot enter the folder $folder"

venv=$root/.venv
stamp=$venv/start.stamp
log=$venv/install.log
details=$venv/install-details.log # what pip does; while it is there an installation is shown

# Another Python's settings must not reach ours. __PYVENV_LAUNCHER__ is how a macOS Python names itself to its children.
unset PYTHONPATH PYTHONHOME __PYVENV_LAUNCHER__

# --- does .venv fit? ------------------------------------------------------------------------------------------------

# A .venv survives neither a move to another folder nor a change of the Python below it, say from 3.11 to 3.12.
venv_made_for() {
    tag=$("$venv/bin/python" -I -S -c 'import sys; print(sys.implementation.cache_tag)' 2>/dev/null)
    printf '%s\n' "$tag $root"
}

# Sets state: fits, update (a sound .venv of another version of this project) or rebuild.
look_at_venv() {
    state=rebuild
    sums=$(cd -- "$root" && cksum pyproject.toml requirements.lock requirements-test.lock 2>/dev/null) ||
        fail "a part of the project is missing in $root: pyproject.toml, requirements.lock or requirements-test.lock"
    [ -r "$stamp" ] || return 0
    had_made_for=''
    {
        IFS= read -r had_made_for
        read -r had_extra
        had_sums=$(cat)
    } <"$stamp"
    [ "$had_made_for" = "$(venv_made_for)" ] || return 0
    if [ "$had_extra" = test ]; then extra='test'; fi
    state=update changed='list of packages has changed'
    [ "$had_sums" = "$sums" ] || return 0
    changed='test tools are added'
    if [ "$had_extra" = "$extra" ]; then state=fits; fi
}

# --- find a Python --------------------------------------------------------------------------------------------------

# Prints a verdict, the version and the path. For the Python of an environment (maybe the very one we are about to
# delete) that is the Python it was made from.
probe='
import os, sys
version = "%d.%d" % sys.version_info[:2]
verdict, path = "good", sys.executable
if sys.prefix != sys.base_prefix:
    path = os.path.join(sys.base_prefix, "bin", "python" + version)
try:
    import venv
    from ensurepip import bootstrap
except ImportError:
    verdict = "bare"
if sys.version_info < (3, 10):
    verdict = "old"
print(verdict + " " + version + " " + path)
'

# Sets python and version, or ends the script.
find_python() {
    old='' bare=''
    for candidate in "${PYTHON-}" python3 python3.13 python3.12 python3.11 python3.10 python3.14 python; do
        found=$("$candidate" -I -c "$probe" 2>/dev/null)
        version=${found#* }
        python=${version#* }
        version=${version%% *}
        case $found in
        good*) if [ -x "$python" ]; then return; fi ;;
        bare*) bare=${bare:-$version} ;;
        old*) old=${old:-$version} ;;
        esac
    done
    version=$bare
    if [ -n "$bare" ]; then fail_without_venv; fi
    hint='get it from https://www.python.org/downloads/'
    if command -v apt-get >/dev/null; then hint='install it with: sudo apt install python3 python3-venv'; fi
    if [ -n "$old" ]; then fail "Python 3.10 or newer is needed, and here is only $old; $hint"; fi
    fail "Python 3.10 or newer is needed, and no Python was found; $hint"
}

fail_without_venv() {
    fail "Python $version lacks its venv module; install it with: sudo apt install python3-venv (or python$version-venv)"
}

# --- install --------------------------------------------------------------------------------------------------------

step=
run() { # $1: terminal, or the log to write to. In the background, so that a signal is heard at once and ends it too.
    out=$1
    shift
    # 9<&9 hands the lock on, which some shells keep to themselves.
    if [ "$out" = terminal ]; then "$@" >&2 9<&9 & else "$@" >>"$out" 2>&1 9<&9 & fi
    step=$!
    wait "$step"
}

# Shows how many of the packages in $list pip has taken up: a bar in the terminal, a window without one. It ends with
# the file $details, or with this script.
show_progress() {
    if [ -t 2 ]; then
        print_progress bar >&2
    elif [ -z "$terminal" ] && [ -n "${DISPLAY-}${WAYLAND_DISPLAY-}" ] && command -v zenity >/dev/null; then
        print_progress percent | zenity --progress --auto-close --no-cancel --width=420 --title='OpenAI Tray Proxy' \
            --text='Installing. This is done once; then the program starts.' >/dev/null 2>&1
    fi
}

print_progress() { # $1: bar or percent
    total=$(grep -c '==' "$root/$list")
    while [ -e "$details" ] && kill -0 $$ 2>/dev/null; do
        count=$(grep -c ' Collecting ' "$details" 2>/dev/null)
        if [ "${count:=0}" -gt "$total" ]; then count=$total; fi
        if [ "$1" = percent ]; then
            printf '%s\n' "$((count * 90 / (total + 1)))"
        else
            bar=$(printf '%*s' "$((count * 30 / (total + 1)))" '' | tr ' ' '#')
            printf '\r  [%-30s] %s of %s packages ' "$bar" "$count" "$total"
        fi
        sleep 1 || break
    done
    if [ "$1" = percent ]; then printf '100\n'; else printf '\r%60s\r' ''; fi
}

stopped() {
    trap '' INT TERM HUP
    rm -f -- "$details"
    if [ -n "$step" ]; then { kill "$step" && wait "$step"; } 2>/dev/null; fi
    say 'start.sh: stopped; the next start begins the installation again'
    exit "$1"
}

# One installation at a time. The lock lies on the project's folder and hangs on our descriptor 9, which the steps
# inherit: it ends with the last of us, however that ends, so it cannot go stale. Where a file system knows no locks
# we go on without.
wait_for_turn() {
    exec 9<"$root"
    run terminal "$python" -I -S -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("start.sh: another start is installing; waiting for it", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    pass
'
}

make_venv() {
    find_python
    say 'Installing (first start only, about half a minute) …'
    if ! command -v zenity >/dev/null; then # which shows how far it is
        on_desktop news 'Installing. This is done once and takes about half a minute; then the program starts.'
    fi
    { rm -rf -- "$venv" && mkdir -- "$venv"; } 2>/dev/null ||
        fail "cannot make the folder $venv; who owns it, and is there room on the disk?"
    if ! run "$log" "$python" -I -m venv "$venv"; then
        if grep -q ensurepip "$log"; then fail_without_venv; fi
        cat "$log" >&2
        fail "Python $version could not make the folder $venv; what it said stands above and in $log"
    fi
}

pip_install() { # The settings taken from it would send packages elsewhere, or a complete lock has no use for them.
    set -- env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT -u PIP_PYTHON -u PIP_CONSTRAINT -u PIP_REQUIRE_HASHES \
        PIP_USER=0 "$venv/bin/python" -I -m pip install --quiet --log "$details" --no-input \
        --disable-pip-version-check "$@"
    run "$log" "$@"
}

install() {
    if [ "$state" = rebuild ]; then
        make_venv
    else
        say "Updating the installation (the $changed) …"
        { mv -f -- "$stamp" "$stamp.before" && rm -f -- "$log"; } 2>/dev/null ||
            fail "cannot write to $venv; who owns it?"
    fi
    list=requirements.lock
    if [ "$extra" = test ]; then list=requirements-test.lock; fi
    { : >"$details"; } 2>/dev/null || fail "cannot write to $venv; is there room on the disk?"
    show_progress 9<&- &
    progress=$!
    # The dot at the end: without it pip would read brackets at the end of a path as extras.
    pip_install --require-hashes -r "$root/$list" && pip_install --no-deps --no-build-isolation -e "$root/."
    code=$?
    rm -f -- "$details"
    wait "$progress"
    if [ "$code" = 0 ]; then
        { printf '%s\n' "$(venv_made_for)" "$extra" "$sums" >"$stamp.new" && mv -f -- "$stamp.new" "$stamp"; } ||
            fail "cannot write to $venv; is there room on the disk?"
        return
    fi
    # A pip that fails by itself has changed nothing, so the old stamp is true again; one that was killed leaves ruins.
    if [ "$code" -lt 128 ] && [ -e "$stamp.before" ]; then mv -f -- "$stamp.before" "$stamp"; fi
    cat "$log" >&2
    why=$(grep -m 1 -i -e 'error' "$log" 2>/dev/null)
    if [ -n "$terminal" ]; then fail 'the installation failed; what pip said stands above'; fi
    on_desktop error "The installation failed. ${why:-pip gave no reason}. Is there a network, and room on the disk? \
Start it again to try once more; what pip said stands in $log"
    desktop_told=told
    fail "the installation failed; what pip said stands in $log"
}

# --- start ----------------------------------------------------------------------------------------------------------

word=
case ${1-} in
headless | demo | test)
    word=$1
    shift
    ;;
-h | --help) ;; # of all commands
'' | -*) word=app ;;
esac

extra=app
if [ "$word" = test ]; then extra='test'; fi

look_at_venv
if [ "$state" = update ] && [ "${1-}" = uninstall ]; then state=fits; fi # nothing is updated to be removed
if [ "$state" != fits ]; then
    trap 'stopped 130' INT
    trap 'stopped 143' TERM
    trap 'stopped 129' HUP
    if [ "$state" = update ]; then python=$venv/bin/python; else find_python; fi
    wait_for_turn
    look_at_venv # another start may have done it all while we waited
    if [ "$state" != fits ]; then install; fi
    exec 9<&-
    trap - INT TERM HUP
fi

if [ "$word" != test ]; then export START_COMMAND=./start.sh; fi # how the program names its commands
case $word in
test)
    cd -- "$root" || exit 1
    exec "$venv/bin/python" -m pytest "$@"
    ;;
headless) set -- proxy serve "$@" ;;
demo) set -- proxy serve --demo "$@" ;;
app) if [ -f "$root/tray_app/__main__.py" ]; then set -- tray_app "$@"; else set -- proxy serve "$@"; fi ;;
*) set -- proxy "$@" ;;
esac
# -I: a folder named proxy where the user happens to stand is not taken for ours.
exec "$venv/bin/python" -I -m "$@"
