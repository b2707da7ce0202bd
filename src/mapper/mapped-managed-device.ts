/** MappedManagedDevice: a table whose leaves all keep lists: heals, clears and marks go to the leaf that holds the bytes. */
import { checkRange, endOf, isPromise, type ByteRange, type MaybePromise } from "../base/index.ts";
import type { FaultyDevice, HealWrite, ManagedDevice } from "../device/index.ts";
import type { FaultChange } from "../poison/index.ts";
import { checkApart, checkWhole } from "./change-checks.ts";
import { canFail, faulty } from "./faulty.ts";
import { inTurn } from "./in-turn.ts";
import { leafWrites } from "./leaf-writes.ts";
import type { LoadedRow } from "./load-table.ts";
import { joinedError, MappedDevice, type MappedDeviceOptions } from "./mapped-device.ts";

/** Pieces that are looked at for one hole. */
const HOLE_PIECES_MAX = 256;

/** Makes the device of a table: a managed one where all leaves are. */
export function mappedDevice(
  rows: readonly LoadedRow[],
  options: MappedDeviceOptions,
): MappedDevice | MappedManagedDevice {
  const devices = rows.flatMap(({ target }) =>
    target.kind === "device" ? [target.device] : target.legs.map(({ device }) => device),
  );
  return devices.every((device) => "heal" in device)
    ? new MappedManagedDevice(rows, options)
    : new MappedDevice(rows, options);
}

/** A table over managed leaves. */
export class MappedManagedDevice extends MappedDevice implements FaultyDevice {
  heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]> {
    for (const { offset, data } of writes) this.beginChange({ offset, length: data.length });
    checkApart(writes.map(({ offset, data }) => ({ offset, length: data.length })));
    const failures = writes.map((write) => this.#refusals(write));
    const isPossible = (index: number): boolean => failures[index]?.length === 0;
    // one batch a leaf, so that each pays one intent and one set of syncs
    const done = inTurn(
      leafWrites(this.layout, writes, isPossible),
      ({ device, writes: parts, of }) => {
        const note = (answers: readonly (Error | undefined)[]): void => {
          for (const [index, error] of answers.entries()) {
            if (error !== undefined)
              failures[of[index] ?? 0]?.push(this.errorOf(error, device) as Error);
          }
        };
        const answers = this.asTable(device, () => (device as ManagedDevice).heal(parts));
        return isPromise(answers) ? answers.then(note) : note(answers);
      },
    );
    const answer = (): readonly (Error | undefined)[] =>
      failures.map((errors) => (errors.length === 0 ? undefined : joinedError(errors)));
    return isPromise(done) ? done.then(answer) : answer();
  }

  /** Why a write cannot be tried: a part of it has no recovery. */
  #refusals({ offset, data }: HealWrite): Error[] {
    try {
      this.checkRecovers(this.layout.runs({ offset, length: data.length }));
      return [];
    } catch (error) {
      return [error as Error];
    }
  }

  /** See `ManagedDevice.clear`; units are the leaves'. @throws {RangeError} if a leaf's share is not whole clear units of it: nothing is cleared */
  clear(range: ByteRange): MaybePromise<void> {
    this.beginChange(range);
    const shares = [...this.layout.shares(range)];
    for (const share of shares) checkWhole(share);
    return inTurn(shares, ({ device, offset, length }) =>
      this.asTable(device, () => (device as ManagedDevice).clear({ offset, length })),
    );
  }

  holeFrom(offset: number): number {
    let length = 0;
    let pieces = 0;
    for (const run of this.layout.runs({ offset, length: this.size - offset })) {
      pieces += 1;
      const hole = (run.device as ManagedDevice).holeFrom?.(run.offset) ?? 0;
      length += Math.min(hole, run.length);
      if (hole < run.length || pieces === HOLE_PIECES_MAX) break;
    }
    return length;
  }

  /** Lent by the leaf that holds all of it; a range that lies in several is not. */
  async borrow(range: ByteRange): Promise<Uint8Array | undefined> {
    checkRange(range, this.size);
    const [run, ...more] = this.layout.runs(range);
    if (run === undefined || more.length > 0) return undefined;
    return (run.device as ManagedDevice).borrow?.(run);
  }

  recordRead(range: ByteRange): void {
    checkRange(range, this.size);
    for (const { device, offset, length } of this.layout.shares(range))
      (device as ManagedDevice).recordRead({ offset, length });
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    checkRange(range, this.size);
    for (const { device, offset, length } of this.layout.shares(range))
      (device as ManagedDevice).recordBad({ offset, length }, state);
  }

  /** Whether all of it stands on simulated images, so that it can be told to fail. */
  get canFail(): boolean {
    return this.leaves.every((leaf) => canFail(leaf));
  }

  /** As `SimulatedDevice.inject`: in each image whole units of its own. @returns what is poisoned now, from its first byte to its last */
  inject(range: ByteRange, options: { readonly latent?: boolean } = {}): ByteRange {
    this.beginChange(range);
    let start = range.offset;
    let end = endOf(range);
    for (const share of this.layout.shares(range)) {
      const units = faulty(share.device).inject(share, options);
      for (const part of this.layout.above(share.device, units)) {
        start = Math.min(start, part.offset);
        end = Math.max(end, endOf(part));
      }
    }
    return { offset: start, length: end - start };
  }

  /** As `SimulatedDevice.setFault`. */
  setFault(change: FaultChange): void {
    this.beginChange(change);
    for (const { device, offset, length } of this.layout.shares(change))
      faulty(device).setFault({ ...change, offset, length });
  }
}
