/**
 * lvm-group: the volume group that physical volumes belong to: the newest of all the texts that they keep, and which of its physical volumes are there.
 *
 * Every commit of LVM raises `seqno` and is written to all areas in use. So the text with the highest one is the group; others are older, and are
 * told. Two texts of one seqno that differ were written by two hosts that did not know of each other: refused. A physical volume that the newest text
 * flags MISSING was away while the group changed: its data may be old, and LVM does not use it either until `vgextend --restoremissing`.
 */
import { ConfigReader } from "./config-reader.ts";
import { ConfigError, isSection, parseLvmText, type ConfigSection } from "./lvm-text.ts";
import type { PhysicalVolume } from "./lvm-label.ts";
import { volumeError } from "./volume-error.ts";

/** A physical volume with the word that a stack has for its device. */
export interface LvmMember {
  readonly word: string;
  readonly volume: PhysicalVolume;
}

/** A physical volume as the group's text has it. Sectors. */
export interface GroupPart {
  /** "pv0". */
  readonly name: string;
  readonly uuid: string;
  /** Device that has it; `undefined` where it is missing. */
  readonly word: string | undefined;
  readonly firstSector: number;
  readonly extents: number;
}

/** A volume group. */
export interface VolumeGroup {
  readonly name: string;
  readonly uuid: string;
  readonly seqno: number;
  /** Sectors. */
  readonly extentSectors: number;
  readonly parts: ReadonlyMap<string, GroupPart>;
  /** Logical volumes by name, sub-volumes too, in the order of the text. */
  readonly volumes: ReadonlyMap<string, ConfigReader>;
  /** What is not as it should be, for people. */
  readonly notes: readonly string[];
}

/** A text that was read. */
interface Text {
  readonly word: string;
  readonly text: string;
  readonly name: string;
  readonly uuid: string;
  readonly seqno: number;
  readonly root: ConfigReader;
}

/**
 * The volume groups of physical volumes, each once, by name.
 *
 * @throws {StorageError} EBADMSG where texts contradict each other or are not of the form
 */
export function readVolumeGroups(members: readonly LvmMember[]): VolumeGroup[] {
  const notes = new Map<string, string[]>();
  const problems = members.flatMap(({ word, volume }) =>
    volume.problems.map((problem) => `${word}: ${problem}`),
  );
  const newest = new Map<string, Text>();
  for (const text of members.flatMap((member) => [...textsOf(member, problems)])) {
    const before = newest.get(text.name);
    if (before === undefined || before.seqno < text.seqno) newest.set(text.name, text);
    if (before !== undefined) checkPair(before, text, notes);
  }
  return [...newest.values()].map((text) =>
    groupOf(text, members, [...problems, ...new Set(notes.get(text.name))]),
  );
}

function* textsOf({ word, volume }: LvmMember, problems: string[]): Generator<Text> {
  for (const text of new Set(volume.texts)) {
    let root: ConfigSection;
    try {
      root = parseLvmText(text);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(`${word}: The metadata text cannot be used: ${error.message}`);
      continue;
    }
    for (const [name, section] of root) {
      if (!isSection(section)) continue;
      const group = new ConfigReader(section, { who: word, path: name });
      const [uuid, seqno] = [group.text("id"), group.count("seqno")];
      yield { word, text, name, uuid, seqno, root: group };
    }
  }
}

function checkPair(one: Text, other: Text, notes: Map<string, string[]>): void {
  const { name } = one;
  if (one.uuid !== other.uuid)
    throw volumeError(
      `volume group ${name}`,
      `${one.word} and ${other.word} are of two groups of that name, ${one.uuid} and ${other.uuid}: want one`,
    );
  if (one.seqno === other.seqno && one.text !== other.text)
    throw volumeError(
      `volume group ${name}`,
      `${one.word} and ${other.word} have different texts of seqno ${one.seqno}: want one newest`,
    );
  if (one.seqno === other.seqno) return;
  const [older, newer] = one.seqno < other.seqno ? [one, other] : [other, one];
  const list = notes.get(name) ?? [];
  notes.set(name, list);
  list.push(
    `${older.word}: A metadata text is of seqno ${older.seqno}: that of the newest, ${newer.seqno}, is used`,
  );
}

function groupOf(text: Text, members: readonly LvmMember[], told: readonly string[]): VolumeGroup {
  const { root, name, uuid, seqno } = text;
  const notes = [...told];
  const byUuid = new Map<string, string>();
  for (const { word, volume } of members) {
    const other = byUuid.get(volume.uuid);
    if (other !== undefined)
      throw volumeError(
        `volume group ${name}`,
        `${other} and ${word} are the same physical volume ${volume.uuid}: want each once`,
      );
    byUuid.set(volume.uuid, word);
  }
  const parts = root.sections("physical_volumes").map(([key, section]) => {
    const id = section.text("id");
    const word = byUuid.get(id.replaceAll("-", ""));
    const isFlagged = [...section.list("flags"), ...section.list("status")].includes("MISSING");
    if (word === undefined) notes.push(`Physical volume ${key} (${id}) is missing`);
    else if (isFlagged)
      notes.push(
        `Physical volume ${key} (${word}) was missing while its group changed: it is not used`,
      );
    return {
      name: key,
      uuid: id,
      word: isFlagged ? undefined : word,
      firstSector: section.count("pe_start"),
      extents: section.count("pe_count"),
    };
  });
  return {
    name,
    uuid,
    seqno,
    extentSectors: root.count("extent_size", 1),
    parts: new Map(parts.map((part) => [part.name, part])),
    volumes: new Map(root.sections("logical_volumes")),
    notes,
  };
}
