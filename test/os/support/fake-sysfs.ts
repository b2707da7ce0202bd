/** FakeSysfs: a folder that looks like `/sys` where it is asked: block devices with numbers, partitions, persistent memory in regions, md arrays. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";

/** What a device is made with. */
export interface FakeBlock {
  /** Folder below `devices/`; its last name is the device's. */
  readonly path: string;
  readonly number: string;
  readonly sectors: number;
  /** Files in its folder, by their paths there. */
  readonly files?: Readonly<Record<string, string>>;
}

/** A tree that is removed by `close`. */
export class FakeSysfs {
  readonly root: string = mkdtempSync(join(tmpdir(), "theriac-sysfs-"));

  /** Adds a block device, or a partition in the folder of its disk. @returns its folder */
  block(device: FakeBlock): string {
    const folder = join(this.root, "devices", device.path);
    this.write(join(folder, "dev"), `${device.number}\n`);
    this.write(join(folder, "size"), `${device.sectors}\n`);
    for (const [name, text] of Object.entries(device.files ?? {}))
      this.write(join(folder, name), text);
    this.link(join(this.root, "dev/block", device.number), folder);
    this.link(join(this.root, "class/block", basename(folder)), folder);
    return folder;
  }

  /** Says that `holder` is made of `part`; both are folders of devices. */
  stack(holder: string, part: string): void {
    this.link(join(holder, "slaves", basename(part)), part);
    this.link(join(part, "holders", basename(holder)), holder);
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  link(from: string, to: string): void {
    mkdirSync(dirname(from), { recursive: true });
    symlinkSync(relative(dirname(from), to), from);
  }

  close(): void {
    rmSync(this.root, { recursive: true });
  }
}
