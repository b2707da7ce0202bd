/**
 * The crash sweep of the NBD server under writes: a crash in every operation on the disk, several states that each may leave. What FLUSH or FUA had
 * acknowledged is there, every other byte is what it was or what was written, and what was bad is new data or still bad (R1 to R5).
 */
import { describe, expect, test } from "vitest";
import { createPrng, endOf, type Prng } from "../../src/base/index.ts";
import {
  createImage,
  NBD_COMMAND,
  openDevice,
  type ManagedDevice,
} from "../../src/device/index.ts";
import { ExportList } from "../../src/nbd/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";
import { Peer } from "../nbd/support/peer.ts";
import { turnsUntil, type Ask } from "../nbd/support/session.ts";

const PATH = "/images/disk.img";
const SIZE = 16_384;
const CASES = Number(process.env["CASES"] ?? 4);
const STEPS = 8;
const HOWS = ["nothing", "everything", "random", "random"] as const;
const { WRITE, WRITE_ZEROES, FLUSH } = NBD_COMMAND;
const BAD = -1;

/** What each byte was at the last acknowledgement, and what was written since. */
class Ledger {
  readonly durable: number[];
  readonly written: Set<number>[];
  readonly now: number[];

  constructor(bytes: Uint8Array, device: ManagedDevice) {
    this.durable = [...bytes];
    for (const bad of device.poison.bad({ offset: 0, length: SIZE }))
      this.durable.fill(BAD, bad.offset, endOf(bad));
    this.now = [...this.durable];
    this.written = Array.from({ length: SIZE }, () => new Set());
  }

  /** A write is on its way: from now on its bytes may be there. */
  begin({ offset, length, payload }: Ask): void {
    for (let at = 0; at < length; at += 1) {
      const value = payload?.[at] ?? 0;
      this.written[offset + at]?.add(value);
      this.now[offset + at] = value;
    }
  }

  /** A range is durable as it is now. */
  acknowledge(offset: number, length: number): void {
    for (let at = offset; at < offset + length; at += 1) {
      this.durable[at] = this.now[at] ?? BAD;
      this.written[at] = new Set([this.now[at] ?? BAD]);
    }
  }

  /** Takes what became lost beside a healed part. */
  noteBad(device: ManagedDevice): void {
    for (const bad of device.poison.bad({ offset: 0, length: SIZE }))
      this.now.fill(BAD, bad.offset, endOf(bad));
  }

  problems(bytes: Uint8Array, isMissing: (at: number) => boolean): string[] {
    const found: string[] = [];
    for (let at = 0; at < SIZE; at += 1) {
      const allowed = this.durable[at] === BAD || this.written[at]?.has(BAD) === true;
      if (isMissing(at)) {
        if (!allowed) found.push(`${at} is missing`);
      } else if (bytes[at] !== this.durable[at] && this.written[at]?.has(bytes[at] ?? 0) !== true)
        found.push(`${at} is ${bytes[at]}`);
    }
    return found;
  }
}

function makeWorld(prng: Prng): { files: CrashFiles; bytes: Uint8Array } {
  const files = createCrashFiles({ seed: prng.below(2 ** 31) });
  const device = createImage(PATH, {
    size: SIZE,
    files,
    poisonUnit: 256,
    clearUnit: 512,
    clear: prng.pick(["atomic", "firmware", "overwrite"] as const),
  });
  const bytes = prng.bytes(SIZE);
  device.write(bytes, 0);
  device.flush();
  for (let count = 1 + prng.below(4); count > 0; count -= 1)
    device.inject({ offset: prng.below(SIZE / 256) * 256, length: 256 });
  device.close();
  return { files, bytes };
}

function plan(prng: Prng): Ask[] {
  return Array.from({ length: STEPS }, () => {
    const command = prng.pick([WRITE, WRITE, WRITE, WRITE_ZEROES, FLUSH]);
    if (command === FLUSH) return { command, flags: 0, offset: 0, length: 0 };
    const unit = prng.pick([1, 512]);
    const offset = prng.below(SIZE / unit) * unit;
    const length = Math.min(SIZE - offset, (1 + prng.below(3000 / unit)) * unit);
    const flags = prng.below(3) === 0 ? 1 : 0;
    const payload = command === WRITE ? { payload: Buffer.from(prng.bytes(length)) } : {};
    return { command, flags, offset, length, ...payload };
  });
}

/** Serves a world to one client that does the plan, up to the crash. */
async function run(
  files: CrashFiles,
  bytes: Uint8Array,
  { asks, name }: { readonly asks: readonly Ask[]; readonly name: string },
): Promise<Ledger> {
  const device = openDevice(PATH, { files, access: "write", map: true });
  const ledger = new Ledger(bytes, device);
  let crash: unknown;
  try {
    const exports = new ExportList([{ name: "disk", device, isDirect: () => true }]);
    const peer = new Peer(exports, { onBug: (error) => (crash = error) }).go("structured", {
      name,
    });
    for (const ask of asks) {
      if (ask.command !== FLUSH) ledger.begin(ask);
      peer.send(peer.request(ask.command, ask));
      await turnsUntil(() => peer.unread > 0 || crash !== undefined);
      if (crash instanceof Error) throw crash;
      const [answer] = await peer.reply();
      ledger.noteBad(device);
      if ((answer?.errno ?? 0) !== 0) continue;
      if (ask.command === FLUSH) ledger.acknowledge(0, SIZE);
      else if (ask.flags === 1) ledger.acknowledge(ask.offset, ask.length);
    }
  } catch (error) {
    if (!(error instanceof CrashError)) throw error;
  }
  return ledger;
}

function check(world: CrashFiles, ledger: Ledger): string[] {
  const device = openDevice(PATH, { files: world, access: "write" });
  const bytes = new Uint8Array(SIZE);
  const { missing } = device.readSync(bytes, 0);
  device.close();
  const gone = new Uint8Array(SIZE);
  for (const bad of missing) gone.fill(1, bad.offset, endOf(bad));
  return ledger.problems(bytes, (at) => gone[at] === 1).slice(0, 5);
}

describe("the NBD server in a crash", () => {
  test("R3, R4: what FLUSH or FUA acknowledged is never lost, and nothing bad becomes data", async () => {
    const prng = createPrng(randomSeed());
    for (let round = 0; round < CASES; round += 1) {
      const [worldSeed, planSeed] = [prng.below(2 ** 31), prng.below(2 ** 31)];
      const work = {
        asks: plan(createPrng(planSeed)),
        name: round % 2 === 0 ? "disk" : "disk@recovery",
      };
      const whole = makeWorld(createPrng(worldSeed));
      const first = whole.files.operations;
      await run(whole.files, whole.bytes, work);
      const last = whole.files.operations;
      expect(last).toBeGreaterThan(first);
      for (let at = first + 1; at <= last; at += 1) {
        const { files, bytes } = makeWorld(createPrng(worldSeed));
        files.crashAt(at);
        const ledger = await run(files, bytes, work);
        for (const how of HOWS) {
          const world = files.crash(how === "random" ? createPrng(prng.below(2 ** 31)) : how);
          const problems = check(world, ledger);
          expect({ worldSeed, planSeed, at, how, problems }).toMatchObject({ problems: [] });
        }
      }
    }
  });
});
