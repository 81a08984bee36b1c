#!/bin/sh
# Runs after the package is installed or renewed. Starts nothing that did not run: the
# configuration does not name a database yet.
set -e
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers freshet.conf
    systemd-tmpfiles --create freshet.conf
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
# What ran goes on with the new program; its socket stays open meanwhile.
systemctl try-restart freshet.service
