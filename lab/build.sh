#!/usr/bin/env bash
# Builds the lab: Debian's kernel with emulated NVDIMMs, and an initramfs with the trace recorder. Nothing changed: does nothing.
# environment: LAB, the work folder (default .work/lab of the project)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lab=$(realpath -m "${LAB:-$here/../.work/lab}")
packages=(qemu-system-x86 linux-image-amd64 linux-headers-amd64 linux-source gcc binutils libc6-dev make xz-utils busybox-static cpio kmod ndctl e2fsprogs xfsprogs dmsetup lvm2 mdadm)
drivers=(ext4 xfs loop crc32c_generic crc32c_intel dm-mod dm-mirror dm-raid linear raid0 raid1 raid10 dm-log-writes dm-unstripe dm-writecache nbd virtio_pci virtio_scsi sd_mod 9pnet_virtio 9p)

fail() {
  echo "lab: $*" >&2
  exit 1
}

# Installs Debian packages that are missing.
install_packages() {
  dpkg-query -W -f '${db:Status-Status}\n' "${packages[@]}" 2>/dev/null | grep -c '^installed$' | grep -qx ${#packages[@]} && return 0
  echo "lab: installing Debian packages (one to two minutes) ..." >&2
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"; } >"$lab/packages.log" 2>&1 ||
    fail "apt-get could not install ${packages[*]}: see $lab/packages.log"
}

# Prints everything that the result depends on.
ingredients() {
  dpkg-query -W "${packages[@]}"
  echo "$kernel"
  (cd "$here" && find build.sh guest recorder workload targets mirrors stamp -type f \( -path "build.sh" -o -path "guest/*" -o -name "*.c" -o -name "*.h" \) -print0 | sort -z | xargs -0 sha256sum)
}

# Builds the kernel's own NVDIMM test modules, with the pmem driver's real direct access.
build_modules() {
  local version recipe source test modules=$lab/modules
  version=$(echo "$kernel" | cut -d. -f1,2)
  recipe=$({ dpkg-query -W linux-source linux-headers-amd64; declare -f build_modules; } | sha256sum)
  [ "$(cat "$modules/recipe" 2>/dev/null)" = "$recipe" ] && return 0
  echo "lab: building the NVDIMM test modules of Linux $kernel (half a minute) ..." >&2
  rm -rf "$modules" && mkdir -p "$modules"
  source=$modules/linux-source-$version
  tar -C "$modules" -xf "/usr/src/linux-source-$version.tar.xz" \
    linux-source-"$version"/{tools/testing/nvdimm,drivers/nvdimm,drivers/acpi/nfit,drivers/dax,include}
  test=$source/tools/testing/nvdimm
  sed -i "s#-I\$(srctree)/drivers#-I$source/drivers#" "$test/Kbuild" "$test/test/Kbuild"
  # The test build's own direct access answers EIO in every mode; without it recovery writes work as on hardware.
  sed -i '/pmem-dax.o/d' "$test/Kbuild"
  # The emulated firmware clears all it is asked to; a parameter makes it clear less (bytes of one command) or refuse (-1).
  sed -i -e '/^static int nfit_test_cmd_clear_error/i static long clear_max = LONG_MAX;\nmodule_param(clear_max, long, 0644);\n' \
    -e 's/clear_err->cleared = clear_err->length;/if (clear_max < 0) { *cmd_rc = -EIO; return 0; }\n\tclear_err->cleared = min_t(u64, clear_err->length, clear_max);/' \
    "$test/test/nfit.c"
  grep -q 'min_t(u64, clear_err->length, clear_max)' "$test/test/nfit.c" || fail "this kernel's nfit_test clears in an unknown way"
  nice -n 5 make -C "/lib/modules/$kernel/build" M="$test" modules -j"$(nproc)" >"$lab/modules.log" 2>&1 ||
    fail "the modules do not build: see $lab/modules.log"
  find "$test" -name '*.ko' -exec cp {} "$modules/" \;
  rm -rf "$source"
  echo "$recipe" >"$modules/recipe"
}

# Builds dm-dust, which Debian leaves out, from Debian's own source of this kernel.
build_dust() {
  local version source=$lab/dust
  version=$(echo "$kernel" | cut -d. -f1,2)
  [ "$lab/modules/dm-dust.ko" -nt "$lab/modules/recipe" ] && return 0
  rm -rf "$source" && mkdir -p "$source"
  tar -C "$source" --strip-components=3 -xf "/usr/src/linux-source-$version.tar.xz" "linux-source-$version/drivers/md/dm-dust.c"
  echo "obj-m := dm-dust.o" >"$source/Kbuild"
  nice -n 5 make -C "/lib/modules/$kernel/build" M="$source" modules >"$lab/dust.log" 2>&1 || fail "dm-dust does not build: see $lab/dust.log"
  mv "$source/dm-dust.ko" "$lab/modules/"
  rm -rf "$source"
}

# Copies a program into the initramfs, with the libraries it needs: put NAME
put() {
  local program library
  program=$(readlink -f "$(PATH=$PATH:/usr/sbin:/sbin command -v "$1")")
  cp "$program" "$root/bin/$1"
  ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
}

# Copies kernel modules: the test build's, and of the stock ones those that the drivers need and the test build has not.
put_modules() {
  local target=$root/lib/modules/$kernel driver path
  mkdir -p "$target/extra"
  cp "$lab/modules"/*.ko "$target/extra/"
  strip -g "$target"/extra/*.ko
  for driver in "${drivers[@]}"; do
    /sbin/modprobe -S "$kernel" --show-depends "$driver" || fail "Linux $kernel has no module $driver"
  done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r path; do
    [ -e "$target/extra/$(basename "$path")" ] || cp "$path" "$target/"
  done
  cp "/lib/modules/$kernel"/modules.{builtin,order,builtin.modinfo} "$target/"
  /sbin/depmod -b "$root" "$kernel"
}

build_initramfs() {
  local root=$lab/root name
  rm -rf "$root" && mkdir -p "$root"/{bin,proc,sys,dev,tmp,mnt,etc,run,shared}
  cp "$(command -v busybox)" "$root/bin/"
  for name in $(busybox --list | grep -vx busybox); do ln -sf busybox "$root/bin/$name"; done
  for name in kmod ndctl mkfs.ext4 debugfs xfs_io dmsetup lvm mdadm; do put "$name"; done
  for name in modprobe depmod insmod lsmod; do ln -sf kmod "$root/bin/$name"; done
  put_modules
  gcc -std=c11 -O2 -Wall -Wextra -Werror -static -o "$root/bin/record" "$here"/recorder/*.c
  gcc -std=c11 -O2 -Wall -Wextra -Werror -static -o "$root/bin/workload" "$here"/workload/*.c
  for name in "$here"/targets/*.c; do
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -o "$root/bin/$(basename "$name" .c)" "$name"
  done
  gcc -std=c11 -O2 -Wall -Wextra -Werror -static -o "$root/bin/stamp" "$here"/stamp/stamp.c
  cp "$here"/guest/* "$root/"
  chmod +x "$root/init"
  (cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$lab/initramfs.gz"
  cp "/boot/vmlinuz-$kernel" "$lab/vmlinuz"
}

mkdir -p "$lab"
exec 9>"$lab/lock" && flock 9
install_packages
kernel=$(cd /lib/modules && for name in *-amd64; do [ -e "/boot/vmlinuz-$name" ] && [ -e "$name/build" ] && echo "$name"; done | sort -V | tail -n 1)
[ -n "$kernel" ] || fail "no Debian kernel with its headers under /lib/modules"
stamp=$(ingredients | sha256sum)
if [ "$(cat "$lab/stamp" 2>/dev/null)" != "$stamp" ]; then
  rm -f "$lab/stamp"
  build_modules
  build_dust
  build_initramfs
  echo "$stamp" >"$lab/stamp"
fi
