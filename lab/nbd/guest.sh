# Runs in the guest, with Node, the built project and nbd-client on the first disk: Linux' own NBD client on an export with poison, an ext4 on it, and a
# file that is healed by writing to it. Everything is in /shared.
. /shared/prelude.sh
modprobe nbd
mkdir -p /tmp/files
block=4096

cp /shared/source /tmp/disk.img
run create /tmp/disk.img --adopt --poison-unit 512 --clear-unit 512 >/dev/null
run inject /tmp/disk.img --from-list /shared/bad.list >/dev/null || exit 1
chroot /mnt /bin/node /theriac/dist/cli/main.js serve /tmp/disk.img --listen unix:/tmp/socket >/tmp/uris 2>/shared/server.err &
server=$!
for try in $(seq 300); do [ -s /tmp/uris ] && break; sleep 0.2; done
chroot /mnt /bin/nbd-client -unix /tmp/socket /dev/nbd0 -N disk.img -b 512 >/shared/client.out 2>&1 || exit 1

# every sector of the device, one direct read each where a large one fails
cat /sys/block/nbd0/size >/shared/sectors
dmesg -c >/dev/null
blockio r /dev/nbd0 $(($(head -n 1 /shared/bad) - 1)) 1 >/shared/before
while read -r sector; do echo "$sector $(blockio r /dev/nbd0 "$sector" 1)"; done </shared/bad >/shared/direct
dmesg >/shared/dmesg

# the file: what of it can be read, block by block
mount -t ext4 /dev/nbd0 /tmp/files
cat /tmp/files/data.bin >/tmp/whole 2>/dev/null
echo $? >/shared/whole.status
for index in $(cat /shared/blocks); do
  dd if=/tmp/files/data.bin of=/dev/null bs=$block skip="$index" count=1 2>/dev/null
  echo "$index $?"
done >/shared/read
# healed by writing, each bad block from the original
for index in $(cat /shared/blocks); do
  dd if=/shared/data.bin of=/tmp/files/data.bin bs=$block skip="$index" seek="$index" count=1 conv=notrunc,fsync 2>/dev/null
  echo "$index $?"
done >/shared/write
echo 3 >/proc/sys/vm/drop_caches
cmp /tmp/files/data.bin /shared/data.bin
echo $? >/shared/cmp.status
umount /tmp/files
chroot /mnt /bin/nbd-client -d /dev/nbd0 >/dev/null 2>&1
kill $server
wait $server
echo $? >/shared/server.status
run list /tmp/disk.img --json >/shared/list.json
cp /tmp/disk.img /shared/disk.img
