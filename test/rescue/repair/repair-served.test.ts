/** repair, undo: an image that a Theriac server holds, healed by its URI: the server keeps the list, the state directory the log. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { adoptImage, openDevice, type ManagedDevice } from "../../../src/device/index.ts";
import { openDirectoryDonor } from "../../../src/donor/index.ts";
import { NbdServer } from "../../../src/nbd/index.ts";
import { openTarget, repair, RepairLog, undo } from "../../../src/rescue/index.ts";
import { createCrashFiles } from "../../../src/testing/index.ts";
import {
  placeOf,
  removeTemporary,
  targetOf,
  temporary,
  treeImage,
  writeTree,
} from "../support/tree.ts";

const IMAGE = "/disk/image";
const BAD = 2048;

interface Served {
  readonly device: ManagedDevice;
  readonly server: NbdServer;
  /** Of both faces. */
  readonly uris: readonly string[];
}

/** An image with one bad place in a file, on a socket. */
async function served(): Promise<Served> {
  const files = createCrashFiles({ seed: 1 });
  const image = files.open(IMAGE, { access: "create" });
  image.writeSync(treeImage(), 0);
  image.close();
  const simulated = adoptImage(IMAGE, { files, poisonUnit: 256, clearUnit: 1024 });
  const { map } = await targetOf(simulated);
  simulated.inject({ offset: await placeOf(map, "/docs/big.bin", 65_536), length: BAD });
  simulated.close();
  const device = openDevice(IMAGE, { files, access: "write" });
  const server = new NbdServer({ exports: [{ name: "disk", device }] });
  const uris = await server.listen({ kind: "unix", path: join(temporary(), "s") });
  return { device, server, uris };
}

let state = "";
beforeAll(() => {
  state = temporary();
  vi.stubEnv("XDG_STATE_HOME", state);
});
afterAll(() => {
  vi.unstubAllEnvs();
  removeTemporary();
});

describe("repair() of a served image", () => {
  test.each([0, 1])(
    "R8: heals through face %i, with a log in the state directory",
    async (face) => {
      const { device, server, uris } = await served();
      const root = temporary();
      writeTree(root);
      const uri = uris[face] ?? "";
      const log = new RepairLog(uri);
      const target = await openTarget(uri, { access: "write" });
      const result = await repair({ target, donors: [openDirectoryDonor(root)], log });
      expect(result).toMatchObject({ missing: 0, sums: { repaired: BAD, bad: BAD } });
      expect([log.path.startsWith(join(state, "theriac")), existsSync(log.path)]).toEqual([
        true,
        true,
      ]);
      log.close();
      await target.close();
      await server.close();
      const healed = new Uint8Array(device.size);
      await device.read(healed, 0, "access");
      expect(Buffer.compare(healed, treeImage())).toBe(0);
      await device.close();
    },
  );

  test("undo() is refused: nothing marks a range lost in a list that the server keeps (R1)", async () => {
    const { device, server, uris } = await served();
    const root = temporary();
    writeTree(root);
    const uri = uris[0] ?? "";
    const log = new RepairLog(uri);
    const target = await openTarget(uri, { access: "write" });
    await repair({ target, donors: [openDirectoryDonor(root)], log });
    await expect(undo(target, log)).rejects.toMatchObject({ code: "EOPNOTSUPP" });
    log.close();
    await target.close();
    await server.close();
    expect(device.poison.totals()).toMatchObject({ poisoned: 0, lost: 0 });
    await device.close();
  });
});
