#!/bin/sh
# The first process of the kernel that tests/kernel starts. The root is this machine's, read-only; what is
# written goes below /run. Puts up GUEST_WANTS (nfs3, nfs4 or groups), runs test GUEST_TEST of GUEST_PROGRAM, says
# how it ended on the console, and switches off. The variables come by the kernel's command line.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH HOME="$GUEST_HOME" TMPDIR=/run/tmp LANG=C.UTF-8

system() {
  mount -t proc proc /proc
  mount -t sysfs sysfs /sys
  mkdir -p /dev/pts /dev/shm
  mount -t devpts -o ptmxmode=666 devpts /dev/pts
  mount -t tmpfs -o mode=1777 tmpfs /dev/shm
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -m 1777 /run/tmp /run/podssh
  ip link set lo up
}

# The kernel's modules are not where it looks for them, and there they cannot be put.
modules() {
  mkdir -p /run/modules/lib
  ln -s /usr/lib/uml/modules /run/modules/lib/modules
  printf '#!/bin/sh\nexec modprobe -d /run/modules "$@"\n' >/run/modprobe
  chmod 755 /run/modprobe
  echo /run/modprobe >/proc/sys/kernel/modprobe
}

# nfs VERSION OTHER: an NFS server of one version and not of the other, as most are: to it, root of a client is
# nobody. With version 3 at its side, version 4 would wait for locks from before to be claimed.
nfs() {
  modules
  /run/modprobe -a ipv6 nfsd nfsv3 nfsv4
  mount -t tmpfs tmpfs /var/lib/nfs
  mkdir -p /var/lib/nfs/rpc_pipefs /var/lib/nfs/v4recovery /run/rpcbind /run/export
  mount -t rpc_pipefs rpc_pipefs /var/lib/nfs/rpc_pipefs
  mount -t nfsd nfsd /proc/fs/nfsd
  mount -t tmpfs -o mode=1777 tmpfs /run/export
  : >/var/lib/nfs/etab
  rpcbind -w
  exportfs -i -o rw,sync,fsid=0,no_subtree_check 127.0.0.1:/run/export
  rpc.mountd --no-udp
  rpc.nfsd -V "$1" -N "$2" 4
}
nfs3() { nfs 3 4; }
nfs4() { nfs 4 3; }

# Control groups, version 2 only, the memory controller handed on.
groups() {
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  echo +memory +pids >/sys/fs/cgroup/cgroup.subtree_control
}

system
"$GUEST_WANTS"
"$GUEST_PROGRAM" --exact "$GUEST_TEST" --nocapture
echo "guest: the test ended with $?"
echo o >/proc/sysrq-trigger
exec sleep 60
