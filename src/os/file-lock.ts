/**
 * file-lock: who may use an image, between processes: flock(2), and a lock file where that cannot be had.
 *
 * flock belongs to the open file, so a second open in the same process is refused too, and the kernel drops it when a
 * process dies. The lock file `PATH.lock` holds a pid; one whose process is gone is taken over. It is the weaker way: a
 * writer there does not see readers, because readers leave no file.
 */
import { closeSync, fstatSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { StorageError } from "../base/index.ts";
import { native } from "./native.ts";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
/** EWOULDBLOCK on Linux, and on Darwin and the BSDs. */
const WOULD_BLOCK = new Set([11, 35]);

/**
 * Locks an open file, without waiting.
 *
 * @returns the call that drops the lock, to be made before the descriptor is closed
 * @throws {StorageError} EBUSY if another open file holds it: the message names the file and, where known, the pid
 */
export function lockFile(fd: number, path: string, kind: "shared" | "exclusive"): () => void {
  const calls = native();
  if (calls === undefined) return lockByFile(path, kind);
  const done = calls.flock(fd, (kind === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB);
  // A flock is the open file's, which a mapping keeps open behind close(2): so it is dropped by name.
  if (done === 0) return () => void calls.flock(fd, LOCK_UN);
  if (!WOULD_BLOCK.has(calls.errno())) return lockByFile(path, kind);
  throw busy(path, holderOf(fd));
}

function busy(path: string, pid: number | undefined): StorageError {
  const who =
    pid === undefined ? "another process" : pid === process.pid ? "this process" : `process ${pid}`;
  return new StorageError("EBUSY", `Cannot lock ${path}: ${who} has it open`, {
    syscall: "flock",
    path,
  });
}

/** The pid that holds a flock on the file, as /proc/locks tells it; `undefined` where it does not. */
function holderOf(fd: number): number | undefined {
  try {
    const inode = String(fstatSync(fd, { bigint: true }).ino);
    return parseLocks(readFileSync("/proc/locks", "latin1"), inode);
  } catch {
    return undefined;
  }
}

/**
 * Finds the holder in the text of /proc/locks (proc(5)): `1: FLOCK  ADVISORY  WRITE 4242 08:01:131 0 EOF`.
 * The device is not compared: overlay and btrfs give another number there than stat(2) does.
 */
export function parseLocks(text: string, inode: string): number | undefined {
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (fields[1] !== "FLOCK" || fields[5]?.split(":")[2] !== inode) continue;
    const pid = Number(fields[4]);
    if (Number.isSafeInteger(pid) && pid > 0) return pid;
  }
  return undefined;
}

/**
 * Locks by a file beside it, where flock cannot be had.
 *
 * @returns the call that drops the lock
 * @throws {StorageError} EBUSY if a living process holds it
 */
export function lockByFile(path: string, kind: "shared" | "exclusive"): () => void {
  const lockPath = `${path}.lock`;
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const holder = livingHolder(lockPath);
    if (holder !== undefined) throw busy(path, holder);
    if (kind === "shared") return () => undefined;
    if (createLock(lockPath)) return () => rmSync(lockPath, { force: true });
  }
  throw busy(path, undefined);
}

/** The pid in a lock file whose process lives; a file whose process is gone is removed. */
function livingHolder(lockPath: string): number | undefined {
  let pid: number;
  try {
    pid = Number.parseInt(readFileSync(lockPath, "latin1"), 10);
  } catch {
    return undefined;
  }
  if (Number.isSafeInteger(pid) && pid > 0 && isAlive(pid)) return pid;
  rmSync(lockPath, { force: true });
  return undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function createLock(lockPath: string): boolean {
  try {
    const fd = openSync(lockPath, "wx");
    writeSync(fd, `${process.pid}\n`);
    closeSync(fd);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
