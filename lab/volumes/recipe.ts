/**
 * recipe: disks, and the volumes that the real tools are to make on them, by a seed: every kind of segment and level that is read, with
 * every chunk and place of metadata that fits.
 */
import type { Prng } from "../../src/base/index.ts";

/** A disk of the guest. */
export interface Disk {
  readonly name: string;
  readonly sectors: number;
  /** Sectors of its partitions: first and count. */
  readonly parts: readonly (readonly [number, number])[];
  /** Whether it holds noise of its own before anything is made of it. */
  readonly isNoisy: boolean;
}

/** A volume that the guest makes. */
export type Volume = {
  readonly name: string;
  /** Words of its members: disks, `DISKpN`, other volumes. */
  readonly members: readonly string[];
  /** How it is compared: with the last stamp over all of it, with what the guest itself read, or not at all. */
  readonly check: "stamp" | "read" | "none";
  /** Generation of the stamp. */
  readonly generation: number;
} & ({ readonly kind: "md" } | { readonly kind: "lvm"; readonly volume: string });

/** All that one boot makes. */
export interface Recipe {
  readonly disks: readonly Disk[];
  readonly volumes: readonly Volume[];
  /** Lines of the guest's script. */
  readonly script: readonly string[];
}

const MIB = 2048;

/** Makes a recipe. The same numbers give the same one. */
export function makeRecipe(prng: Prng): Recipe {
  const maker = new RecipeMaker(prng);
  for (let group = 0; group < 2; group += 1) maker.group(`vg${group}`);
  for (const version of ["0.90", "1.0", "1.1", "1.2"]) maker.arrays(version);
  maker.volumeOnArray();
  return maker;
}

class RecipeMaker implements Recipe {
  readonly disks: Disk[] = [];
  readonly volumes: Volume[] = [];
  readonly script: string[] = [];
  readonly #prng: Prng;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  #between(least: number, most: number): number {
    return least + this.#prng.below(most - least + 1);
  }

  #disk(options: Partial<Disk> = {}): string {
    const name = `d${this.disks.length}`;
    const sectors = this.#between(5 * MIB, 9 * MIB);
    this.disks.push({ name, sectors, parts: [], isNoisy: false, ...options });
    return name;
  }

  /** Some disks of even or uneven size. */
  #members(count: number, isEven = this.#prng.chance(0.5), isNoisy = false): string[] {
    const sectors = this.#between(5 * MIB, 8 * MIB);
    return Array.from({ length: count }, () =>
      this.#disk(isEven ? { sectors, isNoisy } : { isNoisy }),
    );
  }

  /** A volume group with volumes of every kind. */
  group(group: string): void {
    const prng = this.#prng;
    const disks = Array.from({ length: 4 }, () =>
      this.#disk({ sectors: this.#between(20 * MIB, 28 * MIB) }),
    );
    const parted = this.#disk({
      sectors: 30 * MIB,
      parts: [
        [MIB, 10 * MIB],
        [12 * MIB, 17 * MIB + prng.below(100)],
      ],
    });
    const members = [...disks, `${parted}p1`, `${parted}p2`];
    const extent = prng.pick([64, 128, 512, 1024]);
    const copies = members.map((_, index) => (index === 0 ? 1 : prng.below(3)));
    for (const [index, word] of members.entries())
      this.script.push(
        `lvm pvcreate -y --metadatacopies ${copies[index]} ${prng.chance(0.5) ? "--dataalignment 192k" : "--metadatasize 300k"} $(dev ${word})`,
      );
    this.script.push(
      `lvm vgcreate -s ${extent}k ${group} ${members.map((word) => `$(dev ${word})`).join(" ")}`,
    );
    const chunk = (): string =>
      `-i ${this.#between(2, 4)} -I ${prng.pick([4, 8, 16, 64].filter((size) => size <= extent))}k`;
    const kinds: (readonly [string, string])[] = [
      ["lin", ""],
      ["str", chunk()],
      ["mir", `--type mirror -m 1 ${prng.chance(0.5) ? "--mirrorlog core" : ""}`],
      ["mir-3", `--type mirror -m 2 --mirrorlog core --nosync`],
      ["raid", "--type raid1 -m 1"],
      ["raid_3", `--type raid1 -m 2 ${prng.chance(0.5) ? "--nosync" : ""}`],
      ["str2", chunk()],
      ["lin2", ""],
    ];
    for (const [name, words] of shuffled(prng, kinds))
      this.script.push(
        `lvm lvcreate -y -Wn -Zn -L ${this.#between(512, 2500)}k ${words} -n ${name} ${group}`,
      );
    // what comes later lies elsewhere: a second segment
    for (const name of shuffled(prng, ["lin", "str", "str2", "lin2"]))
      this.script.push(`lvm lvextend -L +${this.#between(256, 1500)}k ${group}/${name}`);
    // a reload drops nosync, and the kernel prints another max_write_behind than it is given
    if (prng.chance(0.5))
      this.script.push(
        `lvm lvchange --writemostly $(lvm lvs --noheadings -a -o devices ${group}/raid_rimage_1 | sed 's/(.*//') ${group}/raid`,
        `lvm lvchange --maxrecoveryrate 4096 ${group}/raid`,
      );
    this.script.push(`lvm lvremove -y ${group}/lin2`, "insync");
    for (const [volume] of kinds) {
      if (volume === "lin2") continue;
      const name = `${group}-${volume.replace("-", "--")}`;
      this.script.push(`stamp /dev/mapper/${name} ${name} 1 0`);
      this.volumes.push({
        kind: "lvm",
        volume: `${group}/${volume}`,
        name,
        members,
        check: "stamp",
        generation: 1,
      });
    }
    this.script.push(`tables ${group}`, `lvm vgchange -q -an ${group}`);
  }

  /** An array; it is stopped when it is stamped. */
  #array(
    words: string,
    members: readonly string[],
    facts: Partial<Pick<Volume, "check" | "generation">> & {
      readonly lines?: readonly string[];
    } = {},
  ): void {
    const name = `md${this.volumes.length}`;
    const { lines = [], check = "stamp", generation = 1 } = facts;
    const number = this.volumes.length;
    const device = `/dev/md${number}`;
    const list = members.map((word) => `$(dev ${word})`).join(" ");
    const fill = (line: string): string => line.replaceAll("MD", device).replaceAll("NAME", name);
    this.script.push(
      `echo y | mdadm --create ${device} --quiet --run --name=${name} --homehost=lab --raid-devices=${members.length} ${words} ${list}`,
      ...(check === "stamp" ? [fill("stamp MD NAME 1 0")] : []),
      ...lines.map((line) => fill(line)),
      `echo ${name} $(blockdev --getsize64 ${device}) >>/shared/sizes`,
      `mdadm --stop --quiet ${device}`,
    );
    this.volumes.push({ kind: "md", name, members, check, generation });
  }

  /** Arrays of every level with one form of superblock. */
  arrays(version: string): void {
    const prng = this.#prng;
    const meta = `--metadata=${version}`;
    const chunk = (): string => `--chunk=${prng.pick([4, 16, 64, 128])}`;
    const even = `${meta} --assume-clean`;
    this.#array(`${meta} --level=linear`, this.#members(this.#between(2, 4)));
    // mdadm makes no raid0 with 0.90 any more: it has no room for a layout
    if (version !== "0.90") {
      for (const layout of ["original", "alternate"])
        this.#array(
          `${meta} --level=0 --layout=${layout} ${chunk()}`,
          this.#members(this.#between(3, 5), false),
        );
      this.#array(`${meta} --level=0 ${chunk()}`, this.#members(this.#between(2, 4), true));
    }
    const bitmap = version === "1.2" ? "--bitmap=internal --bitmap-chunk=64K" : "";
    this.#array(`${even} --level=1 ${bitmap}`, this.#members(this.#between(2, 3)));
    this.#stale(even, bitmap);
    this.#unsynced(`${meta} --level=1 ${bitmap}`);
    const near = prng.pick([
      [2, 2],
      [2, 4],
      [3, 3],
      [2, 6],
    ] as const);
    this.#array(`${even} --level=10 --layout=n${near[0]} ${chunk()}`, this.#members(near[1]));
    this.#array(`${even} --level=10 --layout=f2 ${chunk()}`, this.#members(this.#between(2, 5)));
    const odd = prng.pick([
      [2, 3],
      [2, 5],
      [3, 4],
    ] as const);
    this.#array(`${even} --level=10 --layout=n${odd[0]} ${chunk()}`, this.#members(odd[1]));
    this.#array(`${even} --level=10 --layout=o2 ${chunk()}`, this.#members(this.#between(2, 5)));
  }

  /** A mirror whose member failed before all was written anew; sometimes it came back and is being rebuilt. */
  #stale(words: string, bitmap: string): void {
    const members = this.#members(this.#between(2, 3), true);
    const gone = this.#prng.pick(members);
    const lines = [
      `mdadm --quiet MD --fail $(dev ${gone})`,
      "sleep 0.3",
      `mdadm --quiet MD --remove $(dev ${gone})`,
      "stamp MD NAME 2 0",
    ];
    if (this.#prng.chance(0.5))
      lines.push("slow", `mdadm --quiet MD --add $(dev ${gone})`, "sleep 0.5");
    this.#array(`${words} --level=1 ${bitmap}`, members, { generation: 2, lines });
  }

  /** A mirror that is stopped while its first resync runs: its members differ. */
  #unsynced(words: string): void {
    const members = this.#members(this.#between(2, 3), true, true);
    this.script.push("slow");
    const lines = [
      `stamp MD NAME 1 0 ${this.#between(1, 4000)}`,
      "dd if=MD of=/shared/NAME.bin bs=1M iflag=direct 2>/dev/null",
    ];
    this.#array(words, members, { check: "read", lines });
    this.script.push("fast");
  }

  /** LVM on an array. */
  volumeOnArray(): void {
    const members = this.#members(2, true);
    const list = members.map((word) => `$(dev ${word})`).join(" ");
    this.script.push(
      `echo y | mdadm --create /dev/md100 --quiet --run --name=under --homehost=lab --raid-devices=2 --level=1 --metadata=1.0 --assume-clean ${list}`,
      "lvm pvcreate -y /dev/md100",
      "lvm vgcreate -s 128k onmd /dev/md100",
      "lvm lvcreate -y -Wn -Zn -L 2m -n one onmd",
      "stamp /dev/mapper/onmd-one onmd-one 1 0",
      "tables onmd",
      "lvm vgchange -q -an onmd",
      "mdadm --stop --quiet /dev/md100",
    );
    this.volumes.push(
      { kind: "md", name: "under", members, check: "none", generation: 0 },
      {
        kind: "lvm",
        name: "onmd-one",
        volume: "onmd/one",
        members: ["under"],
        check: "stamp",
        generation: 1,
      },
    );
  }
}

/** The same items in another order. */
function shuffled<T>(prng: Prng, items: readonly T[]): T[] {
  return items
    .map((item) => [prng.below(2 ** 30), item] as const)
    .toSorted(([one], [other]) => one - other)
    .map(([, item]) => item);
}
