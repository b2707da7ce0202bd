/** The store beside an image: what it promises, one behaviour at a time. The crash sweep is in sidecar-crash.test.ts. */
import { describe, expect, test } from "vitest";
import { StorageError } from "../../src/base/index.ts";
import {
  createMemoryStore,
  createPoisonStore,
  openPoisonStore,
  sidecarPath,
  type PoisonStore,
} from "../../src/poison/index.ts";
import { createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";

const SIZE = 1024 * 1024;
const PATH = sidecarPath("/images/disk");

function states(store: PoisonStore): string {
  return Array.from(store.list.states({ offset: 0, length: store.list.size }))
    .filter((part) => part.state !== "unread")
    .map((part) => `${part.state}@${part.offset}+${part.length}`)
    .join(" ");
}

function create(files: CrashFiles = createCrashFiles(), settings = {}): PoisonStore {
  return createPoisonStore(files, { path: PATH, size: SIZE, settings });
}

function reopen(files: CrashFiles, access: "read" | "write" = "write"): PoisonStore {
  return openPoisonStore(files, { path: PATH, size: SIZE, access });
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof StorageError) return error.code;
    throw error;
  }
  return "no error";
}

describe("createPoisonStore()", () => {
  test("keeps settings, uuid and generation over close and open", () => {
    const files = createCrashFiles();
    const store = create(files, { poisonUnit: 64, clear: "atomic" });
    store.bumpGeneration();
    store.bumpGeneration();
    store.close();
    const again = reopen(files);
    expect(again.settings).toEqual({ poisonUnit: 64, clear: "atomic" });
    expect(again.uuid).toBe(store.uuid);
    expect(again.generation).toBe(1);
    again.bumpGeneration();
    expect(again.generation).toBe(2);
  });

  test("refuses a name that is taken", () => {
    const files = createCrashFiles();
    create(files).close();
    expect(codeOf(() => create(files))).toBe("EEXIST");
  });

  test("is durable on return", () => {
    const files = createCrashFiles();
    create(files);
    expect(states(reopen(files.crash("nothing")))).toBe("");
  });
});

describe("mark()", () => {
  test("is in the list at once and durable after sync", () => {
    const files = createCrashFiles();
    const store = create(files);
    store.mark([
      { offset: 0, length: 512, state: "clean" },
      { offset: 512, length: 64, state: "poisoned" },
    ]);
    expect(states(store)).toBe("clean@0+512 poisoned@512+64");
    expect(states(reopen(files.crash("nothing")))).toBe("");
    store.sync();
    expect(states(reopen(files.crash("nothing")))).toBe("clean@0+512 poisoned@512+64");
  });

  test("R3: leaves bytes of an open intent lost", () => {
    const files = createCrashFiles();
    const store = create(files);
    const id = store.beginIntent({ lost: [{ offset: 100, length: 50 }], keep: [] });
    store.mark([{ offset: 0, length: 200, state: "clean" }]);
    expect(states(store)).toBe("clean@0+100 lost@100+50 clean@150+50");
    store.sync();
    expect(states(reopen(files.crash("nothing")))).toBe("clean@0+100 lost@100+50 clean@150+50");
    store.endIntent(id, [{ offset: 100, length: 50, state: "clean" }]);
    expect(states(store)).toBe("clean@0+200");
  });

  test("refuses a range past the device and changes nothing", () => {
    const store = create();
    expect(() =>
      store.mark([
        { offset: 0, length: 10, state: "clean" },
        { offset: SIZE, length: 1, state: "lost" },
      ]),
    ).toThrow(RangeError);
    expect(states(store)).toBe("");
  });
});

describe("beginIntent()", () => {
  test("R3: is durable on return, with its neighbours' bytes", () => {
    const files = createCrashFiles();
    const store = create(files);
    const data = Uint8Array.of(1, 2, 3);
    store.beginIntent({ lost: [{ offset: 512, length: 64 }], keep: [{ offset: 576, data }] });
    data.fill(9);
    const world = files.crash("nothing");
    const again = reopen(world);
    expect(states(again)).toBe("lost@512+64");
    expect(again.openIntents).toEqual([
      {
        id: 1,
        intent: {
          lost: [{ offset: 512, length: 64 }],
          keep: [{ offset: 576, data: Uint8Array.of(1, 2, 3) }],
        },
      },
    ]);
    again.endIntent(1, [{ offset: 512, length: 64, state: "poisoned" }]);
    again.close();
    const last = reopen(world);
    expect(last.openIntents).toEqual([]);
    expect(states(last)).toBe("poisoned@512+64");
  });

  test("keeps touching pieces apart", () => {
    const files = createCrashFiles();
    const keep = [0, 1, 2].map((at) => ({ offset: at, data: Uint8Array.of(at) }));
    create(files).beginIntent({ lost: [{ offset: 3, length: 1 }], keep });
    expect(reopen(files.crash("nothing")).openIntents[0]?.intent.keep).toEqual(keep);
  });

  test("over bytes of an open intent takes them from it", () => {
    const files = createCrashFiles();
    const store = create(files);
    const first = store.beginIntent({ lost: [{ offset: 0, length: 100 }], keep: [] });
    const second = store.beginIntent({ lost: [{ offset: 50, length: 100 }], keep: [] });
    store.endIntent(first, [{ offset: 0, length: 100, state: "clean" }]);
    expect(states(store)).toBe("clean@0+50 lost@50+100");
    expect(states(reopen(files.crash("nothing")))).toBe("clean@0+50 lost@50+100");
    store.endIntent(second, [{ offset: 50, length: 100, state: "clean" }]);
    expect(states(store)).toBe("clean@0+150");
  });

  test("refuses the 257th open one", () => {
    const store = createMemoryStore({ size: SIZE });
    const begin = (): number => store.beginIntent({ lost: [], keep: [] });
    for (let count = 0; count < 256; count += 1) begin();
    expect(begin).toThrow(RangeError);
  });
});

describe("openPoisonStore()", () => {
  test("refuses an image of another size", () => {
    const files = createCrashFiles();
    create(files).close();
    expect(codeOf(() => openPoisonStore(files, { path: PATH, size: SIZE - 1 }))).toBe("ESTALE");
  });

  test("locks alone for writing, shared for reading", () => {
    const files = createCrashFiles();
    const store = create(files);
    expect(codeOf(() => reopen(files, "write"))).toBe("EBUSY");
    expect(codeOf(() => reopen(files, "read"))).toBe("EBUSY");
    store.close();
    const reader = reopen(files, "read");
    reopen(files, "read").close();
    expect(codeOf(() => reopen(files, "write"))).toBe("EBUSY");
    reader.close();
    reopen(files, "write").close();
  });

  test("for reading: shows an open intent as lost, forgets marks, refuses intents", () => {
    const files = createCrashFiles();
    create(files).beginIntent({ lost: [{ offset: 0, length: 64 }], keep: [] });
    const world = files.crash("nothing");
    const before = world.operations;
    const store = reopen(world, "read");
    store.mark([{ offset: 64, length: 64, state: "poisoned" }]);
    expect(states(store)).toBe("lost@0+64 poisoned@64+64");
    store.sync();
    expect(codeOf(() => store.beginIntent({ lost: [], keep: [] }))).toBe("EACCES");
    expect(codeOf(() => store.endIntent(1, []))).toBe("EACCES");
    store.close();
    expect(world.operations).toBe(before);
    expect(states(reopen(world))).toBe("lost@0+64");
  });
});

describe("a failing disk", () => {
  test("R4: a failed sync fails the store for good, and loses nothing that was durable", () => {
    const files = createCrashFiles();
    const store = create(files);
    store.mark([{ offset: 0, length: 64, state: "poisoned" }]);
    store.sync();
    store.mark([{ offset: 0, length: 64, state: "lost" }]);
    files.failAt(files.operations + 2, "EIO");
    expect(codeOf(() => store.sync())).toBe("EIO");
    for (const act of [
      () => store.mark([]),
      () => store.sync(),
      () => store.beginIntent({ lost: [], keep: [] }),
      () => store.setFault({ offset: 0, length: 1, kind: "poison", on: true }),
      () => store.bumpGeneration(),
      () => store.close(),
    ]) {
      expect(codeOf(act)).toBe("EIO");
    }
    store.close();
    expect(states(reopen(files.crash("nothing")))).toBe("poisoned@0+64");
  });

  test("a full disk changes neither memory nor file, and the store goes on when there is room", () => {
    const files = createCrashFiles();
    const store = create(files);
    files.capacity = 4096;
    const keep = [{ offset: 0, data: new Uint8Array(8192) }];
    const intent = { lost: [{ offset: 8192, length: 64 }], keep };
    expect(codeOf(() => store.beginIntent(intent))).toBe("ENOSPC");
    expect(store.openIntents).toEqual([]);
    expect(states(store)).toBe("");
    for (const how of ["nothing", "everything"] as const) {
      expect(reopen(files.crash(how)).openIntents).toEqual([]);
    }
    files.capacity = Infinity;
    store.beginIntent(intent);
    expect(states(reopen(files.crash("nothing")))).toBe("lost@8192+64");
  });
});

describe("more marks than the store keeps waiting", () => {
  test("are written as the whole state, and a full disk leaves the old one", () => {
    const files = createCrashFiles();
    const count = 1_100_000;
    const size = count * 128;
    const store = createPoisonStore(files, { path: PATH, size, settings: { a: 1 } });
    store.mark([{ offset: 64, length: 64, state: "lost" }]);
    store.setFault({ offset: 0, length: 64, kind: "slow", on: true });
    store.sync();
    const changes = Array.from({ length: count }, (_, index) => index * 128);
    store.mark(changes.map((offset) => ({ offset, length: 64, state: "poisoned" })));
    files.capacity = 1024 * 1024;
    expect(codeOf(() => store.sync())).toBe("ENOSPC");
    const before = openPoisonStore(files.crash("everything"), { path: PATH, size });
    expect(before.list.totals()).toMatchObject({ poisoned: 0, lost: 64 });
    files.capacity = Infinity;
    const id = store.beginIntent({ lost: [{ offset: 0, length: 64 }], keep: [] });
    const after = openPoisonStore(files.crash("nothing"), { path: PATH, size });
    expect(after.list.totals()).toMatchObject({ poisoned: (count - 1) * 64, lost: 128 });
    expect(after.openIntents.map((open) => open.id)).toEqual([id]);
    expect([...after.faults()]).toEqual([{ offset: 0, length: 64, kind: "slow", on: true }]);
    expect(after.settings).toEqual({ a: 1 });
  });
});

describe("setFault()", () => {
  test("turns faults on and off, each kind by itself, durable after sync", () => {
    const files = createCrashFiles();
    const store = create(files);
    store.setFault({ offset: 0, length: 512, kind: "poison", on: true });
    store.setFault({ offset: 0, length: 512, kind: "refuses", on: true });
    store.setFault({ offset: 128, length: 64, kind: "poison", on: false });
    store.sync();
    expect([...reopen(files.crash("nothing")).faults()]).toEqual([
      { offset: 0, length: 128, kind: "poison", on: true },
      { offset: 192, length: 320, kind: "poison", on: true },
      { offset: 0, length: 512, kind: "refuses", on: true },
    ]);
  });
});

describe("a log that another process wrote anew", () => {
  test("is opened again, because the lock was taken on the old file", () => {
    const files = createCrashFiles();
    create(files).close();
    let replaced = false;
    const racing = {
      open: (...args: Parameters<CrashFiles["open"]>) => {
        const file = files.open(...args);
        if (!replaced && args[1]?.lock !== undefined) {
          replaced = true;
          files.rename(PATH, "/images/old");
          create(files).close();
        }
        return file;
      },
      info: (path: string) => files.info(path),
      rename: (from: string, to: string) => files.rename(from, to),
      remove: (path: string) => files.remove(path),
      syncDirectoryOf: (path: string) => files.syncDirectoryOf(path),
    };
    const store = openPoisonStore(racing, { path: PATH, size: SIZE, access: "write" });
    expect(replaced).toBe(true);
    expect(codeOf(() => reopen(files))).toBe("EBUSY");
    store.mark([{ offset: 0, length: 64, state: "poisoned" }]);
    store.close();
    expect(states(reopen(files))).toBe("poisoned@0+64");
  });
});

describe("createMemoryStore()", () => {
  test("keeps the same promises in memory", () => {
    const store = createMemoryStore({ size: SIZE, settings: { a: 1 } });
    const id = store.beginIntent({ lost: [{ offset: 0, length: 64 }], keep: [] });
    expect(states(store)).toBe("lost@0+64");
    store.endIntent(id, [{ offset: 0, length: 64, state: "clean" }]);
    store.bumpGeneration();
    store.sync();
    expect(states(store)).toBe("clean@0+64");
    expect([store.generation, store.settings, store.openIntents]).toEqual([1, { a: 1 }, []]);
    store.close();
  });
});
