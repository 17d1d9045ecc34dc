#!/bin/sh
# Makes the environment .venv, or brings it up to date.
#   usage: deploy/environment.sh product | deploy/environment.sh dev,train
# Says what it is going to download before it does.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
extras=$1

if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))'; then
    echo "environment: $python is not Python 3.11 or 3.12; name one: make PYTHON=python3.11 ..." >&2
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv || {
        echo "environment: no virtual environment can be made; on Debian: apt-get install python3-venv" >&2
        exit 1
    }
fi
if ! .venv/bin/python -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then
    cat <<'TEXT'
--------------------------------------------------------------------------------------------------------------
Now the Python packages are fetched: an environment of about 1.6 GB, of which PyTorch's CPU build takes 0.9 GB;
the Debian packages (Orthanc, and for the tests DCMTK and dicom3tools) are about 60 MB more.

If pip knows no CPU build of PyTorch it takes the CUDA build, which works too but is several GB. To have the CPU
build, stop here and install PyTorch first, from PyTorch's own CPU wheel index (its installation page gives the
line for 'Linux, pip, CPU'; say .venv/bin/pip in it), in the version range that pyproject.toml names. Then give
the same command again: pip keeps the PyTorch that it finds.
--------------------------------------------------------------------------------------------------------------
TEXT
fi
case $extras in
product) set -- -e . ;;
*) set -- -e ".[$extras]" ;;
esac
.venv/bin/python -m pip install --disable-pip-version-check --progress-bar off "$@" </dev/null
.venv/bin/python -m pip check --disable-pip-version-check
.venv/bin/python -c 'import derm_pacs'
