"""Recipes of small images out of Debian packages. Each has busybox for a shell, and behaves as its Docker Hub namesake.

A tag names the program's version in Debian 12. Texts that go into images as they are lie in `files/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from orchestrator.errors import NoSuchThing

FILES = Path(__file__).parent / "files"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BUILDER = 2
"""Raise it when the same recipe would now give another image."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into one image.

    keep, drop:  globs below the unpacked packages; the libraries of what is kept come along by themselves.
    files:       path in the image -> name in `files/`; those in .sh are executable.
    directories: path in the image -> numeric owner.
    users:       name -> numeric user and group.
    links:       path in the image -> what it points to.
    bytecode:    directory of Python files to compile, so that a container starts without doing so.
    """

    tag: str
    packages: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    files: Mapping[str, str] = {}
    directories: Mapping[str, int] = {}
    users: Mapping[str, int] = {}
    links: Mapping[str, str] = {}
    bytecode: str = ""
    environment: tuple[str, ...] = (f"PATH={_PATH}",)
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...]
    work_dir: str = "/"
    ports: tuple[int, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""

    @property
    def archive(self) -> str:
        """File name of the image; another for each change of the recipe or of a text in it."""
        content = hashlib.sha256(msgspec.json.encode((_BUILDER, self), order="deterministic"))
        for name in sorted({*self.files.values(), "idle.sh"}):
            content.update((FILES / name).read_bytes())
        return f"{self.tag.rpartition('/')[2].replace(':', '-')}-{content.hexdigest()[:12]}.tar"

    @property
    def config(self) -> dict[str, object]:
        """The image's `config`. Source: OCI image specification."""
        optional = {
            "ExposedPorts": {f"{port}/tcp": {} for port in self.ports},
            "Volumes": {path: {} for path in self.volumes},
            "StopSignal": self.stop_signal,
        }
        return {
            "Env": self.environment,
            "Entrypoint": self.entrypoint,
            "Cmd": self.command,
            "WorkingDir": self.work_dir,
            **{key: value for key, value in optional.items() if value},
        }


_SETPRIV = "/usr/bin/setpriv"
_PYTHON = ("/usr/bin/python3", "/usr/bin/python3.11", "/usr/lib/python3.11", "/etc/python3.11")
_PYTHON_UNUSED = tuple(
    f"/usr/lib/python3.11/{name}"
    for name in ("test", "idlelib", "lib2to3", "ensurepip", "pydoc_data", "tkinter", "turtledemo", "distutils", "venv")
)
_NOT_FOR_ASYNCIO = (
    *(
        f"/usr/lib/python3.11/lib-dynload/{name}[._]*"
        for name in (
            *("_bz2", "_codecs", "_crypt", "_ctypes", "_curses", "_dbm", "_decimal", "_hashlib", "_lzma", "_sqlite3"),
            *("_ssl", "_uuid", "nis", "readline"),
        )
    ),
    *(
        f"/usr/lib/python3.11/{name}"
        for name in (
            *("ctypes", "curses", "dbm", "email", "html", "http", "json", "multiprocessing", "sqlite3", "tomllib"),
            *("unittest", "urllib", "wsgiref", "xml", "xmlrpc", "zoneinfo", "_pydecimal.py", "turtle.py"),
            *("encodings/c[pn]*", "encodings/mac_*", "encodings/iso*", "encodings/*jis*", "encodings/big5*"),
        )
    ),
)
_POSTGRES = "/usr/lib/postgresql/15"

_RECIPES = (
    Recipe(tag="orch/busybox:1", command=("sh",)),
    Recipe(
        tag="orch/httpd:2.4",
        packages=("apache2",),
        keep=("/usr/sbin/apache2", "/usr/lib/apache2/modules", "/etc/mime.types"),
        drop=tuple(f"/usr/lib/apache2/modules/mod_{name}.so" for name in ("lua", "*ldap*", "proxy_html", "xml2enc")),
        users={"www-data": 33},
        directories={"/usr/local/apache2/conf/extra": 0, "/usr/local/apache2/logs": 0},
        links={
            "/usr/local/apache2/bin/httpd": "/usr/sbin/apache2",
            "/usr/local/apache2/modules": "/usr/lib/apache2/modules",
            "/etc/apache2/apache2.conf": "/usr/local/apache2/conf/httpd.conf",
            "/usr/local/bin/httpd-foreground": "httpd-foreground.sh",
        },
        files={
            "/usr/local/apache2/conf/httpd.conf": "httpd.conf",
            "/usr/local/apache2/htdocs/index.html": "httpd.html",
            "/usr/local/bin/httpd-foreground.sh": "httpd-foreground.sh",
        },
        environment=(f"PATH=/usr/local/apache2/bin:{_PATH}", "HTTPD_PREFIX=/usr/local/apache2"),
        command=("httpd-foreground",),
        work_dir="/usr/local/apache2",
        ports=(80,),
        stop_signal="SIGWINCH",
    ),
    Recipe(
        tag="orch/nginx:1.22",
        packages=("nginx",),
        keep=("/usr/sbin/nginx", "/etc/nginx/*.types", "/etc/nginx/*_params"),
        users={"www-data": 33},
        directories={"/var/lib/nginx": 33, "/var/log/nginx": 0},
        files={
            "/etc/nginx/nginx.conf": "nginx.conf",
            "/etc/nginx/conf.d/default.conf": "nginx-default.conf",
            "/usr/share/nginx/html/index.html": "nginx.html",
        },
        command=("nginx", "-g", "daemon off;"),
        ports=(80,),
        stop_signal="SIGQUIT",
    ),
    Recipe(
        tag="orch/redis:7.0",
        packages=("redis-server", "util-linux"),
        keep=("/usr/bin/redis-server", "/usr/bin/redis-cli", _SETPRIV),
        users={"redis": 999},
        directories={"/data": 999},
        files={"/usr/local/bin/entry.sh": "redis-entry.sh"},
        entrypoint=("entry.sh",),
        command=("redis-server",),
        work_dir="/data",
        ports=(6379,),
        volumes=("/data",),
    ),
    Recipe(
        tag="orch/postgres:15",
        packages=("postgresql-15", "postgresql-client-15", "tzdata", "util-linux"),
        keep=(
            *(f"{_POSTGRES}/bin/{name}" for name in ("postgres", "initdb", "pg_ctl", "pg_isready", "psql", "pg_dump")),
            f"{_POSTGRES}/lib",
            "/usr/share/postgresql/15",
            "/usr/share/zoneinfo",
            "/usr/lib/locale/C.utf8",
            _SETPRIV,
        ),
        drop=(
            *(f"{_POSTGRES}/lib/{name}" for name in ("*llvm*", "bitcode", "*plperl*", "*plpython*", "pgxs")),
            "/usr/share/zoneinfo/right",
            "/usr/share/zoneinfo/posix",
        ),
        users={"postgres": 999},
        directories={"/var/lib/postgresql/data": 999, "/var/run/postgresql": 999, "/docker-entrypoint-initdb.d": 0},
        files={"/usr/local/bin/entry.sh": "postgres-entry.sh"},
        environment=(f"PATH={_POSTGRES}/bin:{_PATH}", "PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"),
        entrypoint=("entry.sh",),
        command=("postgres",),
        ports=(5432,),
        volumes=("/var/lib/postgresql/data",),
        stop_signal="SIGINT",
    ),
    Recipe(
        tag="orch/python:3.11",
        packages=("python3", "python3-flask", "python3-psycopg2", "python3-redis"),
        keep=(*_PYTHON, "/usr/lib/python3", "/usr/bin/flask"),
        drop=(*_PYTHON_UNUSED, "/usr/lib/python3*/**/__pycache__", "/usr/lib/python3/dist-packages/**/tests"),
        bytecode="/usr/lib",
        environment=(f"PATH={_PATH}", "LANG=C.UTF-8", "PYTHONUNBUFFERED=1"),
        command=("python3",),
    ),
    Recipe(
        tag="orch/pyweb:1",
        packages=("python3-minimal", "libpython3-stdlib"),
        keep=_PYTHON,
        drop=(*_PYTHON_UNUSED, *_NOT_FOR_ASYNCIO, "/usr/lib/python3*/**/__pycache__"),
        files={"/app/pyweb.py": "pyweb.py"},
        bytecode="/usr/lib",
        environment=(f"PATH={_PATH}", "LANG=C.UTF-8", "PYTHONUNBUFFERED=1"),
        command=("python3", "-I", "-S", "/app/pyweb.py"),
        work_dir="/app",
        ports=(80,),
    ),
)

RECIPES: Mapping[str, Recipe] = {recipe.tag: recipe for recipe in _RECIPES}
"""By tag."""


def recipe(name: str) -> Recipe:
    """The recipe that `name` means: "orch/redis:7.0", "orch/redis" or "redis". NoSuchThing lists those there are."""
    for tag, found in RECIPES.items():
        if name in (tag, tag.partition(":")[0], tag.partition(":")[0].removeprefix("orch/")):
            return found
    raise NoSuchThing(f'no recipe for an image "{name}"', fix=f"there are: {', '.join(RECIPES)}")


def recipes(names: Sequence[str]) -> tuple[Recipe, ...]:
    """The recipes of `names`; all of them for none."""
    return tuple(recipe(name) for name in names) or _RECIPES
