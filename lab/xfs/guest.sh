# Runs in the guest: works on every image of /shared/images while it is mounted, cuts each off, lets this kernel replay it, and asks it.
# NAME.job beside NAME.img holds: SEED BLOCK_SIZE REFLINK. It leaves NAME.img cut off, NAME.clean unmounted, NAME.fsmap and NAME.fiemap.
set -e
modprobe loop
modprobe xfs
mount -t tmpfs -o remount,size=75% tmpfs /tmp

mounted() {
  losetup /dev/loop0 /tmp/work.img
  mount -t xfs /dev/loop0 /mnt
}

unmounted() {
  umount /mnt
  losetup -d /dev/loop0
}

# Files in many pieces, long links, large attributes, and files that share blocks: more SEED BLOCK_SIZE REFLINK
more() {
  commands=
  for at in $(seq 0 $((200 + $1 % 200))); do commands="$commands -c \"pwrite -q $((at * 2 * $2)) $2\""; done
  eval xfs_io -f $commands /mnt/pieces
  ln -s "$(seq -s / 1 200)" /mnt/long
  mkdir -p /mnt/full
  for each in $(seq 1 $((400 + $1 % 300))); do echo $each >/mnt/full/a-name-of-some-length-$each; done
  [ "$3" = 1 ] || return 0
  find /mnt -type f -size +16k >/tmp/large
  head -n 4 /tmp/large | while read -r file; do
    xfs_io -f -c "reflink $file" "$file.twin" </dev/null
    xfs_io -f -c "reflink $file 0 $((4 * $2)) $((2 * $2))" "$file.part" </dev/null
    xfs_io -c "pwrite -q $2 $2" "$file.twin" </dev/null
  done >/dev/null
}

for image in /shared/images/*.img; do
  name=${image%.img}
  read -r seed block reflink <"$name.job"
  cp "$image" /tmp/work.img
  mounted || { echo "$name: cannot be mounted"; dmesg | tail -n 5; exit 1; }
  workload /mnt "$seed" "$block" 0
  unmounted
  cp /tmp/work.img "$image"
  mounted
  more "$seed" "$block" "$reflink"
  mount -o remount,ro /mnt
  xfs_io -r -c "fsmap -m" /mnt >"$name.fsmap"
  find /mnt -xdev -type f -size +8k | head -n 12 >/tmp/files
  while read -r file; do
    echo "file $(stat -c '%i %s' "$file")"
    xfs_io -r -c "fiemap -v" "$file" </dev/null | tail -n +3
  done </tmp/files >"$name.fiemap"
  unmounted
  cp /tmp/work.img "$name.clean"
done
echo "worked on $(ls /shared/images/*.clean | wc -l) images, up $(cut -d. -f1 /proc/uptime) s"
