#!/bin/sh
# Runs before the package is removed, and on renewal too, when nothing is to stop: dpkg
# says "upgrade" then, rpm 1.
set -e
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
[ -d /run/systemd/system ] || exit 0
systemctl --no-reload disable --now freshet.service freshet.socket
