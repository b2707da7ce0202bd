/** watching: a device and a file of emulated persistent memory, watched by the project in the guest while they are poisoned, healed, and taken away. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PAGE, RangeSet, SECTOR, type Prng } from "../../src/base/index.ts";
import type { WatchEvent } from "../../src/rescue/index.ts";
import type { Checks } from "./checks.ts";
import { bootRuntime } from "./runtime.ts";
import { Told } from "./told.ts";

const BOOK = 41 * PAGE + 1907;

/** What the guest left of watching. */
class Watched extends Told {
  /** Checks the exit code of the program itself: this one, and no other. */
  override ended(name: string, code: number): void {
    const status = this.text(`${name}.status`);
    this.checks.is(`${name}: ends with ${code}`, status === String(code), `exit ${status}`);
  }

  events(name: string): readonly WatchEvent[] {
    return this.text(`${name}.events`)
      .split("\n")
      .map((line) => JSON.parse(line) as WatchEvent);
  }

  /** Checks that events came of these bytes, all in all, and of this file. */
  told(name: string, wanted: { change: string; target: string; at: number; file?: string }): void {
    const { change, target, at, file } = wanted;
    const found = this.events(name).filter(
      (event) => event.change === change && event.target === target,
    );
    const all = RangeSet.from(found.flatMap(({ ranges }) => ranges));
    const shown = Array.from(all, ({ offset, length }) => [offset, length]);
    this.checks.is(
      `${name}: ${change} on ${target}, these bytes`,
      JSON.stringify(shown) === JSON.stringify([[at, PAGE]]),
      JSON.stringify(this.events(name)).slice(0, 1500),
    );
    if (file === undefined) return;
    this.checks.is(
      `${name}: ${change} on ${target}, this file`,
      found[0]?.files.join() === file,
      found[0]?.files.join() ?? "none",
    );
  }
}

/** Boots once, watches, and checks. @param on the project's root, a folder of our own, and the disk with the runtime */
export function checkWatching(
  checks: Checks,
  prng: Prng,
  on: { readonly root: string; readonly folder: string; readonly disk: string },
): void {
  const shared = join(on.folder, "watching");
  mkdirSync(shared);
  writeFileSync(join(shared, "book"), prng.bytes(BOOK));
  bootRuntime("live/watch.sh", { ...on, shared });
  const watched = new Watched(shared, checks);
  const device = `/dev/${watched.text("pmem.name")}`;
  const file = "/tmp/data/book";
  const at = Number(watched.text("told.sector")) * SECTOR;
  watched.told("told", { change: "appeared", target: device, at, file: "/book" });
  // right after a repair the journal of the mounted file system may hide whose the bytes are: that is said, and not guessed
  watched.told("told", { change: "healed", target: device, at });
  for (const change of ["appeared", "healed"])
    watched.told("told", { change, target: file, at: 3 * PAGE, file });
  watched.ended("told", 0);
  watched.ended("scrub", 1);
  checks.is(
    "list: the kernel's list in bytes",
    watched.text("list.json").includes(`{"offset":${at},"length":${PAGE},"state":"poisoned"}`),
    watched.text("list.json"),
  );
  const poisoned = (target: string): string =>
    `theriac_target_bytes{target="${target}",state="poisoned"} ${PAGE}\n`;
  checks.is(
    "figures: both targets",
    [device, file].every((target) => `${watched.text("bad.prom")}\n`.includes(poisoned(target))),
    watched.text("bad.prom"),
  );
  watched.ended("repair", 0);
  watched.told("healing", { change: "appeared", target: file, at: 5 * PAGE, file });
  watched.told("healing", { change: "healed", target: file, at: 5 * PAGE, file });
  const repaired = watched.events("healing").filter(({ change }) => change === "repaired");
  checks.is("healing: repaired by itself", repaired.length > 0, watched.text("healing.events"));
  watched.ended("healing", 0);
  checks.is("healing: the kernel's list is empty", watched.text("after.list") === "");
  watched.ended("equal", 0);
  const going = watched.events("going").map(({ change }) => change);
  checks.is("going: gone and back", going.join() === "watching,gone,returned", going.join());
  watched.ended("going", 0);
}
