#!/usr/bin/env bash
# Caches of dm-writecache between a real kernel and Theriac, both ways: what Linux made is read here byte for byte, what is made here Linux reads
# and goes on with, and that is read here again. Ends with "N caches, 0 differ".
# usage: npm run lab:writecache -- [--seed N] [--keep FOLDER]
#   --keep: where the images are left (default: nowhere)
# environment: LAB, TIMEOUT, MEMORY (boot.sh has them)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lab=$(realpath -m "${LAB:-$here/../.work/lab}")
seed=$RANDOM keep=
while [ $# -gt 0 ]; do
  case $1 in
  --seed) seed=${2:?--seed wants a number} ;;
  --keep) keep=${2:?--keep wants a folder} ;;
  *) echo "lab: no option is called $1. usage: npm run lab:writecache -- [--seed N] [--keep FOLDER]" >&2 && exit 2 ;;
  esac
  shift 2
done

(cd "$here/.." && npx tsc -p lab)
theirs=(disk sectors full pmem pmem-sectors)
mkdir -p "$lab"
shared=$(mktemp -d "$lab/writecache.XXXXXX")
trap 'rm -rf "$shared"' EXIT
caches=$here/../.work/lab-replay/lab/writecache/main.js
echo "seed $seed"
read -r -a ours <<<"$(node "$caches" make "$shared" "$seed")"
echo "exec sh /writecache" | "$here/boot.sh" - "$shared"
node "$caches" read "$shared" wanted "${theirs[@]}"
node "$caches" read "$shared" again "${ours[@]}"
[ -z "$keep" ] || { mkdir -p "$keep" && cp "$shared"/*.{origin,cache,args,wanted} "$keep/"; }
echo "$((${#theirs[@]} + ${#ours[@]})) caches, 0 differ"
