/**
 * unlockedFiles: the machine's files, read and never locked: who only looks, every few seconds, must not stand in the way of who works.
 *
 * A list is read beside its writer safely: its log only grows, each frame has a checksum, and a new log comes by rename. A frame that is half written is a torn
 * tail, which a reader leaves aside. Nothing is written: an opening for writing is refused.
 */
import { assert } from "../base/index.ts";
import { nodeFiles, type HostFiles } from "../os/index.ts";

/** Files without locks. */
export const unlockedFiles: HostFiles = {
  ...nodeFiles,
  open(path, { access = "read" } = {}) {
    assert(access === "read", `${path}: want no opening for writing without a lock`);
    return nodeFiles.open(path);
  },
};
