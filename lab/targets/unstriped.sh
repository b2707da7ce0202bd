#!/bin/sh
# Reads a device through tables of the kernel's dm-unstriped: tables in unstriped.ask, one a line, rows separated by ";". Each leaves its bytes in
# unstriped.N, or a line in unstriped.refused: run in the guest.
modprobe loop
modprobe dm-unstripe
cp /shared/unstriped.img /tmp/unstriped.img
losetup /dev/loop0 /tmp/unstriped.img
: >/shared/unstriped.refused
number=0
while read -r table; do
  if echo "$table" | sed 's#DISK#/dev/loop0#g' | tr ';' '\n' | dmsetup create --noudevsync --readonly unstriped 2>/dev/null; then
    dd if=/dev/dm-$(dmsetup info -c --noheadings -o minor unstriped) of=/shared/unstriped.$number bs=64k 2>/dev/null
    dmsetup remove --noudevsync unstriped
  else
    echo $number >>/shared/unstriped.refused
  fi
  number=$((number + 1))
done </shared/unstriped.ask
losetup -d /dev/loop0
