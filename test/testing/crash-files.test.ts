/** The lying disk: that it loses what it may lose, keeps what it must keep, and repeats itself from a seed. */
import { describe, expect, test } from "vitest";
import { createPrng, StorageError } from "../../src/base/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const A = "/d/a";
const B = "/d/b";

function content(files: CrashFiles, path: string): string {
  if (files.info(path) === undefined) return "(none)";
  const file = files.open(path);
  const bytes = new Uint8Array(file.size());
  file.readSync(bytes, 0);
  file.close();
  return Buffer.from(bytes).toString("latin1").replaceAll("\0", ".");
}

function put(files: CrashFiles, path: string, text: string): void {
  const access = files.info(path) === undefined ? "create" : "write";
  const file = files.open(path, { access });
  file.writeSync(Buffer.from(text), 0);
  file.close();
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

/** Every content that many random crashes leave. */
function outcomes(files: CrashFiles, path: string): Set<string> {
  return new Set(
    Array.from({ length: 300 }, (_, index) => content(files.crash(createPrng(seed + index)), path)),
  );
}

describe("crash()", () => {
  test("loses a new file whose directory was not synced, though the file was", () => {
    const files = createCrashFiles();
    put(files, A, "data");
    const file = files.open(A, { access: "write" });
    file.sync();
    expect(content(files.crash("nothing"), A)).toBe("(none)");
    files.syncDirectoryOf(A);
    expect(content(files.crash("nothing"), A)).toBe("data");
  });

  test("loses the content of a new file that was not synced, though its name was", () => {
    const files = createCrashFiles();
    put(files, A, "data");
    files.syncDirectoryOf(A);
    expect(content(files.crash("nothing"), A)).toBe("");
    expect(content(files.crash("everything"), A)).toBe("data");
  });

  test("a rename leads to the old file or the new one, never to neither", () => {
    const files = createCrashFiles();
    put(files, A, "old");
    put(files, B, "new");
    files.settle();
    files.rename(B, A);
    expect(content(files, B)).toBe("(none)");
    expect(content(files.crash("nothing"), A)).toBe("old");
    expect(content(files.crash("nothing"), B)).toBe("new");
    expect(outcomes(files, A)).toEqual(new Set(["old", "new"]));
    files.syncDirectoryOf(A);
    expect(content(files.crash("nothing"), A)).toBe("new");
    expect(content(files.crash("nothing"), B)).toBe("(none)");
  });

  test("a removal comes back until its directory is synced", () => {
    const files = createCrashFiles();
    put(files, A, "old");
    files.settle();
    files.remove(A);
    expect(content(files, A)).toBe("(none)");
    expect(outcomes(files, A)).toEqual(new Set(["old", "(none)"]));
    files.syncDirectoryOf(A);
    expect(outcomes(files, A)).toEqual(new Set(["(none)"]));
  });

  test(`leaves any subset of unsynced writes, and tears them at sectors only (SEED=${seed})`, () => {
    const files = createCrashFiles();
    const file = files.open(A, { access: "create" });
    file.writeSync(new Uint8Array(2048).fill(0x61), 0);
    files.settle();
    file.writeSync(new Uint8Array(1024).fill(0x62), 256);
    file.writeSync(new Uint8Array(512).fill(0x63), 1536);
    const seen = new Set<string>();
    for (const bytes of outcomes(files, A)) {
      const pieces = [
        bytes.slice(256, 512),
        bytes.slice(512, 1024),
        bytes.slice(1024, 1280),
        bytes.slice(1536),
      ];
      for (const piece of pieces) expect(new Set(piece).size).toBe(1);
      expect(`${bytes.slice(0, 256)}${bytes.slice(1280, 1536)}`).toBe("a".repeat(512));
      seen.add(pieces.map((piece) => piece[0]).join(""));
    }
    expect(seen).toContain("aaaa");
    expect(seen).toContain("bbbc");
    expect(seen).toContain("babc");
    expect(seen).toContain("aaac");
    expect(seen.size).toBe(16);
  });

  test("may leave a file grown over sectors that never came", () => {
    const files = createCrashFiles();
    const file = files.open(A, { access: "create" });
    files.settle();
    file.writeSync(new Uint8Array(1024).fill(0x62), 0);
    const seen = outcomes(files, A);
    expect(seen).toContain("");
    expect(seen).toContain(`${".".repeat(512)}${"b".repeat(512)}`);
    expect(seen).toContain(`${"b".repeat(512)}${".".repeat(512)}`);
  });

  test("leaves this world as it is, and the same world from the same seed", () => {
    const files = createCrashFiles();
    put(files, A, "x".repeat(5000));
    files.syncDirectoryOf(A);
    const [one, other] = [0, 0].map(() => content(files.crash(createPrng(seed)), A));
    expect(one).toBe(other);
    put(files.crash("everything"), A, "changed");
    expect(content(files, A)).toBe("x".repeat(5000));
  });
});

describe("sync()", () => {
  test("that failed dooms what came before it, whatever is synced later", () => {
    const files = createCrashFiles();
    const file = files.open(A, { access: "create" });
    files.settle();
    file.writeSync(Buffer.from("one"), 0);
    files.failAt(files.operations + 1);
    expect(codeOf(() => file.sync())).toBe("EIO");
    file.writeSync(Buffer.from("two"), 512);
    file.sync();
    expect(content(files, A).slice(0, 3)).toBe("one");
    const left = content(files.crash("nothing"), A);
    expect([left.slice(0, 3), left.slice(512)]).toEqual(["...", "two"]);
    file.writeSync(Buffer.from("one"), 0);
    file.sync();
    expect(content(files.crash("nothing"), A).slice(0, 3)).toBe("one");
  });
});

describe("crashAt()", () => {
  test("stops the world in that operation and for good", () => {
    const files = createCrashFiles();
    put(files, A, "data");
    files.settle();
    const file = files.open(A, { access: "write" });
    files.crashAt(files.operations + 2);
    file.writeSync(Buffer.from("DATA"), 0);
    expect(() => file.sync()).toThrow(CrashError);
    for (const act of [
      () => file.size(),
      () => files.info(A),
      () => files.open(A),
      () => files.paths(),
    ]) {
      expect(act).toThrow(CrashError);
    }
    expect(files.crashed).toBe(true);
    expect(outcomes(files, A)).toEqual(new Set(["data", "DATA"]));
  });
});

describe("failAt() and capacity", () => {
  test("a failing write may store a part", () => {
    const files = createCrashFiles({ seed });
    const file = files.open(A, { access: "create" });
    files.failAt(files.operations + 1, "ENOSPC");
    expect(codeOf(() => file.writeSync(Buffer.from("abcdef"), 0))).toBe("ENOSPC");
    expect("abcdef".startsWith(content(files, A))).toBe(true);
    file.writeSync(Buffer.from("abcdef"), 0);
    expect(content(files, A)).toBe("abcdef");
  });

  test("a full disk stays full until something is removed", () => {
    const files = createCrashFiles({ capacity: 8192 });
    put(files, A, "x".repeat(8192));
    expect(codeOf(() => put(files, B, "y"))).toBe("ENOSPC");
    expect(codeOf(() => put(files, A, "z".repeat(8192)))).toBe("no error");
    files.remove(A);
    put(files, B, "y");
  });
});

describe("open()", () => {
  test("locks as flock does", () => {
    const files = createCrashFiles();
    const writer = files.open(A, { access: "create", lock: "exclusive" });
    expect(codeOf(() => files.open(A, { lock: "shared" }))).toBe("EBUSY");
    expect(codeOf(() => files.open(A))).toBe("no error");
    writer.close();
    writer.close();
    const readers = [files.open(A, { lock: "shared" }), files.open(A, { lock: "shared" })];
    expect(codeOf(() => files.open(A, { access: "write", lock: "exclusive" }))).toBe("EBUSY");
    for (const reader of readers) reader.close();
    files.open(A, { access: "write", lock: "exclusive" });
    expect(codeOf(() => files.crash("everything").info(A))).toBe("no error");
  });

  test("names what is missing, and what is there already", () => {
    const files = createCrashFiles();
    expect(codeOf(() => files.open(A))).toBe("ENOENT");
    put(files, A, "");
    expect(codeOf(() => files.open(A, { access: "create" }))).toBe("EEXIST");
    expect(codeOf(() => files.rename(B, A))).toBe("ENOENT");
    expect(codeOf(() => files.remove(B))).toBe("no error");
  });

  test("a closed file is not used: that is a bug of the caller", () => {
    const files = createCrashFiles();
    const file = files.open(A, { access: "create" });
    file.close();
    expect(() => file.size()).toThrow("closed");
  });
});

test("a store through map() is read at once, counted, and lost or torn at sectors until a sync", () => {
  const files = createCrashFiles({ seed: 1 });
  const file = files.open("/d/mapped", { access: "create" });
  file.writeSync(new Uint8Array(8192).fill(1), 0);
  file.sync();
  files.syncDirectoryOf("/d/mapped");
  const mapping = file.map?.();
  const before = files.operations;
  mapping?.copyIn(new Uint8Array(4096).fill(2), 2048);
  expect(files.operations).toBe(before + 1);
  const bytesOf = (world: CrashFiles): Uint8Array => {
    const into = new Uint8Array(8192);
    world.open("/d/mapped").map?.().copyOut(into, 0);
    return into;
  };
  expect(bytesOf(files).filter((byte) => byte === 2).length).toBe(4096);
  expect(bytesOf(files.crash("nothing")).includes(2)).toBe(false);
  const torn = Array.from({ length: 40 }, (_, draw) => {
    const left = bytesOf(files.crash(createPrng(draw)));
    return left.filter((byte) => byte === 2).length;
  });
  expect(torn.every((count) => count % 512 === 0)).toBe(true);
  expect(torn.some((count) => count > 0 && count < 4096)).toBe(true);
  file.sync();
  expect(bytesOf(files.crash("nothing")).filter((byte) => byte === 2).length).toBe(4096);
  expect(() => mapping?.copyIn(new Uint8Array(2), 8191)).toThrow(RangeError);
});
