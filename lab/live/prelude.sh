# What every script that has the runtime's disk begins with, as /shared/prelude.sh: the project on the first disk, and how it is run.
for module in virtio_scsi sd_mod; do modprobe $module; done
for try in $(seq 50); do [ -b /dev/sda ] && break; sleep 0.2; done
mount -t ext4 -o ro /dev/sda /mnt
for folder in dev proc sys tmp shared; do mount --bind /$folder /mnt/$folder; done

# run ARGUMENT...: the program, in the foreground
run() { XDG_STATE_HOME=/tmp/state chroot /mnt /bin/node /theriac/dist/cli/main.js "$@"; }

# theriac NAME ARGUMENT...: leaves the document in NAME.json, what it said in NAME.err, its exit code in NAME.status
theriac() {
  name=$1
  shift
  run "$@" --json >/shared/$name.json 2>/shared/$name.err
  echo $? >/shared/$name.status
}

# namespaces REGION...: emulated persistent memory, one block device a region; pmem is the first one's name
namespaces() {
  modprobe nfit_test
  {
    ndctl disable-region -b nfit_test.0 all
    ndctl init-labels -f -b nfit_test.0 all
    ndctl enable-region -b nfit_test.0 all
    for region in "$@"; do ndctl create-namespace -b nfit_test.0 -r "$region" -t pmem -m fsdax -M mem -f; done
  } >/tmp/namespaces.log 2>&1 || cat /tmp/namespaces.log
  pmem=$(basename "$(ls -d /sys/block/pmem* | head -n 1)")
}
