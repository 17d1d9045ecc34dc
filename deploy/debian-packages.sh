#!/bin/sh
# Installs the named Debian packages that are missing, and nothing else. Safe to run again.
#   usage: deploy/debian-packages.sh PACKAGE...
# Needs root only where something is missing. A package's own daemon is kept from starting while it is installed, and
# the Orthanc of the packages stays stopped afterwards if it was this script that brought it: it would listen on every
# address of the machine. An Orthanc that was there before is left as it is.
set -eu

missing=
for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "debian-packages: missing:$missing" >&2
    echo "debian-packages: as root: apt-get install --no-install-recommends$missing" >&2
    echo "debian-packages: (then, unless you want the packaged Orthanc to serve: systemctl disable --now orthanc)" >&2
    exit 1
fi

echo "debian-packages: installing$missing (about 60 MB for all that the demo and the tests need)"
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=1
fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=600 update -q </dev/null
# shellcheck disable=SC2086  # a list of package names
apt-get -o DPkg::Lock::Timeout=600 install -qy --no-install-recommends $missing </dev/null

case " $missing " in
*" orthanc "*)
    systemctl disable --now orthanc >/dev/null 2>&1 || update-rc.d orthanc disable >/dev/null 2>&1 || true
    echo "debian-packages: the packaged Orthanc service stays stopped and disabled; the demo and the tests start their own"
    ;;
esac
