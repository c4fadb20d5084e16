#!/bin/sh
# As in Docker Hub's redis image: options alone mean redis-server, which answers from everywhere and owns /data.
set -eu # and full paths where busybox would otherwise take its own applet
case "${1:-}" in
-* | *.conf) set -- redis-server "$@" ;;
esac
[ "${1:-}" = redis-server ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
    chown -R redis:redis /data
    exec /usr/bin/setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
shift
case "${1:-}" in
*.conf) exec redis-server "$@" ;;
*) exec redis-server --protected-mode no "$@" ;;
esac
