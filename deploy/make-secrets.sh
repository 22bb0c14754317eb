#!/bin/sh
# Makes the passwords of the compose files in ./secrets, each once: what is there stays.
#
# The folder is closed to other users of this machine. The files in it are not: containers read them as users of their
# own, to whom Docker hands each file alone.
set -eu

folder="${1:-secrets}"
mkdir -p "$folder"
chmod 0700 "$folder"

make() { # NAME: a password in a file, unless there is one
    if [ ! -s "$folder/$1" ]; then
        head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > "$folder/$1.new"
        chmod 0644 "$folder/$1.new"
        mv "$folder/$1.new" "$folder/$1"
        echo "made $folder/$1"
    fi
}

make postgres_password
make grafana_password
printf 'postgresql://atelier:%s@postgres/atelier' "$(cat "$folder/postgres_password")" > "$folder/database_url"
chmod 0644 "$folder/database_url"
