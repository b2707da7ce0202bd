#!/usr/bin/env bash
# Records traces: what the lab's kernel answers to random calls over poison, one file a stack.
# usage: npm run lab:record -- [--seed N] [--cases N] [--out DIR] [STACK...]
#   STACK: ext4dax direct buffered (the default), linear, stripeN (N: the chunk in sectors)
# environment: LAB, TIMEOUT, MEMORY (boot.sh has them)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lab=$(realpath -m "${LAB:-$here/../.work/lab}")
seed=$RANDOM cases=1600 out=$lab/traces stacks=()

fail() {
  echo "lab: $*" >&2
  exit 1
}

usage() {
  echo "lab: $*. usage: npm run lab:record -- [--seed N] [--cases N] [--out DIR] [STACK...]" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
  --seed | --cases)
    [[ ${2-} =~ ^[0-9]{1,15}$ ]] || usage "$1 wants a number"
    printf -v "${1#--}" %s "$2"
    shift
    ;;
  --out)
    out=${2:?--out wants a folder}
    shift
    ;;
  ext4dax | direct | buffered | linear) stacks+=("$1") ;;
  stripe*) [[ $1 =~ ^stripe(8|16|32|64|128)$ ]] && stacks+=("$1") || usage "the chunk of a stripe is 8, 16, 32, 64 or 128 sectors" ;;
  *) usage "no stack and no option is called $1" ;;
  esac
  shift
done
[ ${#stacks[@]} -gt 0 ] || stacks=(ext4dax direct buffered)

mkdir -p "$out" "$lab"
shared=$(mktemp -d "$lab/record.XXXXXX")
trap 'rm -rf "$shared"' EXIT
echo "seed $seed"
echo "exec sh /record-stacks $seed $cases ${stacks[*]}" | "$here/boot.sh" - "$shared" || fail "the recording failed"

operations=0
for stack in "${stacks[@]}"; do
  trace=$shared/$stack.jsonl
  [ -e "$trace" ] || fail "$stack was not recorded"
  [ "$(grep -c ']}$' "$trace")" -eq "$cases" ] && [ "$(wc -l <"$trace")" -eq "$cases" ] || fail "the trace of $stack is truncated"
  count=$(grep -o '"op":' "$trace" | wc -l)
  operations=$((operations + count))
  mv "$trace" "$out/"
  echo "$out/$stack.jsonl: $cases cases, $count operations"
done
echo "$operations operations, seed $seed"
