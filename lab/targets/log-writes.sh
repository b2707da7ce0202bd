#!/bin/sh
# Has the kernel's dm-log-writes log what log-writes.ask says, and a file system: run in the guest. Leaves the log, and the device's bytes at
# every mark, in the shared folder; and replays the log that Theriac made there, with a reader of its own.
#   write SECTOR COUNT FILL · flush · discard SECTOR COUNT · mark NAME
modprobe loop
modprobe dm-log-writes
moments=/shared/log-writes
mkdir -p $moments
dd if=/dev/zero of=/tmp/data.img bs=1M count=2 2>/dev/null
dd if=/dev/zero of=/tmp/log.img bs=1M count=16 2>/dev/null
losetup /dev/loop1 /tmp/data.img
losetup /dev/loop2 /tmp/log.img
sectors=$(cat /sys/block/loop1/size)
echo "0 $sectors log-writes /dev/loop1 /dev/loop2" | dmsetup create --noudevsync logged
device=/dev/dm-$(dmsetup info -c --noheadings -o minor logged)
while read -r verb words; do
  case $verb in
  write) blockio w "$device" $words >/dev/null ;;
  flush) blockio f "$device" >/dev/null ;;
  discard)
    set -- $words
    blkdiscard -o $(($1 * 512)) -l $(($2 * 512)) "$device"
    ;;
  mark)
    dmsetup message logged 0 mark "$words"
    blockio f /dev/loop1 >/dev/null
    cp /tmp/data.img "$moments/$words.img"
    ;;
  esac
done </shared/log-writes.ask
mkfs.ext4 -q -F -b 1024 "$device" >/dev/null 2>&1
mount -t ext4 "$device" /mnt
echo "first" >/mnt/one
sync
echo "second" >/mnt/two
umount /mnt
dmsetup status logged
dmsetup remove --noudevsync logged
sync
cp /tmp/data.img "$moments/dm-log-writes-end.img"
cp /tmp/log.img /shared/log-writes.log
losetup -d /dev/loop1
losetup -d /dev/loop2
# the other way: a log that Theriac made
if [ -e /shared/made.log ]; then
  for mark in $(cat /shared/made.marks); do
    dd if=/dev/zero of=/tmp/made.img bs=1M count=1 2>/dev/null
    replay-log /shared/made.log /tmp/made.img "$mark" && cmp /tmp/made.img "/shared/made-$mark.img" && echo "$mark" >>/shared/made.equal
  done
fi
