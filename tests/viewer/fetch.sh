#!/bin/sh
# Fetches what the pictures of the viewer need, outside the repository. Safe to run again; says what it downloads.
#   OHIF_VERSIONS           released versions of the npm package @ohif/app (default: 3.13.2)
#   DERM_PACS_VIEWER_CACHE  where to (default: ~/.cache/derm-pacs-viewer)
set -eu
cd "$(dirname "$0")/../.."
cache=${DERM_PACS_VIEWER_CACHE:-$HOME/.cache/derm-pacs-viewer}
versions=${OHIF_VERSIONS:-3.13.2}

deploy/debian-packages.sh orthanc orthanc-dicomweb orthanc-gdcm chromium python3-venv
mkdir -p "$cache"
for version in $versions; do
    [ ! -e "$cache/ohif-$version/index.html" ] || continue
    command -v npm >/dev/null || {
        echo "viewer: npm is missing; on Debian: apt-get install npm" >&2
        exit 1
    }
    echo "viewer: fetching OHIF $version (about 60 MB, 205 MB unpacked) into $cache"
    work=$(mktemp -d "$cache/.fetch.XXXXXX")
    (cd "$work" && npm pack --silent "@ohif/app@$version" >/dev/null && tar xzf ./*.tgz)
    mv "$work/package/dist" "$cache/ohif-$version"
    rm -rf "$work"
done
# the driver for the pictures; the rest for the check that ../shared holds, which shares this environment
if ! "$cache/venv/bin/python" -c 'import numpy, PIL, playwright, pydicom' 2>/dev/null; then
    echo "viewer: fetching the browser driver and what reads its pictures (about 75 MB) into $cache"
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/python" -m pip install -q --disable-pip-version-check \
        'playwright>=1.45,<2' 'numpy>=1.26,<3' 'pillow>=10' 'pydicom>=3,<4'
fi
