/** Holes of sparse images: skipped where nothing is in them, and never where something bad is. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { adoptImage, openDevice, scrub } from "../../src/device/index.ts";
import { describeTarget, scan, salvage, wholeTarget } from "../../src/rescue/index.ts";

const TERA = 1024 ** 4;
const SIZE = 8 * TERA;

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-hole-"));
  path = join(folder, "sparse.img");
  writeFileSync(path, new Uint8Array(100_000).fill(7));
  truncateSync(path, SIZE);
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("holeFrom()", () => {
  test("ends where data, a listed range or a fault begins", () => {
    const device = adoptImage(path);
    // where the system cannot tell holes, there are none, and nothing is skipped
    const tells = (device.holeFrom?.(TERA) ?? 0) > 0;
    expect(device.holeFrom?.(0)).toBe(0);
    expect(device.holeFrom?.(TERA)).toBe(tells ? SIZE - TERA : 0);
    device.recordBad({ offset: 2 * TERA, length: 512 }, "poisoned");
    device.setFault({ offset: 3 * TERA, length: 512, kind: "transient", on: true });
    expect(device.holeFrom?.(TERA)).toBe(tells ? TERA : 0);
    expect(device.holeFrom?.(2 * TERA + 100)).toBe(0);
    expect(device.holeFrom?.(2 * TERA + 4096)).toBe(tells ? TERA - 4096 : 0);
    device.close();
  });

  test.skipIf(process.platform !== "linux")(
    "lets scrub, scan and salvage pass 8 TiB, and finds what is latent in the middle of them (R7)",
    async () => {
      const device = adoptImage(path);
      device.inject({ offset: 5 * TERA, length: 64 }, { latent: true });
      const { totals } = await scrub(device);
      expect(totals).toEqual({ total: SIZE, clean: SIZE - 64, unread: 0, poisoned: 64, lost: 0 });
      device.close();
      const again = openDevice(path);
      const target = await describeTarget(again, { path });
      expect(await scan(target)).toEqual({ read: SIZE - 64, missing: 64 });
      const out = join(folder, "out.img");
      for (const resumed of [0, SIZE - 64])
        expect(await salvage(wholeTarget(target), out)).toMatchObject({
          size: SIZE,
          salvaged: SIZE - 64,
          resumed,
          holes: [{ offset: 5 * TERA, length: 64 }],
        });
      await target.close();
    },
  );
});
