"""What the conformance corpus runs: `corpus_loader.py -f FILE ... config` prints the canonical project as JSON.

Not a test module. The options are those that the corpus needs of Docker Compose.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from orchestrator.errors import OrchError
from orchestrator.spec import Request, compose


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-f", dest="files", action="append", default=[])
    parser.add_argument("--env-file", dest="env_files", action="append", default=[])
    parser.add_argument("--profile", dest="profiles", action="append", default=[])
    parser.add_argument("-p", dest="project_name", default="")
    parser.add_argument("--project-directory", default="")
    parser.add_argument("verb")
    options = vars(parser.parse_args(argv))
    options.pop("verb")
    lists = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    try:
        print(json.dumps(compose(Request(**lists, env=dict(os.environ), cwd=os.getcwd()))))
    except OrchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
