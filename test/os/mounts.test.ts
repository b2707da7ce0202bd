/** mounts: the text of mountinfo. */
import { describe, expect, test } from "vitest";
import { parseMounts } from "../../src/os/mounts.ts";

describe("parseMounts()", () => {
  test("takes number, root, folder, type, source and options of each line, with or without optional fields", () => {
    const text = [
      "36 35 98:0 / /mnt/x rw,noatime master:1 - ext4 /dev/pmem0 rw,dax=always",
      "37 35 98:1 /sub /mnt/with\\040space rw - xfs /dev/sda1 rw",
      "",
      "nonsense",
    ].join("\n");
    expect(parseMounts(text)).toEqual([
      {
        number: "98:0",
        root: "/",
        folder: "/mnt/x",
        type: "ext4",
        source: "/dev/pmem0",
        options: ["rw", "dax=always"],
      },
      {
        number: "98:1",
        root: "/sub",
        folder: "/mnt/with space",
        type: "xfs",
        source: "/dev/sda1",
        options: ["rw"],
      },
    ]);
  });
});
