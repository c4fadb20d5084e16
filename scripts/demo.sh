#!/usr/bin/env bash
# A Compose file on three Docker hosts, all of them on this machine. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1. images, from Debian packages (no registry is needed)"
mapfile -t images < <(orch lab images build httpd nginx python postgres redis)

say "2. three Docker hosts"
orch lab up --nodes 3 "${images[@]/#/--load=}"
eval "$(orch lab env)"

say "3. orch up -f examples/shop/stack.yml --env-file examples/offline.env --scale site=3"
orch up -f examples/shop/stack.yml --env-file examples/offline.env --scale site=3

say "4. orch ps"
orch -p shop ps

say "5. a request to the app, through nginx, and one to each host's static page"
api=$(orch -p shop ps --format json | .venv/bin/python -c '
import json, sys
print(next(c["node"] for c in json.load(sys.stdin) if c["service"] == "proxy"))')
for node in n1 n2 n3; do
    address=$(orch lab status --format json | .venv/bin/python -c '
import json, sys
print(next(n["address"] for n in json.load(sys.stdin) if n["node"] == sys.argv[1]))' "$node")
    orch lab exec --network hub .venv/bin/python -c '
import sys, urllib.request
for url in sys.argv[1:]:
    print(url, "->", urllib.request.urlopen(url, timeout=10).read().decode().strip())' \
        "http://$address:8080/" $([ "$node" = "$api" ] && echo "http://$address:8081/")
done

say "Go on:"
cat <<'TEXT'
  . .venv/bin/activate
  eval "$(orch lab env)"                      point orch at the three hosts
  orch -p shop logs -f                        all logs, merged
  orch -p shop exec db psql -U postgres shop  a shell in the database
  orch -p shop scale site=1                   and back: site=3
  orch lab kill n2; orch -p shop ps           lose a host
  orch -p shop down                           take it down; its volumes stay
Clean up:
  make clean                                  the three hosts and all that is on them
TEXT
