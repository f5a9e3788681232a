# Debian's /etc/profile has just replaced PATH by its default. podssh hands every session the PATH of
# the image in PODSSH_SESSION_PATH; put it back, before other files here add to it. The variable stays:
# tmux and editors start login shells of their own, which read this again.
if [ -n "${PODSSH_SESSION_PATH:-}" ]; then
  PATH=$PODSSH_SESSION_PATH
  export PATH
fi
