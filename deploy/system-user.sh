#!/bin/sh
# Makes the system user under which the embedded PostgreSQL runs when the service is started by root.
#   usage: deploy/system-user.sh [NAME]
# PostgreSQL refuses to run as root. Without root nothing is made: the database then runs as the caller.
set -eu
name=${1:-derm-pacs}
[ "$(id -u)" = 0 ] || exit 0
id -u "$name" >/dev/null 2>&1 && exit 0
useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$name"
echo "system-user: made the system user $name, under which the embedded database runs"
