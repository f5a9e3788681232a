#!/usr/bin/env bash
# Usage: tests/ide/build.sh browser|go|java|node|vscode...
# Builds what is in clients/ under these names below PODSSH_CACHE, each under a hash of its sources and
# lock file, and prints where it is. Does nothing else when it is there already.
set -euo pipefail
cd "$(dirname "$0")/clients"
# shellcheck source=scripts/env.sh
. ../../../scripts/env.sh

main() {
  [ $# -gt 0 ] || die 64 "which of: $(echo *)"
  local client
  for client in "$@"; do
    [ -d "$client" ] || die 64 "no $client in $PWD"
    build "$client"
  done
}

build() {
  local client=$1 sources out work
  sources=$(find "$client" ../build.sh -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)
  out=$PODSSH_CACHE/ide/$client-$sources
  mkdir -p "$PODSSH_CACHE/ide"
  exec 9>"$PODSSH_CACHE/ide/$client.lock"
  flock 9 # tests run at once
  if ! [ -d "$out" ]; then
    work=$(mktemp -d "$PODSSH_CACHE/ide/.$client.XXXXXX")
    # shellcheck disable=SC2064 # now, not later
    trap "rm -rf '$work'" EXIT
    cp -R "$client/." "$work"
    local status=0
    set +e # in a condition, `set -e` would not hold within the recipe
    (
      set -e
      cd "$work"
      "$client"
    ) >"$work.log" 2>&1 </dev/null
    status=$?
    set -e
    if [ $status != 0 ]; then
      tail -n 60 "$work.log" >&2
      die 70 "$client could not be built"
    fi
    rm -f "$work.log"
    chmod 755 "$work"
    mv "$work" "$out"
  fi
  echo "$out"
}

node() { npm_ci . --omit=optional; }

browser() { npm_ci .; }

# VS Code's server, as code-server packs it: server.tgz, to be unpacked in a workspace that has node. What
# is in C++ is compiled for this machine's node; the installers of packages, of which some fetch programs
# from elsewhere, stay out, and ripgrep is Debian's.
vscode() {
  local code=node_modules/code-server/lib/vscode prefix module
  command node -e 'process.exit(+(parseInt(process.versions.node) < 20))' || die 69 "code-server needs Node 20 or newer"
  prefix=$(command node -p 'path.dirname(path.dirname(fs.realpathSync(process.execPath)))')
  [ -e "$prefix/include/node/node_api.h" ] || die 69 "node's headers are missing: nothing at $prefix/include/node"
  export npm_config_nodedir=$prefix
  npm_ci .
  npm rebuild --build-from-source argon2
  npm_ci $code --omit=dev --legacy-peer-deps # peers are not in its lock file
  for module in node-pty @vscode/spdlog native-watchdog; do
    (cd "$code/node_modules/$module" && "$(node_gyp)" rebuild)
  done
  ln -s node_modules $code/node_modules.asar
  mkdir -p $code/node_modules/@vscode/ripgrep/bin
  ln -s "$(command -v rg)" $code/node_modules/@vscode/ripgrep/bin/rg
  tar -czf server.tgz --exclude='*.map' --exclude='obj.target' --exclude='build-tmp*' node_modules
  rm -rf node_modules
}

# npm brings it along.
node_gyp() {
  local program
  program=$(npm root --global)/npm/node_modules/node-gyp/bin/node-gyp.js
  [ -x "$program" ] || program=$(command -v node-gyp) || die 69 "node-gyp is missing"
  echo "$program"
}

go() { command go build -o client .; }

java() { mvn --quiet --batch-mode package dependency:copy-dependencies; }

# npm_ci DIRECTORY OPTION...: what its lock file says and no code of packages run.
npm_ci() {
  local directory=$1
  shift
  (cd "$directory" && npm ci --ignore-scripts --no-audit --no-fund "$@")
}

main "$@"
