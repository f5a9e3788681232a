# Debian's /etc/profile has just replaced PATH by its default. podssh hands a login shell the PATH of
# the image in PODSSH_SESSION_PATH; put it back, before other files here add to it.
if [ -n "${PODSSH_SESSION_PATH:-}" ]; then
  PATH=$PODSSH_SESSION_PATH
  export PATH
  unset PODSSH_SESSION_PATH
fi
