#!/usr/bin/env bash
# Usage: apart.sh DIRECTORY PORT PROGRAM [ARGUMENT...]
# Runs a controller whose ports and paths are of its own choice: in a network of its own, with DIRECTORY/root
# as its root. PORT of 127.0.0.1 leads to the unix socket DIRECTORY/api, behind which the API server is;
# DIRECTORY/xds leads to port 18000, where it answers proxies. All of it ends when this does.
set -euo pipefail

own=(--net --pid --fork --kill-child)
[ "$(id -u)" = 0 ] || own+=(--user --map-root-user)
# shellcheck disable=SC2016 # expanded inside
exec unshare "${own[@]}" bash -euc '
  directory=$1 port=$2
  shift 2
  ip link set lo up
  socat "TCP-LISTEN:$port,bind=127.0.0.1,fork" "UNIX-CONNECT:$directory/api" &
  socat "UNIX-LISTEN:$directory/xds,fork" TCP:127.0.0.1:18000 &
  chroot "$directory/root" "$@"
' apart "$@"
