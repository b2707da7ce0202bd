/** theriac demo: the whole story, with the commands that a person would type. */
import { expect, test } from "vitest";
import { DEMO_FILESYSTEMS } from "../../../src/cli/demo/demo-makers.ts";
import { theriac } from "../support/theriac.ts";

/** The story runs seven commands one after the other: on a machine that does much else it takes long. */
const timeout = 300_000;

test.each(DEMO_FILESYSTEMS)(
  "demo --fs %s heals everything, leaves no file different, and fits 80 columns",
  { timeout },
  async (filesystem) => {
    const { code, stdout, stderr } = await theriac(["demo", "--fs", filesystem]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`demo.img: ${filesystem} `);
    expect(stdout).toContain("bytes of data are missing");
    expect(stdout).toMatch(/files: [1-9]\d* equal, 0 differs, 0 absent, 0 unreadable/);
    expect(stdout).toMatch(/\ntotal (\d+) = clean \1 \+ unread 0 \+ poisoned 0 \+ lost 0\n/);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  },
);

test("demo --fs says which file systems there are", async () => {
  const { code, stderr } = await theriac(["demo", "--fs", "fat"]);
  expect(code).toBe(2);
  expect(stderr).toContain("ext4, xfs");
});
