/**
 * Look: what a target's lists say at one moment.
 *
 * What can go wrong: the target is gone; it changes while it is looked at; a source fails while others answer; a writer is between two steps, so that a range is
 * lost for a moment; nothing changed at all, which must cost next to nothing. A look at an image reads its list and no lock; only what was the same twice is
 * believed where a list is damaged or holds open intents: a writer at work changes it again, a crash does not.
 */
import { StorageError } from "../../base/index.ts";
import { isNbdUri } from "../../device/index.ts";
import { isStackPath, openImage } from "../../mapper/index.ts";
import type { HostFiles } from "../../os/index.ts";
import {
  openPoisonStore,
  sidecarPath,
  type PoisonTotals,
  type PoisonView,
} from "../../poison/index.ts";
import { listedDevice, type ListedDevice } from "../lists/device-lists.ts";
import type { SourceAnswer } from "../lists/list-source.ts";
import { badOf, noneBad, type BadSets } from "./list-change.ts";
import { LiveLook } from "./live-look.ts";
import { unlockedFiles } from "../unlocked-files.ts";

/** One list of a target. */
export interface SeenList {
  readonly source: string;
  readonly bad: BadSets;
  /** Whether it says that it is cut off: what is behind its last range is then unknown. */
  readonly incomplete: boolean;
}

/** What a look came to. */
export type Look =
  | {
      readonly kind: "seen";
      /** Whether the ranges are those of one live file, and not of a device. @default false */
      readonly isFile?: boolean;
      /** Bytes of the target; 0 where nobody says. */
      readonly size: number;
      readonly lists: readonly SeenList[];
      /** Of an image, whose list knows what is clean. */
      readonly totals?: PoisonTotals;
      readonly failures: readonly { readonly source: string; readonly why: string }[];
      /** Sources that cannot say anything here. */
      readonly absent: readonly { readonly source: string; readonly why: string }[];
    }
  | { readonly kind: "gone"; readonly why: string }
  /** As at the look before. */
  | { readonly kind: "same" };

/** How targets are looked at. */
export interface LookOptions {
  /** What of a path is a device with lists. @throws StorageError where it is gone. @default what the machine says */
  readonly device?: (path: string) => ListedDevice | undefined;
  /** @default the machine's, unlocked */
  readonly files?: HostFiles;
  /** The list of an image as the server that holds it has it; `undefined` where none does. @default nobody is asked */
  readonly served?: (path: string) => Promise<PoisonView | undefined>;
  readonly signal?: AbortSignal;
}

/** Looks at one target, again and again. */
export class Looker {
  readonly path: string;
  readonly #options: LookOptions;
  readonly #files: HostFiles;
  readonly #live: LiveLook;
  /** The image and its list, when they were read last. */
  #stamp = "";
  /** The same when what was read was not believed. */
  #doubted = "";

  constructor(path: string, options: LookOptions = {}) {
    this.path = path;
    this.#options = options;
    this.#files = options.files ?? unlockedFiles;
    this.#live = new LiveLook(path);
  }

  /** Looks. Rejects with our own bugs only. */
  async look(): Promise<Look> {
    try {
      return await this.#look();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      // somebody is at work on it: it is there, and is looked at when he is done
      if (error.code === "EBUSY") return { kind: "same" };
      this.#stamp = "";
      return { kind: "gone", why: error.message };
    }
  }

  async #look(): Promise<Look> {
    if (isNbdUri(this.path) || isStackPath(this.path)) return await this.#opened();
    const { device = listedDevice, served, signal } = this.#options;
    const listed = device(this.path);
    if (listed !== undefined) {
      const answers: SourceAnswer[] = [];
      for (const source of listed.sources) answers.push(await source.read(signal));
      return seenDevice(listed.size, answers);
    }
    const view = await served?.(this.path);
    if (view !== undefined) {
      this.#stamp = "";
      return seenList(view);
    }
    const live = await this.#live.look();
    if (live === "same") return { kind: "same" };
    if (live === undefined) return this.#image();
    const list = { source: "kernel", bad: live.bad, incomplete: false };
    return { kind: "seen", ...live, lists: [list], failures: [], absent: [], isFile: true };
  }

  /** A stack or an export: it is opened, and asked. */
  async #opened(): Promise<Look> {
    const device = await openImage(this.path, { access: "read", files: this.#files });
    try {
      return seenList(device.poison, device.size);
    } finally {
      await device.close();
    }
  }

  #image(): Look {
    const files = this.#files;
    const info = files.info(this.path);
    if (info?.kind !== "file") {
      const why = info === undefined ? "there is no such file" : `want a file: got a ${info.kind}`;
      throw new StorageError("ENOENT", `Cannot look at ${this.path}: ${why}`);
    }
    const sidecar = sidecarPath(files.real?.(this.path) ?? this.path);
    const list = files.info(sidecar);
    const stamp = `${info.size} ${list?.size} ${list?.modifiedNs}`;
    if (stamp === this.#stamp) return { kind: "same" };
    const read = list === undefined ? nothingKnown(info.size) : this.#read(sidecar, info.size);
    if (read.isDoubtful && this.#doubted !== stamp) {
      this.#doubted = stamp;
      return { kind: "same" };
    }
    this.#stamp = stamp;
    return read.look;
  }

  #read(path: string, size: number): Read {
    try {
      const store = openPoisonStore(this.#files, { path, size });
      try {
        return { look: seenList(store.list), isDoubtful: store.openIntents.length > 0 };
      } finally {
        store.close();
      }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      const failures = [{ source: "list", why: error.message }];
      const look: Look = { kind: "seen", size, lists: [], failures, absent: [] };
      return { look, isDoubtful: true };
    }
  }
}

interface Read {
  readonly look: Look;
  readonly isDoubtful: boolean;
}

function nothingKnown(size: number): Read {
  const totals = { total: size, clean: 0, unread: size, poisoned: 0, lost: 0 };
  const list = { source: "list", bad: noneBad(), incomplete: false };
  return {
    look: { kind: "seen", size, lists: [list], totals, failures: [], absent: [] },
    isDoubtful: false,
  };
}

function seenList(view: PoisonView, size = view.size): Look {
  const list = { source: "list", bad: badOf(view), incomplete: false };
  return {
    kind: "seen",
    size,
    lists: [list],
    totals: view.totals(),
    failures: [],
    absent: [],
  };
}

function seenDevice(known: number, answers: readonly SourceAnswer[]): Look {
  let size = known;
  const lists: SeenList[] = [];
  const failures: { source: string; why: string }[] = [];
  const absent: { source: string; why: string }[] = [];
  for (const answer of answers) {
    const { source } = answer;
    if ("why" in answer) {
      (answer.absent ? absent : failures).push({ source, why: answer.why });
      continue;
    }
    size = answer.size ?? size;
    const bad = noneBad();
    for (const range of answer.ranges) bad.poisoned.add(range.offset, range.length);
    for (const range of answer.lost ?? []) bad.lost.add(range.offset, range.length);
    lists.push({ source, bad, incomplete: answer.incomplete });
  }
  return { kind: "seen", size, lists, failures, absent };
}
