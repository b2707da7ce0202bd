/** packageRoot(): from any folder inside, and from outside. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../../src/cli/package-root.ts";

test("packageRoot() finds the folder that holds package.json", () => {
  const root = packageRoot();
  expect(existsSync(join(root, "assets/demo.ext4.gz"))).toBe(true);
  expect(packageRoot(join(root, "dist/cli/chunks"))).toBe(root);
});

test("packageRoot() ends at the root of the file system", () => {
  expect(packageRoot("/")).toBe("/");
});
