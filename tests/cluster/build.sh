#!/usr/bin/env bash
# Usage: tests/cluster/build.sh [kubernetes|etcd|kwok|gateways]...     (all of them by default)
# Builds the servers of tests/cluster from the Go module proxy, at the versions of servers/*/go.mod, below
# PODSSH_CACHE, each under a hash of its go.mod and go.sum, and prints where each is. Does nothing else when
# it is there already. The first time costs about twenty minutes of one core.
set -euo pipefail
cd "$(dirname "$0")/servers"
# shellcheck source=scripts/env.sh
. ../../../scripts/env.sh

main() {
  [ $# -gt 0 ] || set -- etcd kubernetes kwok gateways
  local server
  for server in "$@"; do
    [ -d "$server" ] || die 64 "which of: $(echo *)"
    build "$server"
  done
}

build() {
  local server=$1 sources out work
  sources=$(cat "$server/go.mod" "$server/go.sum" | sha256sum | cut -c1-16)
  out=$PODSSH_CACHE/cluster/$server-$sources
  mkdir -p "$PODSSH_CACHE/cluster"
  exec 9>"$PODSSH_CACHE/cluster/$server.lock"
  flock 9 # tests run at once
  if ! [ -d "$out" ]; then
    work=$(mktemp -d "$PODSSH_CACHE/cluster/.$server.XXXXXX")
    # shellcheck disable=SC2064 # now, not later
    trap "rm -rf '$work'" EXIT
    if ! (cd "$server" && compile "$server" "$work") >"$work.log" 2>&1 </dev/null; then
      tail -n 60 "$work.log" >&2
      die 70 "$server could not be built"
    fi
    rm -f "$work.log"
    chmod 755 "$work"
    mv "$work" "$out"
  fi
  echo "$out"
}

# compile SERVER DIRECTORY: the tools of its go.mod, as programs below DIRECTORY.
compile() {
  local server=$1 directory=$2 stamp='' version
  if [ "$server" = kubernetes ]; then
    # Without it the server says v0.0.0-master, and clients that look at the version misbehave.
    version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes) || return
    stamp="-X k8s.io/component-base/version.gitVersion=$version"
    stamp+=" -X k8s.io/component-base/version.gitMajor=1"
    stamp+=" -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"
  fi
  CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $stamp" -o "$directory/" tool || return
  case $server in
    # Go names the root of a module after its directory.
    etcd) mv "$directory/server" "$directory/etcd" ;;
    kwok) stages "$directory/stages.yaml" ;;
    gateways) kinds "$directory" ;;
  esac
}

# kinds DIRECTORY: what the gateways' control planes ask the API server to know.
kinds() {
  local istio gateway
  istio=$(go list -m -f '{{.Dir}}' istio.io/istio) || return
  gateway=$(go list -m -f '{{.Dir}}' github.com/envoyproxy/gateway)/charts/gateway-helm/charts/crds/crds || return
  cp "$istio/manifests/charts/base/files/crd-all.gen.yaml" "$1/istio-crds.yaml" || return
  (cd "$gateway" && awk 'FNR == 1 {print "---"} {print}' gatewayapi-crds.yaml generated/*.yaml) >"$1/envoy-gateway-crds.yaml"
  chmod 644 "$1"/*.yaml
}

# stages FILE: what kwok does with nodes and pods, its own suggestion: pods are ready at once.
stages() {
  local module stage
  module=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok) || return
  for stage in node/fast/node-initialize pod/fast/pod-ready pod/fast/pod-delete; do
    echo ---
    cat "$module/kustomize/stage/$stage.yaml" || return
  done >"$1"
}

main "$@"
