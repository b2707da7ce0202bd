/**
 * md-array: which members of an md array hold its data: those that the newest superblock calls active and that are as new as it (drivers/md/md.c,
 * analyze_sbs, super_1_validate). No other one is ever read: it went out of the array, and what it holds is old (R1).
 *
 * - Event counts go up whenever superblocks change; a crash may leave one a single step behind, and the kernel takes it. Further behind is out.
 * - The newest superblock's roles decide, not a member's own: one that failed did not learn of it.
 * - A member that is being rebuilt counts as missing: behind what is rebuilt it holds nothing.
 * - Where a superblock cannot be read its member may be the newest of all: refused, until it is healed or left out by hand.
 * - So may one that is not given, where those given took it for active: it is left out by hand too, by the word `missing`, as mdadm starts such an array by `--run` alone.
 */
import type { MdMemberAnswer, MdSuperblock } from "./md-member.ts";
import type { SectorRange } from "./md-rows.ts";
import { volumeError } from "./volume-error.ts";

/** Members of an array at most: as many as a superblock has room for. */
const MEMBERS_MAX = 1920;
/** Missing members that are told one by one. */
const TOLD = 16;

/** An active member, with the word that a stack has for its device. */
export interface MdLeg {
  readonly word: string;
  readonly superblock: MdSuperblock;
  /** Sectors of its data that it lists as bad, ascending or not. */
  readonly bad: readonly SectorRange[];
}

/** A device with what it says. */
export interface MdCandidate {
  readonly word: string;
  readonly answer: MdMemberAnswer;
  /** Its list of bad blocks, in sectors of its data; `undefined` where that cannot be read. */
  readonly bad: readonly SectorRange[] | undefined;
}

/** An array as its newest superblock has it. */
export interface MdArray {
  readonly newest: MdSuperblock;
  /** By slot; `undefined` where a member is missing or not to be used. */
  readonly slots: readonly (MdLeg | undefined)[];
  /** What is not as it should be, for people. */
  readonly notes: readonly string[];
}

/**
 * Chooses the members of one array.
 *
 * @param name what asks for the array, for messages
 * @param missing members that are said to be gone
 * @throws {StorageError} EBADMSG where a device is no member, or of another array, or the array does what no table can say
 */
export function chooseMembers(
  name: string,
  candidates: readonly MdCandidate[],
  missing: number,
): MdArray {
  const members = candidates.map((candidate) => memberOf(name, candidate));
  const [first, ...others] = members;
  if (first === undefined) throw volumeError(name, "want at least one member");
  for (const other of others) checkSame(name, first, other);
  const newest = members.reduce((best, one) =>
    one.superblock.events > best.superblock.events ? one : best,
  );
  const { superblock } = newest;
  checkNewest(name, newest);
  const notes = candidates.flatMap(({ word, answer }) =>
    answer.kind === "member" ? answer.problems.map((problem) => `${word}: ${problem}`) : [],
  );
  const slots = Array<MdLeg | undefined>(superblock.raidDisks);
  for (const member of members) {
    const role = roleOf(member, superblock);
    const { word, bad } = member;
    if (typeof role === "string" || bad === undefined) {
      const reason = typeof role === "string" ? role : "Its list of bad blocks cannot be read";
      notes.push(`${word}: ${reason}: it is not used`);
      continue;
    }
    const other = slots[role];
    if (other !== undefined)
      throw volumeError(
        name,
        `${other.word} and ${member.word} are both member ${role}: want each once`,
      );
    slots[role] = { word, superblock: member.superblock, bad };
  }
  const empty = [...slots.keys()].filter((slot) => slots[slot] === undefined);
  notes.push(...empty.slice(0, TOLD).map((slot) => `Member ${slot} is missing`));
  if (empty.length > TOLD) notes.push(`${empty.length - TOLD} more members are missing`);
  checkAbsent(name, { newest, members, empty, missing });
  return { newest: superblock, slots: [...slots], notes };
}

/** Refuses an array of which a member that is not given may be newer than those that are. Levels of one copy want them all anyway. */
function checkAbsent(
  name: string,
  array: {
    readonly newest: Member;
    readonly members: readonly Member[];
    readonly empty: readonly number[];
    readonly missing: number;
  },
): void {
  const { newest, members, empty, missing } = array;
  const { roles, level } = newest.superblock;
  const given = new Set(members.map(({ superblock }) => superblock.number));
  const absent = empty.filter((slot) =>
    roles.some((role, number) => role === slot && !given.has(number)),
  );
  if ((level !== 1 && level !== 10) || absent.length <= missing) return;
  throw volumeError(
    name,
    `${newest.word} was last written while member ${absent.slice(0, TOLD).join(", ")} was active, which may be newer: want it too, or the word missing for each that is gone`,
  );
}

/** A member whose list of bad blocks may be unknown yet. */
type Member = Omit<MdLeg, "bad"> & Pick<MdCandidate, "bad">;

function memberOf(name: string, { word, answer, bad }: MdCandidate): Member {
  if (answer.kind === "member") return { word, superblock: answer.superblock, bad };
  if (answer.kind === "none")
    throw volumeError(name, `${word} holds no superblock of md: want members of one array`);
  throw volumeError(
    name,
    `${word} may be its newest member: ${answer.reason}: want it healed, or this member left out`,
  );
}

function checkSame(name: string, one: Member, other: Member): void {
  const [first, second] = [one.superblock, other.superblock];
  if (first.uuid !== second.uuid || first.version !== second.version)
    throw volumeError(
      name,
      `${one.word} is of array ${first.uuid} (${first.version}) and ${other.word} of ${second.uuid} (${second.version}): want members of one array`,
    );
}

function checkNewest(name: string, { word, superblock }: Member): void {
  const { refusal, raidDisks, events } = superblock;
  if (refusal !== "")
    throw volumeError(name, `${word} is of an array with ${refusal}: no table can say that`);
  if (raidDisks < 1 || raidDisks > MEMBERS_MAX || !Number.isSafeInteger(events))
    throw volumeError(
      name,
      `${word} counts ${raidDisks} members and ${events} events: want 1 to ${MEMBERS_MAX} members`,
    );
}

/** The slot of a member, or why it has none. */
function roleOf({ superblock: own }: Member, newest: MdSuperblock): number | string {
  const role = newest.roles[own.number] ?? "spare";
  if (own.events + 1 < newest.events)
    return `Its superblock is out of date, of event ${own.events} of ${newest.events}`;
  if (typeof role !== "number") return `It is a ${role} member`;
  if (role >= newest.raidDisks) return `Its slot ${role} is past the ${newest.raidDisks} members`;
  if (own.recoveryOffset !== Number.POSITIVE_INFINITY)
    return `It is being rebuilt, up to sector ${own.recoveryOffset}`;
  if (own.roles[own.number] !== role)
    return `It says of itself that it is ${own.roles[own.number] ?? "no member"}, the newest that it is member ${role}`;
  return role;
}
