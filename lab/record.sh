#!/usr/bin/env bash
# Records traces: what the lab's kernel answers to calls over poison, one file a stack.
# usage: npm run lab:record -- [--seed N] [--cases N] [--out DIR] [STACK | FILE.jsonl]...
#   STACK: random cases on it. ext4dax direct buffered (the default), linear, stripeN (N: the chunk in sectors), ext4dax.extents
#          (files in pieces), and each of them with .limited after it: the firmware clears less than it is asked to
#   FILE.jsonl: the cases of that trace again, or of lines like a trace's without results; its name says the stack
# environment: LAB, TIMEOUT, MEMORY (boot.sh has them)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lab=$(realpath -m "${LAB:-$here/../.work/lab}")
seed=$RANDOM cases=2600 out=$lab/traces
declare -A questions=()
names=()

fail() {
  echo "lab: $*" >&2
  exit 1
}

usage() {
  echo "lab: $*. usage: npm run lab:record -- [--seed N] [--cases N] [--out DIR] [STACK | FILE.jsonl]..." >&2
  exit 2
}

# Adds one recording, named like the file it makes: add NAME [FILE]
add() {
  [[ $1 =~ ^(ext4dax(\.extents)?|direct|buffered|linear|stripe(8|16|32|64|128))(\.limited)?$ || ${2-} ]] &&
    [[ $1 =~ ^(ext4dax|direct|buffered|linear|stripe(8|16|32|64|128))(\.[a-z0-9-]+)*$ ]] ||
    usage "no stack is called $1 (ext4dax, ext4dax.extents, direct, buffered, linear, stripe8, 16, 32, 64 or 128, each also with .limited)"
  names+=("$1")
  [ -z "${2-}" ] || questions[$1]=$2
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
  -*) usage "no option is called $1" ;;
  *.jsonl)
    [ -s "$1" ] || usage "$1 is no file with cases"
    add "$(basename "$1" .jsonl)" "$1"
    ;;
  *) add "$1" ;;
  esac
  shift
done
[ ${#names[@]} -gt 0 ] || names=(ext4dax direct buffered)

mkdir -p "$out" "$lab"
shared=$(mktemp -d "$lab/record.XXXXXX")
trap 'rm -rf "$shared"' EXIT
for name in "${!questions[@]}"; do cp "${questions[$name]}" "$shared/$name.ask"; done
echo "seed $seed"
echo "exec sh /record-stacks $seed $cases ${names[*]}" | "$here/boot.sh" - "$shared" || fail "the recording failed"

operations=0
for name in "${names[@]}"; do
  trace=$shared/$name.jsonl wanted=$cases
  [ -e "$trace" ] || fail "$name was not recorded"
  [ ! -e "$shared/$name.ask" ] || wanted=$(wc -l <"$shared/$name.ask")
  [ "$(grep -c ']}$' "$trace")" -eq "$wanted" ] && [ "$(wc -l <"$trace")" -eq "$wanted" ] || fail "the trace of $name is truncated"
  count=$(grep -o '"op":' "$trace" | wc -l)
  operations=$((operations + count))
  mv "$trace" "$out/"
  echo "$out/$name.jsonl: $wanted cases, $count operations"
done
echo "$operations operations, seed $seed"
