/** live-option: the question before the first write to a real device, and donors of a single file. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { confirmWrites, donorNames } from "../../../src/cli/commands/live-option.ts";
import { createMemoryDevice } from "../../../src/device/index.ts";
import type { Target } from "../../../src/rescue/index.ts";

function target(live?: Target["live"], path = "/mnt/x/book"): Target {
  return {
    path,
    device: createMemoryDevice({ size: 4096 }),
    volumes: [],
    outside: [],
    ...(live === undefined ? {} : { live }),
    close: () => Promise.resolve(),
  };
}

const LIVE = { statePath: "/state/file-1.theriac", file: "/book" };

function asked(answer: string): { input: PassThrough; output: PassThrough; isTerminal: true } {
  const input = new PassThrough();
  input.end(`${answer}\n`);
  return { input, output: new PassThrough(), isTerminal: true };
}

describe("confirmWrites()", () => {
  test("asks nothing of an image", async () => {
    await expect(
      confirmWrites(target(), {}, { ...asked("n"), isTerminal: true }),
    ).resolves.toBeUndefined();
  });

  test("takes yes and --yes, and nothing else", async () => {
    await confirmWrites(target(LIVE), {}, asked("yes"));
    await confirmWrites(target(LIVE), { yes: true }, asked("no"));
    await expect(confirmWrites(target(LIVE), {}, asked("no"))).rejects.toThrow(/ECANCELED/);
    await expect(confirmWrites(target(LIVE), {}, asked(""))).rejects.toThrow(/not yes/);
  });

  test("refuses where nobody can be asked, and names --yes", async () => {
    await expect(
      confirmWrites(target({ statePath: "/s" }), {}, { ...asked("y"), isTerminal: false }),
    ).rejects.toThrow(/ECANCELED.*a real device.*--yes/);
  });
});

describe("donorNames()", () => {
  test("takes a regular file of the same size as a copy of the one file that is the target", () => {
    const folder = mkdtempSync(join(tmpdir(), "theriac-donors-"));
    const [own, copy, other] = ["own", "copy", "other"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(own, "12345");
    writeFileSync(copy, "54321");
    writeFileSync(other, "123");
    expect(donorNames(target(LIVE, own), [copy, other, folder])).toEqual([
      `/book=${copy}`,
      other,
      folder,
    ]);
    expect(donorNames(target(undefined, own), [copy])).toEqual([copy]);
    rmSync(folder, { recursive: true });
  });
});
