/**
 * md-member: what one member of a Linux md array says of the array and of itself, whichever of the two forms of superblock it has
 * (md-superblock-0.ts, md-superblock-1.ts). Sectors of 512 bytes, unless a name says otherwise.
 *
 * A device may hold more than one superblock: old ones that nobody erased. The array that was made last is the one, as mdadm decides
 * (guess_super). Where a place that may hold one cannot be read, and no other place does, the answer is "unknown", and never "none".
 */
import type { ByteRange } from "../../base/index.ts";
import type { Device } from "../../device/index.ts";
import { readDisk } from "../disk-reader.ts";
import { readSuperblock0, superblock0Offset } from "./md-superblock-0.ts";
import { readSuperblock1, SUPERBLOCK1_PLACES } from "./md-superblock-1.ts";

/** Bytes of either form, at most. */
const SUPERBLOCK = 4096;

/** What a member number does in its array. */
export type MdRole = number | "spare" | "faulty" | "journal";

/** A superblock. */
export interface MdSuperblock {
  /** "0.90", "1.0", "1.1" or "1.2". */
  readonly version: string;
  /** 32 hexadecimal digits. */
  readonly uuid: string;
  /** Name that the array was given; "" where there is none. */
  readonly name: string;
  /** -1 linear, 0, 1, 4, 5, 6, 10. */
  readonly level: number;
  /** `undefined` where the superblock has none to say. */
  readonly layout: number | undefined;
  /** Sectors of a chunk; 0 where the level has none. */
  readonly chunk: number;
  /** Members of the array when it is whole. */
  readonly raidDisks: number;
  /** Sectors that the array uses of each member; 0 where each gives what it has. */
  readonly componentSectors: number;
  /** Seconds since 1970. */
  readonly createdAt: number;
  /** Number of this member: its place in `roles`. */
  readonly number: number;
  /** What each member number does, as this one knows. */
  readonly roles: readonly MdRole[];
  /** Goes up whenever superblocks change. */
  readonly events: number;
  /** First sector of the array's data on this member. */
  readonly dataOffset: number;
  /** Sectors of data that this member has. */
  readonly dataSectors: number;
  /** Sectors from the start that all members agree on; Infinity where the array was shut down in order. */
  readonly resyncOffset: number;
  /** Sectors of this member that are rebuilt; Infinity where all are. */
  readonly recoveryOffset: number;
  /** What the array does that its tables cannot say ("a reshape"); "" where there is nothing. */
  readonly refusal: string;
  /** Where the list of bad blocks stands on the device, in bytes, and how its sectors are counted. */
  readonly badBlocks: (ByteRange & { readonly shift: number }) | undefined;
  /** First byte of the bitmap of writes on the device. */
  readonly bitmapOffset: number | undefined;
}

/** What a device says. */
export type MdMemberAnswer =
  | {
      readonly kind: "member";
      readonly superblock: MdSuperblock;
      readonly problems: readonly string[];
    }
  | { readonly kind: "none" }
  /** A sentence about the place that decides. */
  | { readonly kind: "unknown"; readonly reason: string };

/** A superblock, what is wrong with one, or nothing where there is none. */
export type MdFound =
  | { readonly superblock: MdSuperblock }
  | { readonly reason: string }
  | undefined;

/**
 * Reads the superblock of a device.
 *
 * @throws {StorageError} if the device itself fails; bytes that cannot be read are told as reasons
 */
export async function readMdMember(device: Device): Promise<MdMemberAnswer> {
  const found: MdSuperblock[] = [];
  const problems: string[] = [];
  const note = (answer: MdFound): void => {
    if (answer === undefined) return;
    if ("reason" in answer) problems.push(answer.reason);
    else found.push(answer.superblock);
  };
  for (const { version, offsetOf } of SUPERBLOCK1_PLACES) {
    const offset = offsetOf(device.size);
    if (offset === undefined) continue;
    const bytes = await readDisk(device, offset, SUPERBLOCK);
    note(readSuperblock1(bytes, { version, deviceBytes: device.size }));
  }
  const offset = superblock0Offset(device.size);
  if (offset !== undefined) note(readSuperblock0(await readDisk(device, offset, SUPERBLOCK)));
  const [newest] = found.toSorted((one, other) => other.createdAt - one.createdAt);
  if (newest !== undefined) return { kind: "member", superblock: newest, problems };
  const [reason] = problems;
  return reason === undefined ? { kind: "none" } : { kind: "unknown", reason };
}
