# Runs in the guest, with Node, ndctl and the built project on the first disk: a device and a file of emulated persistent memory are watched by the project while they
# are poisoned by the firmware and healed through the kernel. Events are in /shared/NAME.events.
. /shared/prelude.sh
modprobe ext4
namespaces region0
list=/sys/block/$pmem/badblocks
data=/mnt/tmp/data

# begin NAME ARGUMENT...: watches in the background
begin() {
  name=$1
  shift
  (
    XDG_STATE_HOME=/tmp/state exec chroot /mnt /bin/node /theriac/dist/cli/main.js watch --interval 0.2 "$@" >/shared/$name.events 2>/shared/$name.err
  ) &
  watcher=$!
}

# seen NAME COUNT CHANGE TARGET: waits for the event; says so where it does not come
seen() {
  for try in $(seq 600); do
    [ "$(grep "\"target\":\"$4\"" /shared/$1.events | grep -c "\"change\":\"$3\"")" -ge "$2" ] && return
    sleep 0.2
  done
  echo "not seen in $1: $2 $3 of $4"
}

# finish NAME: ends the watch
finish() {
  kill -TERM $watcher
  wait $watcher
  echo $? >/shared/$1.status
}

# sector FILE PAGE: the sector of the device on which a page of a file begins
sector() {
  xfs_io -r -c fiemap "$1" | sed -n 's/.*\[\([0-9]*\)\.\.\([0-9]*\)\]: \([0-9]*\)\.\..*/\1 \2 \3/p' |
    while read -r from to at; do [ $(($2 * 8)) -lt "$from" ] || [ $(($2 * 8)) -gt "$to" ] || echo $((at + $2 * 8 - from)); done
}

mkdir -p /tmp/state /tmp/backup $data
mkfs.ext4 -q -b 4096 /dev/$pmem
mount -t ext4 -o dax=always /dev/$pmem $data
cp /shared/book /tmp/backup/book
cp /shared/book $data/book
touch -d @1700000000 /tmp/backup/book $data/book
sync
echo $pmem >/shared/pmem.name
run digest /tmp/backup -o /tmp/digest >/dev/null

# 1. told: what goes bad, on the device and in the file, and what is healed
begin told /dev/$pmem /tmp/data/book --log /dev/kmsg --ndctl-monitor --prometheus /shared/told.prom
seen told 1 watching /tmp/data/book
sector $data/book 3 >/shared/told.sector
ndctl inject-error --no-notify --block="$(cat /shared/told.sector)" --count=8 namespace0.0 >/tmp/inject.log 2>&1 || cat /tmp/inject.log
# nobody knows of it before the firmware was asked
theriac scrub scrub /dev/$pmem
seen told 1 appeared /dev/$pmem
seen told 1 appeared /tmp/data/book
theriac list list /dev/$pmem
cp /shared/told.prom /shared/bad.prom
theriac repair repair /tmp/data/book --from /tmp/backup --yes
seen told 1 healed /dev/$pmem
seen told 1 healed /tmp/data/book
finish told

# 2. a standing repair, proven by digests: it begins while the kernel still learns of the rest of the page
begin healing /tmp/data/book --repair --from /tmp/backup --digest /tmp/digest
seen healing 1 watching /tmp/data/book
sector $data/book 5 >/shared/healing.sector
ndctl inject-error --block="$(cat /shared/healing.sector)" --count=8 namespace0.0 >/tmp/inject.log 2>&1 || cat /tmp/inject.log
ndctl start-scrub nfit_test.0 >/dev/null
ndctl wait-scrub nfit_test.0 >/dev/null
for try in $(seq 600); do
  [ -z "$(cat $list)" ] && break
  sleep 0.2
done
seen healing 1 healed /tmp/data/book
finish healing
cat $list >/shared/after.list
cmp $data/book /tmp/backup/book >/shared/equal 2>&1
echo $? >/shared/equal.status

# 3. a device that goes, and comes back
umount $data
begin going /dev/$pmem --no-owners
seen going 1 watching /dev/$pmem
ndctl disable-namespace namespace0.0 >/dev/null 2>&1
seen going 1 gone /dev/$pmem
ndctl enable-namespace namespace0.0 >/dev/null 2>&1
seen going 1 returned /dev/$pmem
finish going
