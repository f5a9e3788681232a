#!/usr/bin/env bash
# Usage: tests/ide/build.sh node|go|java|code-server...
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
      "${client//-/_}"
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

go() { command go build -o client .; }

java() { mvn --quiet --batch-mode package dependency:copy-dependencies; }

# The package's own installation step builds every native module of VS Code and downloads ripgrep from
# elsewhere. Here: only the modules the server loads at start, and no ripgrep, so no search in files.
code_server() {
  local server=$PWD/node_modules/code-server
  npm_ci .
  # Headers of the Node that runs this, where it brings them; node-gyp would download them.
  local prefix
  prefix=$(dirname "$(dirname "$(command -v node)")")
  [ ! -d "$prefix/include/node" ] || export npm_config_nodedir=$prefix
  npm rebuild --foreground-scripts argon2
  cd "$server/lib/vscode"
  npm_install .
  npm rebuild --foreground-scripts @vscode/spdlog @parcel/watcher native-watchdog
  # Its last step wants a tool from elsewhere, for editors; the module is there by then.
  npm rebuild --foreground-scripts node-pty || [ -f node_modules/node-pty/build/Release/pty.node ]
  ln -s node_modules node_modules.asar
  ln -s code-linux.sh bin/remote-cli/code-server
  ln -s browser-linux.sh bin/helpers/browser.sh
  npm_install extensions
  cd "$server"
  # As one file: what a client uploads when the workspace must not download.
  find . -depth -path '*/build/Release/obj.target' -exec rm -rf {} +
  cd "$server/../.."
  tar -czf code-server.tar.gz node_modules
  rm -rf node_modules
}

# npm_ci DIRECTORY OPTION...: what its lock file says and no code of packages run.
npm_ci() {
  local directory=$1
  shift
  (cd "$directory" && npm ci --ignore-scripts --no-audit --no-fund "$@")
}

# npm_install DIRECTORY: as npm_ci, where VS Code's own lock file is not quite in step.
npm_install() {
  (cd "$1" && npm install --ignore-scripts --omit=dev --no-audit --no-fund)
}

main "$@"
