# Runs in the guest, with Node and the built project on the first disk: files and devices of emulated persistent memory that the project heals through the
# kernel. What came of it is in /shared: NAME.json, NAME.err and NAME.status of each command, and what the kernel itself says before and after.
for module in virtio_scsi sd_mod nfit_test ext4; do modprobe $module; done
for try in $(seq 50); do [ -b /dev/sda ] && break; sleep 0.2; done
mount -t ext4 -o ro /dev/sda /mnt
for folder in dev proc sys tmp shared; do mount --bind /$folder /mnt/$folder; done
{
  ndctl disable-region -b nfit_test.0 all
  ndctl init-labels -f -b nfit_test.0 all
  ndctl enable-region -b nfit_test.0 all
  ndctl create-namespace -b nfit_test.0 -r region0 -t pmem -m fsdax -M mem -f
} >/tmp/namespaces.log 2>&1 || cat /tmp/namespaces.log
pmem=$(basename "$(ls -d /sys/block/pmem* | head -n 1)")
list=/sys/block/$pmem/badblocks
data=/mnt/tmp/data

# theriac NAME ARGUMENT...: leaves the document in NAME.json, what it said in NAME.err, its exit code in NAME.status
theriac() {
  name=$1
  shift
  XDG_STATE_HOME=/tmp/state chroot /mnt /bin/node /theriac/dist/cli/main.js "$@" --json >/shared/$name.json 2>/shared/$name.err
  echo $? >/shared/$name.status
}

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

# 2. the raw device, unmounted, from an image of it
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
ls -l /tmp/state/theriac >/shared/state
