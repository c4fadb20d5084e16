#!/bin/sh
# First start of an empty PGDATA: initdb, the database and user of the environment, then /docker-entrypoint-initdb.d.
# Variables as in Docker Hub's postgres image: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB (each also as ..._FILE),
# POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_ARGS.
set -eu # and full paths where busybox would otherwise take its own applet

from_file() { # NAME: export NAME with the content of the file that NAME_FILE names, if it names one
    eval "file=\${$1_FILE:-}"
    if [ -n "$file" ]; then
        eval "export $1=\"\$(cat \"\$file\")\""
        unset "$1_FILE"
    fi
}

case "${1:-postgres}" in
-*) set -- postgres "$@" ;;
esac
[ $# -gt 0 ] || set -- postgres
[ "$1" = postgres ] || exec "$@"

# While still root: a secret's file may be nobody else's to read.
for name in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB; do
    from_file $name
done
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chown -R postgres:postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    exec /usr/bin/setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
        echo 'postgres: set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust' >&2
        exit 1
    fi
    secret=/var/run/postgresql/.password
    (umask 077 && printf '%s\n' "${POSTGRES_PASSWORD:-}" >$secret)
    with_password=
    [ -z "${POSTGRES_PASSWORD:-}" ] || with_password="--pwfile=$secret"
    # The variables are lists of options.
    # shellcheck disable=SC2086
    initdb --username="$user" --auth-local=trust --auth-host="$method" --encoding=UTF8 --locale=C.UTF-8 --no-sync \
        $with_password ${POSTGRES_INITDB_ARGS:-} >/dev/null
    rm -f $secret
    echo "host all all all $method" >>"$PGDATA/pg_hba.conf"
    pg_ctl start -w -s -o "-c listen_addresses=''"
    if [ "$database" != postgres ]; then
        psql -v ON_ERROR_STOP=1 -qX -U "$user" -d postgres -v name="$database" <<-'SQL'
		CREATE DATABASE :"name";
		SQL
    fi
    for script in /docker-entrypoint-initdb.d/*; do
        case "$script" in
        *.sql) echo "postgres: $script" && psql -v ON_ERROR_STOP=1 -qX -U "$user" -d "$database" -f "$script" ;;
        *.sh) echo "postgres: $script" && . "$script" ;;
        esac
    done
    pg_ctl stop -w -s -m fast
fi
shift
exec postgres -c listen_addresses='*' "$@"
