#!/bin/sh
# Asks the kernel's dm-dust the questions of dust.ask, one a line, and answers each with one line in dust.said: run in the guest.
#   table SECTORS OFFSET BLKSZ    a new target · say MESSAGE · read SECTOR COUNT · write SECTOR COUNT FILL · status
modprobe loop
modprobe dm-dust
dd if=/dev/zero of=/tmp/dust.img bs=1M count=1 2>/dev/null
losetup /dev/loop0 /tmp/dust.img
while read -r verb words; do
  case $verb in
  table)
    dmsetup info dust >/dev/null 2>&1 && dmsetup remove --noudevsync dust
    set -- $words
    echo "0 $1 dust /dev/loop0 $2 $3" | dmsetup create --noudevsync dust
    echo "table $?"
    device=/dev/dm-$(dmsetup info -c --noheadings -o minor dust)
    ;;
  say)
    reply=$(dmsetup message dust 0 $words 2>/dev/null)
    echo "say $? $(echo "$reply" | tr '\n' ',')"
    ;;
  read) echo "read $(blockio r "$device" $words)" ;;
  write) echo "write $(blockio w "$device" $words)" ;;
  status) echo "status $(dmsetup status dust | cut -d' ' -f5-)" ;;
  esac
done </shared/dust.ask >/shared/dust.said
dmesg | sed -n 's/.*device-mapper: dust: //p' | grep -v 'removed from badblocklist by write' >/shared/dust.log
dmsetup remove --noudevsync dust
losetup -d /dev/loop0
