#!/usr/bin/env bash
# Takes the demo's cluster down and removes what checks and tests left in this folder.
set -euo pipefail
cd "$(dirname "$0")/.."
[ ! -x .venv/bin/orch ] || .venv/bin/orch lab down
rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .cache
