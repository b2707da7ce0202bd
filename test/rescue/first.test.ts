import { afterAll, expect, test } from "vitest";
import { openDirectoryDonor } from "../../src/donor/index.ts";
import { repair, survey, verify } from "../../src/rescue/index.ts";
import {
  FILES,
  memoryTarget,
  placeOf,
  removeTemporary,
  temporary,
  treeImage,
  writeTree,
} from "./support/tree.ts";

afterAll(removeTemporary);

test("the chain works end to end on an ext4 image in memory", async () => {
  const target = await memoryTarget(treeImage());
  const pristine = Uint8Array.from(target.bytes);
  for (const [path, offset] of [
    ["/docs/big.bin", 123456],
    ["/docs/archive.bin", 0],
    ["/tiny.txt", 0],
    ["/two-blocks.txt", 4096],
    ["/many/file-7.txt", 600],
  ] as const) {
    target.device.inject({ offset: await placeOf(target.map, path, offset), length: 512 });
  }
  const found = await survey(target);
  console.log(
    JSON.stringify(
      found.damage.map((d) => [
        d.offset,
        d.length,
        d.owners.map((o) => [o.kind, o.what, o.paths, o.ranges]),
      ]),
      undefined,
      1,
    ),
  );
  const tree = temporary();
  writeTree(tree);
  const result = await repair({ target, donors: [openDirectoryDonor(tree)] });
  console.log(JSON.stringify(result, undefined, 1).slice(0, 6000));
  expect(result.missing).toBe(0);
  const checked = await verify(target, openDirectoryDonor(tree));
  console.log(JSON.stringify(checked, undefined, 1));
  expect(Buffer.compare(pristine, target.bytes)).toBe(0);
  expect(FILES.size).toBeGreaterThan(10);
});
