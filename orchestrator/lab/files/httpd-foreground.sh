#!/bin/sh
# As in Docker Hub's httpd image: what an earlier process of the same container left goes first.
set -eu
rm -f /run/httpd.pid
exec httpd -DFOREGROUND "$@"
