# Runs in the guest, with Node and the built project on the first disk: real block devices that fail, salvaged by the project itself. Everything
# is in /shared: source (an image), bad (sectors), and what came of it.
. /shared/prelude.sh
modprobe -a loop dm-dust

# a disk whose bad sectors are EIO, as the kernel gives them
cp /shared/source /tmp/source
losetup /dev/loop0 /tmp/source
sectors=$(($(wc -c </tmp/source) / 512))
echo "0 $sectors dust /dev/loop0 0 512" | dmsetup create --noudevsync dust
while read -r sector; do dmsetup message dust 0 addbadblock "$sector"; done </shared/bad
dmsetup message dust 0 enable
disk=/dev/dm-$(dmsetup info -c --noheadings -o minor dust)
theriac costly salvage "$disk" /tmp/costly.img --map /shared/costly.map
theriac cheap salvage "$disk" /tmp/cheap.img --map /shared/cheap.map --policy cheap
theriac listed salvage "$disk" /tmp/listed.img --map /shared/listed.map --poison /shared/costly.map
theriac again salvage "$disk" /tmp/costly.img --map /shared/costly.map --retries 1
# what the kernel says itself, of a read through the page cache
dmesg -c >/dev/null
dd if="$disk" of=/dev/null bs=4k conv=noerror 2>/dev/null
dmesg >/shared/dmesg
for policy in costly cheap listed; do cp /tmp/$policy.img /shared/; done

# persistent memory with poison, read by the kernel's own list
namespaces region0
count=$(wc -c </shared/pmem)
dd if=/shared/pmem of=/dev/$pmem bs=64k conv=fsync 2>/dev/null
while read -r sector length; do echo "$sector $length" >/sys/block/$pmem/badblocks; done </shared/pmem.bad
cat /sys/block/$pmem/badblocks >/shared/pmem.list
cat /sys/block/$pmem/size >/shared/pmem.size
theriac pmem salvage /dev/$pmem /tmp/pmem.img --map /shared/pmem.map --poison /shared/pmem.list
head -c "$count" /tmp/pmem.img >/shared/pmem.img
