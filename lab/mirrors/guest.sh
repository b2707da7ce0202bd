# Runs in the guest: what Theriac made is read by Linux, and Linux makes the same for Theriac. Everything is in /shared.
set -e
trap "dmesg | tail -n 15" EXIT
for module in loop dm-mirror raid1 dm-raid; do modprobe $module; done
sectors=2048
mkdir -p /tmp/images && cp /shared/*.img /tmp/images/
attach() { losetup -f /tmp/images/$1.img && losetup -a | grep "/$1.img" | cut -d: -f1; }
for name in ma mb mlog ra rb ram rbm la lb llog qa qb qam qbm; do eval $name=$(attach $name); done

# made by Theriac: one region is in doubt in each, and there leg b holds other bytes
echo "0 $sectors mirror disk 2 $mlog 64 2 $ma 0 $mb 0" | dmsetup create m
echo "0 $sectors raid raid1 3 0 region_size 64 2 $ram $ra $rbm $rb" | dmsetup create r
dmsetup mknodes
for name in m r; do
  for try in $(seq 100); do
    dmsetup status $name
    dmsetup status $name | grep -qE '32/32|2048/2048 idle' && break
    sleep 0.2
  done | tail -n 1 >/shared/$name.status
  sha256sum </dev/mapper/$name >/shared/$name.sum
done

# made by Linux: bytes through the page cache of the device, then taken apart
echo "0 $sectors mirror disk 3 $llog 64 nosync 2 $la 0 $lb 0" | dmsetup create l
echo "0 $sectors raid raid1 4 0 nosync region_size 64 2 $qam $qa $qbm $qb" | dmsetup create q
dmsetup mknodes
for name in l q; do
  dd if=/shared/content of=/dev/mapper/$name bs=64k conv=fsync 2>/dev/null
  dmsetup table $name >/shared/$name.table
done
sleep 6
for name in m r l q; do dmsetup remove --retry $name; done
losetup -D 2>/dev/null || for device in $(losetup -a | cut -d: -f1); do losetup -d $device; done
cp /tmp/images/*.img /shared/
