/** mounted-place: a real file of this machine, placed by a made-up mount table and sysfs. */
import { mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findPlace, mountedPlace } from "../../../src/fs/index.ts";
import { deviceNumber } from "../../../src/os/index.ts";
import { FakeSysfs } from "../../os/support/fake-sysfs.ts";

let folder: string;
let sysfs: FakeSysfs;
let number: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "theriac-place-")));
  writeFileSync(join(folder, "book"), "content");
  number = deviceNumber(statSync(folder, { bigint: true }).dev);
  sysfs = new FakeSysfs();
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  sysfs.close();
});

function options(...lines: readonly string[]): { mountinfo: string; sysfs: string } {
  const mountinfo = join(sysfs.root, "mountinfo");
  writeFileSync(mountinfo, `${lines.join("\n")}\n`);
  return { mountinfo, sysfs: sysfs.root };
}

describe("mountedPlace()", () => {
  test("finds the innermost mount and the block device, through links", () => {
    sysfs.block({ path: "block/pmem0", number, sectors: 100 });
    symlinkSync(join(folder, "book"), join(folder, "link"));
    const place = mountedPlace(
      join(folder, "link"),
      options(
        `1 0 ${number} / / rw - ext4 /dev/pmem0 rw`,
        `2 1 ${number} /sub ${folder} rw - ext4 /dev/pmem0 rw,dax=always`,
        `3 1 7:7 / ${folder} rw - tmpfs tmpfs rw`,
      ),
    );
    expect(place).toMatchObject({
      path: join(folder, "book"),
      inside: "/sub/book",
      node: { name: "pmem0" },
    });
  });

  test.each([
    ["btrfs", /btrfs/],
    ["overlay", /overlay/],
  ])("refuses a file of %s by name: it tells no places on one device", (type, message) => {
    sysfs.block({ path: "block/sda", number, sectors: 100 });
    const where = options(`1 0 ${number} / / rw - ${type} x rw`);
    expect(() => mountedPlace(join(folder, "book"), where)).toThrow(message);
    expect(() => mountedPlace(join(folder, "book"), where)).toThrow(/EOPNOTSUPP/);
  });

  test("findPlace() says so where sysfs knows no device, and throws where there is no file", () => {
    const where = options(`1 0 ${number} / / rw - ext4 x rw`);
    expect(findPlace(join(folder, "book"), where)).toContain(number);
    expect(() => findPlace(join(folder, "nothing"), where)).toThrow(/ENOENT/);
  });
});
