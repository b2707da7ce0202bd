/** watch: lists of images, looked at again and again: what happened is told once, and nothing stands in anybody's way. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { openDevice } from "../../../src/device/index.ts";
import { nodeFiles, type HostFiles } from "../../../src/os/index.ts";
import {
  createPoisonStore,
  openPoisonStore,
  sidecarPath,
  type StateChange,
} from "../../../src/poison/index.ts";
import { watch, type StandingRepair } from "../../../src/rescue/index.ts";
import { removeTemporary } from "../support/tree.ts";
import {
  inject,
  ScriptClock,
  told,
  watchedImage,
  watchThrough,
  write,
  type Step,
} from "../support/watching.ts";

afterAll(removeTemporary);

const nothing: Step = () => undefined;

/** Changes the list of an image that nobody has open. */
function mark(path: string, changes: readonly StateChange[]): Step {
  return () => {
    const size = nodeFiles.info(path)?.size ?? 0;
    const store = openPoisonStore(nodeFiles, { path: sidecarPath(path), size, access: "write" });
    store.mark(changes);
    store.sync();
    store.close();
  };
}

describe("watch()", () => {
  test("watch() tells what went bad and what was healed, with the file", async () => {
    const { path, at } = await watchedImage();
    const events = await watchThrough([path], [inject(path, at), nothing, write(path, at)]);
    expect(told(events)).toEqual([
      "watching",
      `appeared ${at}+512 poisoned /docs/report.txt`,
      `healed ${at}+512 poisoned /docs/report.txt`,
    ]);
    expect(events.map(({ number, target }) => [number, target])).toEqual([
      [1, path],
      [2, path],
      [3, path],
    ]);
    expect(events[1]?.totals?.poisoned).toBe(512);
    expect(events[1]?.time).toBe("2026-01-01T00:00:10.000Z");
  });

  test("watch() begins with what is bad already", async () => {
    const { path, at } = await watchedImage();
    await inject(path, at)();
    const [first] = await watchThrough([path], []);
    expect(first).toMatchObject({ change: "watching", bytes: 512, files: ["/docs/report.txt"] });
  });

  test("watch() tells what is lost now and was poisoned", async () => {
    const { path, at } = await watchedImage();
    await inject(path, at)();
    const lose = mark(path, [{ offset: at, length: 512, state: "lost" }]);
    const events = await watchThrough([path], [lose]);
    expect(told(events).at(-1)).toBe(`changed ${at}+512 lost /docs/report.txt`);
    expect(events.at(-1)?.ranges[0]?.was).toBe("poisoned");
  });

  test("watch() asks no file system where owners are not wanted", async () => {
    const { path, at } = await watchedImage();
    const events = await watchThrough([path], [inject(path, at)], { owners: false });
    expect(told(events).at(-1)).toBe(`appeared ${at}+512 poisoned`);
  });

  test("watch() tells that a target is gone, once, and that it is back", async () => {
    const { path, at } = await watchedImage();
    const away = (): void => renameSync(path, `${path}.away`);
    const back = (): void => renameSync(`${path}.away`, path);
    const events = await watchThrough([path], [away, nothing, back, inject(path, at)]);
    expect(told(events)).toEqual([
      "watching",
      "gone",
      "returned",
      `appeared ${at}+512 poisoned /docs/report.txt`,
    ]);
    expect(events[1]?.why).toMatch(/ENOENT/);
  });

  test("watch() waits for a target that is not there yet", async () => {
    const { path, folder } = await watchedImage();
    const late = `${folder}/late.img`;
    const events = await watchThrough([late], [() => writeFileSync(late, readFileSync(path))]);
    expect(told(events)).toEqual(["gone", "returned"]);
  });

  test("watch() locks nothing, and waits for no lock", async () => {
    const { path, at } = await watchedImage();
    const device = openDevice(path, { access: "write" });
    const events = await watchThrough([path], [() => device.write(new Uint8Array(512), at)]);
    device.close();
    expect(told(events)).toEqual(["watching"]);
  });

  test("watch() opens nothing where nothing changed", async () => {
    const { path } = await watchedImage();
    const opened: string[] = [];
    const files: HostFiles = {
      ...nodeFiles,
      open(name) {
        opened.push(name);
        return nodeFiles.open(name);
      },
    };
    let atFirst = 0;
    const remember = (): void => void (atFirst = opened.length);
    await watchThrough([path], [remember, nothing, nothing], { files });
    expect(atFirst).toBeGreaterThan(0);
    expect(opened.length).toBe(atFirst);
    expect(new Set(opened)).toEqual(new Set([sidecarPath(path)]));
  });

  test("watch() makes no event before the one before was taken", async () => {
    const { path, at } = await watchedImage();
    const clock = new ScriptClock([inject(path, at)]);
    const events = watch([path], { clock, signal: clock.abort.signal });
    await events.next();
    await inject(path, at + 4096)();
    const next = await events.next();
    // both changes happened before the look: one event, and nothing waits anywhere
    expect(next.value?.bytes).toBe(1024);
  });

  test("watch() shows the first thousand ranges, and counts them all", async () => {
    const { path } = await watchedImage();
    const changes = Array.from({ length: 3000 }, (_, index): StateChange => ({
      offset: index * 1024,
      length: 512,
      state: "poisoned",
    }));
    const events = await watchThrough([path], [mark(path, changes)], { owners: false });
    expect(events.at(-1)).toMatchObject({ bytes: 3000 * 512, rangeCount: 3000 });
    expect(events.at(-1)?.ranges.length).toBe(1000);
  });

  test("watch() ends between two events when it is told to", async () => {
    const { path, at } = await watchedImage();
    await inject(path, at)();
    const abort = new AbortController();
    const events = watch([path, `${path}.none`], { signal: abort.signal });
    await events.next();
    abort.abort();
    expect((await events.next()).done).toBe(true);
  });
});

describe("watch() and a list that is damaged, or between two steps", () => {
  test("watch() says that a list cannot be read, and heals nothing by it", async () => {
    const { path, at } = await watchedImage();
    await inject(path, at)();
    const good = readFileSync(sidecarPath(path));
    const bad = Buffer.from(good);
    bad.fill(0xff, 0, 64);
    const events = await watchThrough(
      [path],
      [
        () => writeFileSync(sidecarPath(path), bad),
        nothing,
        nothing,
        () => writeFileSync(sidecarPath(path), good),
      ],
    );
    expect(told(events)).toEqual([
      `watching ${at}+512 poisoned /docs/report.txt`,
      "failed (list)",
      "recovered (list)",
    ]);
  });

  test("watch() believes an open intent only when it saw it twice: no writer is at work, a crash left it", async () => {
    const { path, at } = await watchedImage();
    const size = nodeFiles.info(path)?.size ?? 0;
    rmSync(sidecarPath(path));
    const store = createPoisonStore(nodeFiles, { path: sidecarPath(path), size });
    const range = { offset: at, length: 512 };
    store.mark([{ ...range, state: "poisoned" }]);
    store.sync();
    const begin = (): number => store.beginIntent({ lost: [range], keep: [] });
    let intent = 0;
    const events = await watchThrough(
      [path],
      [
        () => (intent = begin()),
        () => store.endIntent(intent, [{ ...range, state: "poisoned" }]),
        begin,
        nothing,
      ],
      { owners: false },
    );
    store.close();
    expect(told(events)).toEqual([`watching ${at}+512 poisoned`, `changed ${at}+512 lost`]);
  });
});

describe("watch() with a standing repair", () => {
  test("watch() repairs what went bad, and tells that it is healed", async () => {
    const { path, at } = await watchedImage();
    const repair = async (): Promise<StandingRepair> => {
      await write(path, at)();
      return { kind: "repaired", bytes: 512, why: "repaired 512" };
    };
    expect(told(await watchThrough([path], [inject(path, at)], { repair }))).toEqual([
      "watching",
      `appeared ${at}+512 poisoned /docs/report.txt`,
      "repaired",
      `healed ${at}+512 poisoned /docs/report.txt`,
    ]);
  });

  test("watch() repairs a list once, tries a held target again, and all after an hour", async () => {
    const { path, at } = await watchedImage();
    await inject(path, at)();
    let calls = 0;
    const repair = async (): Promise<StandingRepair> => {
      calls += 1;
      return { kind: calls === 1 ? "later" : "refused", why: "no donor has it" };
    };
    const hour = Array.from({ length: 361 }, () => nothing);
    const events = await watchThrough([path], hour, { repair });
    expect(calls).toBe(3);
    expect(told(events).slice(1)).toEqual(["refused", "refused"]);
  });

  test("watch() repairs again what went bad while it was repairing", async () => {
    const { path, at } = await watchedImage();
    await inject(path, at)();
    let calls = 0;
    const repair = async (): Promise<StandingRepair> => {
      calls += 1;
      if (calls === 1) await inject(path, at + 512)();
      return { kind: "refused", why: "failed 512" };
    };
    const events = await watchThrough([path], [nothing, nothing, nothing], { repair });
    expect(calls).toBe(2);
    expect(events.map(({ change }) => change)).toEqual([
      "watching",
      "refused",
      "appeared",
      "refused",
    ]);
  });

  test("watch() repairs nothing where nothing is bad", async () => {
    const { path } = await watchedImage();
    let calls = 0;
    const repair = async (): Promise<StandingRepair> => {
      calls += 1;
      return { kind: "refused", why: "" };
    };
    await watchThrough([path], [nothing], { repair });
    expect(calls).toBe(0);
  });
});
