# Runs in the guest, with Node and the built project on the first disk: files and devices of emulated persistent memory that the project heals through the
# kernel. What came of it is in /shared: NAME.json, NAME.err and NAME.status of each command, and what the kernel itself says before and after.
. /shared/prelude.sh
modprobe -a ext4 dm-mod
namespaces region0 region1
list=/sys/block/$pmem/badblocks
data=/mnt/tmp/data

# told NAME COMMAND...: leaves what a command prints in NAME, and its exit code in NAME.status
told() {
  name=$1
  shift
  "$@" >/shared/$name 2>&1
  echo $? >/shared/$name.status
}

# sector FILE PAGE: the sector of the device on which a page of a file begins
sector() {
  xfs_io -r -c fiemap "$1" | sed -n 's/.*\[\([0-9]*\)\.\.\([0-9]*\)\]: \([0-9]*\)\.\..*/\1 \2 \3/p' |
    while read -r from to at; do [ $(($2 * 8)) -lt "$from" ] || [ $(($2 * 8)) -gt "$to" ] || echo $((at + $2 * 8 - from)); done
}

# poison SECTOR COUNT: by the firmware, and known once a scrub is done
poison() {
  ndctl inject-error --block="$1" --count="$2" namespace0.0 >>/tmp/inject.log 2>&1 || cat /tmp/inject.log
  ndctl start-scrub nfit_test.0 >/dev/null
  ndctl wait-scrub nfit_test.0 >/dev/null
}

# whole NAME FILE COPY: whether both are equal, by another reader than ours
whole() { told $1 cmp "$2" "$3"; }

mkdir -p /tmp/state /tmp/backup $data
mkfs.ext4 -q -b 4096 /dev/$pmem
mount -t ext4 -o dax=always /dev/$pmem $data
cp /shared/book /tmp/backup/book
cp /shared/book $data/book
touch -d @1700000000 /tmp/backup/book $data/book
sync
# 1. a file on DAX: a whole page, half a page, the last page with what lies behind the end
pages=$(($(wc -c <$data/book) / 4096))
poison $(sector $data/book 3) 8
poison $(($(sector $data/book 7) + 3)) 2
poison $(sector $data/book $pages) 1
poison $(($(sector $data/book $pages) + 7)) 1
cat $list >/shared/dax.list
told dax.read cat $data/book
xfs_io -r -c fiemap $data/book >/shared/dax.before
theriac dax.survey survey /tmp/data/book
theriac device.survey survey /dev/$pmem
theriac dax.salvage salvage /tmp/data/book /tmp/book.out --map /shared/dax.map
cp /tmp/book.out /shared/dax.out
theriac asked repair /tmp/data/book --from /tmp/backup
theriac mounted repair /dev/$pmem --from /tmp/backup --yes

# somebody has the file open
sleep 1000 <$data/book &
holder=$!
theriac held repair /tmp/data/book --from /tmp/backup --yes
kill $holder
wait $holder 2>/dev/null

# the firmware refuses to clear
echo -1 >/sys/module/nfit_test/parameters/clear_max
theriac refused repair /tmp/data/book --from /tmp/backup --yes
cat $list >/shared/refused.list
cat /sys/module/nfit_test/parameters/clear_max >/shared/refused.parameter
echo 9223372036854775807 >/sys/module/nfit_test/parameters/clear_max

theriac dax.repair repair /tmp/data/book --from /tmp/backup --yes
cat $list >/shared/dax.after.list
xfs_io -r -c fiemap $data/book >/shared/dax.after
stat -c '%s %Y' $data/book >/shared/dax.stat
whole dax.equal $data/book /tmp/backup/book
theriac dax.again survey /tmp/data/book
theriac dax.log log /tmp/data/book

# 2. the lease: who wants the file while it is repaired waits, and nothing is written any more
poison $(sector $data/book 12) 8
at=$(sector $data/book 12)
XDG_STATE_HOME=/tmp/state chroot /mnt /bin/node /shared/lease.mjs /tmp/data/book $((12 * 4096)) >/shared/lease 2>&1
echo $? >/shared/lease.status
cat $list >/shared/lease.list

# 3. a repair that is killed between its intent and its write, and the one that goes on
XDG_STATE_HOME=/tmp/state chroot /mnt /bin/node /shared/killed.mjs /tmp/data/book /tmp/backup $((12 * 4096)) >/shared/killed 2>&1
echo $? >/shared/killed.status
cat $list >/shared/killed.list
theriac resumed repair /tmp/data/book --resume --yes
cat $list >/shared/resumed.list
whole resumed.equal $data/book /tmp/backup/book

# 4. the raw device, unmounted, from an image of it
whole_page=$(sector $data/book 5)
one_sector=$(($(sector $data/book 9) + 1))
umount $data
dd if=/dev/$pmem of=/tmp/pmem.img bs=1M 2>/dev/null || echo "the device cannot be read"
poison $whole_page 8
poison $one_sector 1
cat $list >/shared/raw.list
theriac raw.survey survey /dev/$pmem
theriac raw.repair repair /dev/$pmem --from /tmp/pmem.img --yes
cat $list >/shared/raw.after.list
whole raw.equal /dev/$pmem /tmp/pmem.img

# 5. ext4 with DAX on a stripe of two: the lists are the legs', and a chunk is two pages
sectors=32768
other=$(basename "$(ls -d /sys/block/pmem* | sed -n 2p)")
echo "0 $((2 * sectors)) striped 2 16 /dev/$other 0 /dev/$pmem 0" | dmsetup create --noudevsync stripe
stripe=$(basename "$(ls -d /sys/block/dm-*)")
[ -b /dev/$stripe ] || mknod /dev/$stripe b $(sed 's/:/ /' /sys/block/$stripe/dev)
mkfs.ext4 -q -F -b 4096 /dev/$stripe >/dev/null
mount -t ext4 -o dax=always /dev/$stripe $data
cp /shared/book $data/book
touch -d @1700000000 $data/book
sync
# page 4 stands on the first leg where its chunk number is even; a sector of it by the firmware of neither: by the list itself
for page in 4 5 7; do
  place=$(sector $data/book $page)
  chunk=$((place / 16))
  leg=$([ $((chunk % 2)) -eq 0 ] && echo $other || echo $pmem)
  echo "$((chunk / 2 * 16 + place % 16)) 3" >/sys/block/$leg/badblocks
done
xfs_io -r -c fiemap $data/book >/shared/stripe.before
theriac stripe.survey survey /tmp/data/book
theriac stripe.repair repair /tmp/data/book --from /tmp/backup/book --yes
cat /sys/block/pmem*/badblocks >/shared/stripe.list
xfs_io -r -c fiemap $data/book >/shared/stripe.after
whole stripe.equal $data/book /tmp/backup/book
umount $data
dmsetup remove --noudevsync stripe

# 6. a disk whose sectors answer EIO until they are written, and that lists nothing: found by reading
modprobe loop
modprobe dm-dust
dd if=/dev/zero of=/tmp/disk bs=1M count=24 2>/dev/null
losetup /dev/loop0 /tmp/disk
echo "0 49152 dust /dev/loop0 0 512" | dmsetup create --noudevsync dust
dust=$(basename "$(ls -d /sys/block/dm-*)")
[ -b /dev/$dust ] || mknod /dev/$dust b $(sed 's/:/ /' /sys/block/$dust/dev)
mkfs.ext4 -q -F -b 4096 /dev/$dust >/dev/null
mount -t ext4 /dev/$dust $data
cp /shared/book $data/book
touch -d @1700000000 $data/book
sync
echo 3 >/proc/sys/vm/drop_caches
for bad in $(sector $data/book 3) $(($(sector $data/book 20) + 5)) $(sector $data/book $pages); do dmsetup message dust 0 addbadblock $bad; done
dmsetup message dust 0 enable
told dust.read cat $data/book
theriac dust.survey survey /tmp/data/book --live --scan
theriac dust.repair repair /tmp/data/book --live --scan --from /tmp/backup --yes
dmsetup message dust 0 countbadblocks >/shared/dust.count
echo 3 >/proc/sys/vm/drop_caches
whole dust.equal $data/book /tmp/backup/book
stat -c '%s %Y' $data/book >/shared/dust.stat
umount $data
dmsetup remove --noudevsync dust
losetup -d /dev/loop0

# 7. an md mirror whose members list the same bad blocks
modprobe raid1
for leg in 1 2; do
  dd if=/dev/zero of=/tmp/leg$leg bs=1M count=20 2>/dev/null
  losetup /dev/loop$leg /tmp/leg$leg
done
mdadm --create /dev/md0 --level=1 --raid-devices=2 --metadata=1.2 --assume-clean --run /dev/loop1 /dev/loop2 >/tmp/mdadm.log 2>&1 || cat /tmp/mdadm.log
mkfs.ext4 -q -F -b 4096 /dev/md0 >/dev/null
mount -t ext4 /dev/md0 $data
cp /shared/book $data/book
touch -d @1700000000 $data/book
sync
echo 3 >/proc/sys/vm/drop_caches
place=$(sector $data/book 6)
for leg in 1 2; do echo "$((place + $(cat /sys/block/md0/md/dev-loop$leg/offset))) 2" >/sys/block/md0/md/dev-loop$leg/bad_blocks; done
cat /sys/block/md0/md/dev-loop*/bad_blocks >/shared/md.list
told md.read cat $data/book
theriac md.survey survey /tmp/data/book
theriac md.repair repair /tmp/data/book --from /tmp/backup --yes
cat /sys/block/md0/md/dev-loop*/bad_blocks >/shared/md.after.list
umount $data
mdadm --stop /dev/md0 >/dev/null 2>&1
ls -l /tmp/state/theriac >/shared/state
