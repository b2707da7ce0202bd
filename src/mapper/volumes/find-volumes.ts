/**
 * find-volumes: disks and images become the text of a stack: which of them, or of their partitions, are members of md arrays or physical
 * volumes of LVM2, and which volumes they make; arrays and volumes are looked into in turn, as people put one into another.
 *
 * Members of md are looked for first: where a superblock stands at the end, the start of a member looks like what the array holds. A device
 * with partitions is a member itself only where none of them has the same superblock (0.90 stands at the same place in both).
 * What is there but cannot be used is told, and the rest goes on.
 */
import { basename } from "node:path";
import { SECTOR, StorageError } from "../../base/index.ts";
import type { Device } from "../../device/index.ts";
import { openImage } from "../open-image.ts";
import { openStackText, type OpenStack } from "../open-stack.ts";
import { readPartitionTable } from "../partition-table.ts";
import type { StackDevice, StackTable, StackText, StackVolume } from "../stack-text.ts";
import { readVolumeGroups, type LvmMember, type VolumeGroup } from "./lvm-group.ts";
import { readPhysicalVolume } from "./lvm-label.ts";
import { logicalVolumeTables, mapperName } from "./lvm-tables.ts";
import { readMdMember, type MdSuperblock } from "./md-member.ts";

/** Arrays and volumes inside one another that are looked into. */
const DEPTH_MAX = 4;

/** What devices make. */
export interface FoundVolumes {
  readonly text: Omit<StackText, "path">;
  /** What is there but not used, and why, for people. */
  readonly notes: readonly string[];
}

/** Something that may be a member. */
interface Candidate {
  readonly word: string;
  readonly device: Device;
}

/**
 * Finds the volumes on images. Nothing is written.
 *
 * @throws {StorageError} ENXIO where there are none; what opening an image throws
 */
export async function findVolumes(paths: readonly string[]): Promise<FoundVolumes> {
  const finder = new VolumeFinder();
  for (const path of paths) await finder.addImage(path);
  for (let depth = 0; depth < DEPTH_MAX && (await finder.addVolumes()); depth += 1);
  return finder.result(paths);
}

class VolumeFinder {
  readonly #devices: StackDevice[] = [];
  readonly #volumes: StackVolume[] = [];
  readonly #tables: StackTable[] = [];
  readonly #notes: string[] = [];
  readonly #names = new Set<string>();
  /** Members that no volume has yet. */
  #arrays = new Map<string, { readonly word: string; readonly superblock: MdSuperblock }[]>();
  readonly #physical: LvmMember[] = [];
  #isLvmDone = false;

  async addImage(path: string): Promise<void> {
    const device = await openImage(path);
    try {
      const base = basename(path).replace(/\.(?:img|raw|bin|stack)$/, "");
      const word = this.#name(base);
      this.#devices.push({ kind: "device", line: 0, name: word, path });
      await this.#look({ word, device }, true);
    } finally {
      await device.close();
    }
  }

  /** Makes volumes of the members that are known, and looks into them; false where there were none to make. */
  async addVolumes(): Promise<boolean> {
    const arrays = [...this.#arrays.values()];
    this.#arrays = new Map();
    for (const members of arrays) await this.#addArray(members);
    if (arrays.length > 0) return true;
    if (this.#isLvmDone || this.#physical.length === 0) return false;
    this.#isLvmDone = true;
    this.#addGroups();
    return true;
  }

  result(paths: readonly string[]): FoundVolumes {
    const members = new Set(this.#volumes.flatMap((volume) => volume.members));
    const top = this.#volumes.findLast(({ name }) => !members.has(name));
    if (top === undefined)
      throw new StorageError(
        "ENXIO",
        `Cannot find volumes: want physical volumes of LVM2 or members of md arrays: got ${paths.join(", ")}${this.#notes.map((note) => `; ${note}`).join("")}`,
        { path: paths[0] ?? "" },
      );
    const tables = this.#tables.filter(({ name }) => members.has(name));
    const used = new Set([
      ...members,
      ...tables.flatMap(({ rows }) => rows.flatMap(({ args }) => args)),
    ]);
    const devices = this.#devices.filter(({ name }) => used.has(name));
    const text = { devices, volumes: this.#volumes, tables, top: top.name, namesTop: true };
    return { text, notes: this.#notes };
  }

  /** A name of its own, of letters that a stack file takes. */
  #name(wish: string): string {
    const base = wish.replaceAll(/[^A-Za-z0-9_.+-]+/g, "_") || "disk";
    let name = base;
    for (let count = 2; this.#names.has(name); count += 1) name = `${base}.${count}`;
    this.#names.add(name);
    return name;
  }

  /** What a device is: a member, a physical volume, or parts that may be. */
  async #look(candidate: Candidate, hasParts: boolean): Promise<ReadonlySet<string>> {
    const { word, device } = candidate;
    const parts = hasParts ? await this.#lookAtParts(candidate) : new Set<string>();
    const md = await readMdMember(device);
    if (md.kind === "member") {
      const { uuid } = md.superblock;
      if (parts.has(uuid)) return parts;
      const members = this.#arrays.get(uuid) ?? [];
      this.#arrays.set(uuid, [...members, { word, superblock: md.superblock }]);
      return new Set([uuid]);
    }
    if (md.kind === "unknown" && parts.size === 0) this.#notes.push(`${word}: ${md.reason}`);
    const lvm = await readPhysicalVolume(device);
    if (lvm.kind === "volume") this.#physical.push({ word, volume: lvm.volume });
    else if (lvm.kind === "unknown") this.#notes.push(`${word}: ${lvm.reason}`);
    return parts;
  }

  /** Looks at the partitions of a disk, and tells of which arrays they are members. */
  async #lookAtParts({ word, device }: Candidate): Promise<Set<string>> {
    const found = new Set<string>();
    const { table } = await readPartitionTable(device);
    for (const { index, offset, length } of table?.partitions ?? []) {
      if (offset % SECTOR !== 0) continue;
      const name = this.#name(`${word}p${index}`);
      const sectors = Math.floor(length / SECTOR);
      const args = [word, `${offset / SECTOR}`];
      const part: StackTable = {
        name,
        rows: [{ line: 0, start: 0, length: sectors, type: "linear", args }],
      };
      this.#tables.push(part);
      const { device: inner } = await this.#open(name);
      try {
        for (const uuid of await this.#look({ word: name, device: inner }, false)) found.add(uuid);
      } finally {
        await inner.close();
      }
    }
    return found;
  }

  /** Opens what the text so far calls by a name. */
  async #open(top: string): Promise<OpenStack> {
    return await openStackText({
      path: "volumes",
      devices: this.#devices,
      volumes: this.#volumes,
      tables: this.#tables,
      top,
      namesTop: true,
    });
  }

  async #addArray(
    members: readonly { readonly word: string; readonly superblock: MdSuperblock }[],
  ): Promise<void> {
    const newest = members.reduce((best, one) =>
      one.superblock.events > best.superblock.events ? one : best,
    );
    const wish = newest.superblock.name.replace(/^.*:/, "");
    const name = this.#name(/^\d*$/.test(wish) ? `md${wish}` : wish);
    const volume = { kind: "md" as const, line: 0, name, members: members.map(({ word }) => word) };
    await this.#addVolume(volume);
  }

  /** Adds a volume that can be opened, and looks into it. */
  async #addVolume(volume: StackVolume): Promise<void> {
    this.#volumes.push(volume);
    try {
      const { device, notes } = await this.#open(volume.name);
      this.#notes.push(...notes.filter((note) => note.startsWith(`${volume.name}: `)));
      try {
        await this.#look({ word: volume.name, device }, true);
      } finally {
        await device.close();
      }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.#volumes.splice(this.#volumes.indexOf(volume), 1);
      this.#notes.push(error.message);
    }
  }

  #addGroups(): void {
    let groups: VolumeGroup[];
    try {
      groups = readVolumeGroups(this.#physical);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.#notes.push(error.message);
      return;
    }
    for (const group of groups) {
      this.#notes.push(...group.notes);
      const members = [...group.parts.values()].flatMap(({ word }) => word ?? []);
      for (const [volume, section] of group.volumes) {
        if (!section.list("status").includes("VISIBLE")) continue;
        this.#addLogical(group, volume, members);
      }
    }
  }

  /** Adds a logical volume whose tables can be made. */
  #addLogical(group: VolumeGroup, volume: string, members: readonly string[]): void {
    const place = { path: "volumes", line: 0 };
    try {
      logicalVolumeTables(group, volume, { name: volume, place });
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.#notes.push(error.message);
      return;
    }
    const name = this.#name(mapperName(group.name, volume));
    const path = `${group.name}/${volume}`;
    this.#volumes.push({ kind: "lvm", line: 0, name, volume: path, members });
  }
}
