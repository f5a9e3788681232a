# shellcheck shell=bash
# Sourced by the scripts beside it: where the tools are that scripts/install puts outside the system.
# tests/ and the demo find them through these variables; each may be set from outside.
PODSSH_CACHE=${PODSSH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/podssh}
PODSSH_PYTHON=${PODSSH_PYTHON:-$PODSSH_CACHE/venv/bin/python}
PODSSH_ENVOY=${PODSSH_ENVOY:-$PODSSH_CACHE/bin/envoy}
PODSSH_KUBECTL=${PODSSH_KUBECTL:-$PODSSH_CACHE/venv/bin/kubectl}
PODSSH_HADOLINT=${PODSSH_HADOLINT:-$PODSSH_CACHE/venv/bin/hadolint}
PODSSH_SSH_AUDIT=${PODSSH_SSH_AUDIT:-$PODSSH_CACHE/venv/bin/ssh-audit}
export PODSSH_SSH_AUDIT PODSSH_CACHE PODSSH_PYTHON PODSSH_ENVOY PODSSH_KUBECTL PODSSH_HADOLINT

# die CODE MESSAGE: one clear line on stderr, a sysexits code.
die() {
  local code=$1
  shift
  printf '%s: %s\n' "$0" "$*" >&2
  exit "$code"
}

# As root, directly or by sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die 77 "needs root for: $* (run it as root, or install sudo)"
  fi
}
