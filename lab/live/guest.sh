# Runs in the guest, with Node and the built project on the first disk: real block devices that fail, salvaged by the project itself. Everything
# is in /shared: source (an image), bad (sectors), and what came of it.
for module in virtio_scsi sd_mod loop dm-dust; do modprobe $module; done
for try in $(seq 50); do [ -b /dev/sda ] && break; sleep 0.2; done
mount -t ext4 -o ro /dev/sda /mnt
for folder in dev proc sys tmp shared; do mount --bind /$folder /mnt/$folder; done

# theriac NAME ARGUMENT...: leaves the document in NAME.json, what it said in NAME.err, its exit code in NAME.status
theriac() {
  name=$1
  shift
  chroot /mnt /bin/node /theriac/dist/cli/main.js "$@" --json >/shared/$name.json 2>/shared/$name.err
  echo $? >/shared/$name.status
}

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
modprobe nfit_test
{
  ndctl disable-region -b nfit_test.0 all
  ndctl init-labels -f -b nfit_test.0 all
  ndctl enable-region -b nfit_test.0 all
  ndctl create-namespace -b nfit_test.0 -r region0 -t pmem -m fsdax -M mem -f
} >/tmp/namespaces.log 2>&1 || cat /tmp/namespaces.log
pmem=$(basename "$(ls -d /sys/block/pmem* | head -n 1)")
count=$(wc -c </shared/pmem)
dd if=/shared/pmem of=/dev/$pmem bs=64k conv=fsync 2>/dev/null
while read -r sector length; do echo "$sector $length" >/sys/block/$pmem/badblocks; done </shared/pmem.bad
cat /sys/block/$pmem/badblocks >/shared/pmem.list
cat /sys/block/$pmem/size >/shared/pmem.size
theriac pmem salvage /dev/$pmem /tmp/pmem.img --map /shared/pmem.map --poison /shared/pmem.list
head -c "$count" /tmp/pmem.img >/shared/pmem.img
