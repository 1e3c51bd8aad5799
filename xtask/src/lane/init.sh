#!/bin/busybox sh
# The first process of the hardware lane: mounts, loads modules, runs the jobs, powers off.
#
# What it says to the host goes through the serial console, in lines that start with a nonce which only
# this script and the host know: a job cannot speak for it.

export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TMPDIR=/tmp RUST_BACKTRACE=1 MAYFLY_LANE=1

# The kernel starts this on its initramfs, which pivot_root(2) refuses to leave. So move the whole of it
# to an ordinary file system first: jails must work here as they do elsewhere.
if [ "$1" != moved ]; then
    /bin/busybox --install -s /bin
    mkdir -p /new
    mount -t tmpfs -o mode=755 tmpfs /new
    for entry in /*; do
        [ "$entry" = /new ] || cp -a "$entry" /new/
    done
    exec switch_root /new /init moved
fi

mkdir -p /proc /sys /dev /tmp /run /root /var/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
ip link set lo up
hostname lane

nonce=$(cat /lane/nonce)
rm /lane/nonce
say() {
    printf '\n%s %s\n' "$nonce" "$*"
}

# The host may die: then nobody stops this machine but itself.
(sleep "$(cat /lane/seconds)" && poweroff -f) &

while read -r module; do
    insmod "$module" || echo "cannot load $module"
done </lane/modules

# A disk is there where its test wants one.
if [ -b /dev/vda ]; then
    mkdir /disk
    mount -t ext4 /dev/vda /disk
fi

# Jobs get the console as their output and nothing as their input. With exec the shell gives its process
# to the job, which is then the one that a time-out kills.
say ready "$(uname -r)"
while read -r name seconds command; do
    say begin "$name"
    timeout -s KILL "$seconds" sh -c "exec $command" </dev/null 2>&1
    say end "$name" "$?"
done </lane/jobs
say done
poweroff -f
