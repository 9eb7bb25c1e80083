# Trusts the callers of app-1 and nobody else: it must see who calls.
set -e
cd /run/postgresql
bin=$(echo /usr/lib/postgresql/*/bin | tr ' ' '\n' | tail -1)
"$bin/initdb" --no-sync --auth=reject --pgdata=data --username=postgres
printf 'host all postgres %s trust\n' 10.77.0.11/32 fd77::11/128 >data/pg_hba.conf
exec "$bin/postgres" -D data -c listen_addresses='*' -c unix_socket_directories= -c fsync=off
