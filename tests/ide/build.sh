#!/usr/bin/env bash
# Usage: tests/ide/build.sh node|go|java
# Builds one of the small clients in clients/ below PODSSH_CACHE, under a hash of its sources and
# lock file, and prints where it is. Does nothing else when it is there already.
set -euo pipefail
cd "$(dirname "$0")/clients"
# shellcheck source=scripts/env.sh
. ../../../scripts/env.sh

client=${1:?node, go or java}
[ -d "$client" ] || die 64 "no client $client"
sources=$(find "$client" ../build.sh -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)
out=$PODSSH_CACHE/ide/$client-$sources
mkdir -p "$PODSSH_CACHE/ide"
exec 9>"$PODSSH_CACHE/ide/$client.lock"
flock 9 # tests run at once
if ! [ -d "$out" ]; then
  work=$(mktemp -d "$PODSSH_CACHE/ide/.$client.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cp -R "$client/." "$work"
  case $client in
    node) (cd "$work" && npm ci --ignore-scripts --omit=optional --no-audit --no-fund) ;;
    go) (cd "$work" && go build -o client .) ;;
    java) (cd "$work" && mvn --quiet --batch-mode package dependency:copy-dependencies) ;;
    *) die 64 "no recipe for $client" ;;
  esac >&2
  chmod 755 "$work"
  mv "$work" "$out"
fi
echo "$out"
