#!/usr/bin/env bash
# Boots the lab once (building it first, where needed), runs a shell script in the guest and ends with its exit code.
# usage: npm run lab:boot -- [SCRIPT [SHARED]]
#   SCRIPT: a file, or - for standard input (the default)
#   SHARED: a folder that the guest sees as /shared (default: a new one, removed afterwards)
# environment: LAB (work folder) · TIMEOUT (seconds, 600) · MEMORY (2G) · DISKS (raw images, one a line: the guest's SCSI disks, in order)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lab=$(realpath -m "${LAB:-$here/../.work/lab}")
"$here/build.sh"
run=$(mktemp -d "$lab/run.XXXXXX")
trap 'rm -rf "$run"' EXIT
shared=${2:-$run/shared}
mkdir -p "$shared"
rm -f "$shared/status"
cat "${1:--}" >"$shared/job"

disks=()
while read -r image; do
  [ -n "$image" ] || continue
  [ ${#disks[@]} -gt 0 ] || disks=(-device virtio-scsi-pci,id=scsi)
  count=$((${#disks[@]} / 4))
  disks+=(-drive "if=none,id=disk$count,file=$image,format=raw,cache=unsafe" -device "scsi-hd,drive=disk$count,bus=scsi.0,scsi-id=$count,serial=$(basename "$image")")
done <<<"${DISKS:-}"

ended=0
nice -n 5 timeout "${TIMEOUT:-600}" qemu-system-x86_64 -accel tcg -cpu max -smp 1 -m "${MEMORY:-2G}" \
  -kernel "$lab/vmlinuz" -initrd "$lab/initramfs.gz" -append "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off no_timer_check" \
  -virtfs "local,path=$shared,mount_tag=shared,security_model=none" -nographic -no-reboot -nic none "${disks[@]}" </dev/null 2>&1 |
  tee "$run/console" | tr -d '\r' | sed -u -n '/LAB-BEGIN/,/LAB-END/{//!p}' || ended=${PIPESTATUS[0]}

if [ ! -s "$shared/status" ]; then
  [ "$ended" -eq 124 ] && reason="did not end within ${TIMEOUT:-600} s" || reason="died (qemu ended with $ended)"
  echo "lab: the guest $reason. Its last words:" >&2
  tail -n 40 "$run/console" >&2
  exit 3
fi
exit "$(cat "$shared/status")"
