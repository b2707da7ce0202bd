/** read-volume: the tables of an LVM2 logical volume or an md array, from what its members say of it. Members are devices that are open; nothing is written. */
import type { Device } from "../../device/index.ts";
import type { StackTable, StackVolume } from "../stack-text.ts";
import type { TextPlace } from "../table-text.ts";
import { readVolumeGroups, type LvmMember } from "./lvm-group.ts";
import { readPhysicalVolume } from "./lvm-label.ts";
import { logicalVolumeTables, type VolumeNaming } from "./lvm-tables.ts";
import { chooseMembers, type MdArray, type MdCandidate } from "./md-array.ts";
import { readBadBlocks, readBitmap, unsyncedRanges } from "./md-lists.ts";
import { readMdMember } from "./md-member.ts";
import type { SectorRange } from "./md-rows.ts";
import { arrayTables } from "./md-tables.ts";
import { volumeError } from "./volume-error.ts";

/** A device with the word that the stack has for it. */
export interface VolumeMember {
  readonly word: string;
  readonly device: Device;
}

/** What a volume is. */
export interface VolumeTables {
  /** Those below first; the last is the volume. Devices in them are the members' words. */
  readonly tables: readonly StackTable[];
  /** What is not as it should be: members that are missing or out of date, copies that could not be read. */
  readonly notes: readonly string[];
}

/**
 * Reads what a line of a stack file asks for.
 *
 * @param members those of the line that are devices; the others are said to be missing
 * @param path the stack file, for messages
 * @throws {StorageError} EBADMSG where no newest, whole description can be had; what the devices throw
 */
export async function readVolume(
  line: StackVolume,
  members: readonly VolumeMember[],
  path: string,
): Promise<VolumeTables> {
  const naming = { name: line.name, place: { path, line: line.line } };
  const made =
    line.kind === "md"
      ? await readArray(members, naming, line.members.length - members.length)
      : await readLogicalVolume(line.volume, members, naming);
  checkNames(made.tables, members, naming.place);
  return made;
}

async function readLogicalVolume(
  volume: string,
  members: readonly VolumeMember[],
  naming: VolumeNaming,
): Promise<VolumeTables> {
  const slash = volume.indexOf("/");
  const [groupName, name] = [volume.slice(0, slash), volume.slice(slash + 1)];
  const volumes: LvmMember[] = [];
  for (const { word, device } of members) {
    const answer = await readPhysicalVolume(device);
    if (answer.kind === "volume") volumes.push({ word, volume: answer.volume });
    else
      throw volumeError(
        `volume group ${groupName}`,
        answer.kind === "none"
          ? `${word} has no label of LVM2 in its first four sectors: want physical volumes`
          : `${word}: ${answer.reason}`,
      );
  }
  const groups = readVolumeGroups(volumes);
  const group = groups.find((one) => one.name === groupName);
  if (group === undefined) {
    const problems = volumes.flatMap(({ word, volume: { problems: own } }) =>
      own.map((problem) => `; ${word}: ${problem}`),
    );
    throw volumeError(
      `volume group ${groupName}`,
      `its physical volumes describe ${groups.map((one) => one.name).join(", ") || "no group"}: want ${groupName}${problems.join("")}`,
    );
  }
  return { tables: logicalVolumeTables(group, name, naming), notes: group.notes };
}

async function readArray(
  members: readonly VolumeMember[],
  naming: VolumeNaming,
  missing: number,
): Promise<VolumeTables> {
  const candidates: MdCandidate[] = [];
  for (const { word, device } of members) {
    const answer = await readMdMember(device);
    const bad =
      answer.kind === "member" ? await readBadBlocks(device, answer.superblock) : undefined;
    candidates.push({ word, answer, bad });
  }
  const array = chooseMembers(naming.name, candidates, missing);
  const unsynced = await unsyncedOf(array, members);
  const notes =
    unsynced.length === 0
      ? array.notes
      : [
          ...array.notes,
          "The array was not shut down in order: where its members may differ one serves",
        ];
  return { tables: arrayTables({ array, naming, unsynced }), notes };
}

/** As the first bitmap says that can be used. */
async function unsyncedOf(
  { newest, slots }: MdArray,
  members: readonly VolumeMember[],
): Promise<readonly SectorRange[]> {
  if (newest.resyncOffset === Number.POSITIVE_INFINITY || newest.level < 1) return [];
  for (const leg of slots) {
    const member = members.find(({ word }) => word === leg?.word);
    if (leg === undefined || member === undefined) continue;
    const bitmap = await readBitmap(member.device, { ...leg.superblock, events: newest.events });
    if (bitmap !== undefined) return unsyncedRanges(newest, bitmap);
  }
  return unsyncedRanges(newest, undefined);
}

/** Refuses members that are called as a table of the volume is. */
function checkNames(
  tables: readonly StackTable[],
  members: readonly VolumeMember[],
  place: TextPlace,
): void {
  const words = new Set(members.map(({ word }) => word));
  const table = tables.find(({ name }) => words.has(name));
  if (table !== undefined)
    throw volumeError(
      table.name,
      `line ${place.line} of ${place.path} makes a table of that name: want another name for its member`,
    );
}
