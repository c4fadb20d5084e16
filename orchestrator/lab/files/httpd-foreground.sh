#!/bin/sh
# As in Docker Hub's httpd image: what an earlier process of the same container left goes first.
set -eu # and a full path, or busybox would take its own httpd
rm -f /run/httpd.pid
exec /usr/local/apache2/bin/httpd -DFOREGROUND "$@"
