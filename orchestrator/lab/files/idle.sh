#!/bin/sh
# Sleep, as a container's process 1 too: ends at once on SIGTERM, which plain `sleep` would ignore there.
# idle [SECONDS]
trap 'exit 0' TERM INT
sleep "${1:-2147483647}" &
wait $!
