# What the scripts of recipes use, in the guest.
modprobe -a virtio_scsi sd_mod dm-mirror dm-raid linear raid0 raid1 raid10 || exit 1
exec 2>/shared/errors
tries=0
while [ "$(ls -d /sys/block/sd* 2>/dev/null | wc -l)" -lt "$DISKS" ] && [ $tries -lt 100 ]; do
  tries=$((tries + 1))
  sleep 0.1
done
sleep 0.5
mkdir -p /dev/t /etc/lvm /run/lvm /run/lock/lvm
for block in /sys/block/sd*; do
  name=$(tail -c +5 "$block/device/vpd_pg80" | tr -d ' \0')
  node=${block##*/}
  ln -s "/dev/$node" "/dev/t/${name%.img}"
  echo "${name%.img} $(cat "$block/dev")" >>/shared/numbers
  for part in "$block/$node"[0-9]*; do
    [ -d "$part" ] || continue
    number=${part##*"$node"}
    ln -s "/dev/${part##*/}" "/dev/t/${name%.img}p$number"
    echo "${name%.img}p$number $(cat "$part/dev")" >>/shared/numbers
  done
done
cat >/etc/lvm/lvm.conf <<CONFIG
devices { use_devicesfile=0 dir="/dev" scan=["/dev"] md_component_detection=0 }
activation { udev_sync=0 udev_rules=0 monitoring=0 }
global { use_lvmpolld=0 use_lvmlockd=0 }
backup { backup=0 archive=0 }
CONFIG
export LVM_SUPPRESS_FD_WARNINGS=1 DM_DISABLE_UDEV=1

# The node of a disk, a partition, or an array: dev WORD
dev() { readlink -f "/dev/t/$1"; }
# Waits until every mirror is in sync.
insync() {
  local tries=0
  while lvm lvs --noheadings -o copy_percent | grep -q '[0-9]' && lvm lvs --noheadings -o copy_percent | grep '[0-9]' | grep -qv 100.00; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { echo "not in sync" >&2; return 1; }
    sleep 0.2
  done
}
# Records the tables of a group: tables GROUP
tables() {
  dmsetup table | grep "^$1-" >"/shared/tables.$1"
  cp /shared/numbers "/shared/numbers.$1"
  dmsetup info -c --noheadings --separator ' ' -o name,major,minor | while read -r name major minor; do
    echo "$name $major:$minor" >>"/shared/numbers.$1"
  done
  [ ! -e /sys/block/md100/dev ] || echo "under $(cat /sys/block/md100/dev)" >>"/shared/numbers.$1"
}
slow() { echo 1 >/proc/sys/dev/raid/speed_limit_min; echo 1 >/proc/sys/dev/raid/speed_limit_max; }
fast() { echo 100000 >/proc/sys/dev/raid/speed_limit_max; }
