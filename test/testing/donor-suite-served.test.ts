/** The contract of a donor, over an image that a block server of ours offers: bad bytes, and a server that goes away. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "vitest";
import { NbdServer } from "../../src/nbd/index.ts";
import { openDonor } from "../../src/rescue/index.ts";
import { donorSuite, type DonorSubject } from "../../src/testing/index.ts";
import { FILES, memoryTarget, placeOf, treeImage } from "../rescue/support/tree.ts";

const PATH = "/docs/archive.bin";

async function served(): Promise<DonorSubject> {
  const folder = mkdtempSync(join(tmpdir(), "theriac-served-"));
  const { device, map } = await memoryTarget(treeImage());
  const exports = [{ name: "tree", device, isDirect: () => true }];
  const server = new NbdServer({ exports, farewellMs: 50 });
  const path = join(folder, "socket");
  await server.listen({ kind: "unix", path });
  const donor = await openDonor(`nbd+unix:///tree?socket=${path}`);
  const info = await map.info((await map.lookup(PATH)) ?? -1);
  return {
    donor,
    path: PATH,
    content: FILES.get(PATH) as Uint8Array,
    modifiedNs: info?.modifiedNs ?? 0n,
    uuid: map.uuid,
    spoil: async ({ offset, length }) => {
      for (let at = offset; at < offset + length; at += 512)
        device.inject({ offset: await placeOf(map, PATH, at), length: 512 });
    },
    vanish: async () => await server.close(),
    dispose: async () => {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

donorSuite({ describe, test }, "export of a block server", { make: served });
